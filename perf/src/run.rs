//! What all measurements have in common: the clock, the window, progress while it goes on, and samples at its ends.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::args::RunArgs;
use crate::clock::Clock;
use crate::process::{Sample, Usage};
use crate::stats::{Stats, Window};

/// Time between the opening of the connections and the first record.
const LEAD: Duration = Duration::from_millis(100);
/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(1);

/// A measurement that is going on. Everything runs on one thread.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) clock: Clock,
    /// When the first record is due.
    pub(crate) begin: Duration,
    window: Cell<Window>,
    pub(crate) stats: RefCell<Stats>,
    /// Records that may still be sent or read.
    budget: Cell<u64>,
}

/// What was measured besides the statistics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// How long the amounts of the window took.
    pub(crate) elapsed: Duration,
    pub(crate) broker: Option<Usage>,
    pub(crate) client: Usage,
}

impl Run {
    /// A run that begins now; connections should be open.
    pub(crate) fn new(args: &RunArgs) -> Self {
        let clock = Clock::start();
        let begin = clock.now() + LEAD;
        let start = begin + args.warm_up;
        let end = if args.records.is_some() { Duration::MAX } else { start + args.duration };
        let window = Window { start, end };
        let stats = RefCell::new(Stats::new(window, args.keep_going));
        Self { clock, begin, window: Cell::new(window), stats, budget: Cell::new(args.records.unwrap_or(u64::MAX)) }
    }

    /// The measured part of the run.
    pub(crate) fn window(&self) -> Window {
        self.window.get()
    }

    /// Ends the run before its time, if it has begun to measure.
    pub(crate) fn end_now(&self) {
        let (now, window) = (self.clock.now(), self.window.get());
        if (window.start..window.end).contains(&now) {
            self.window.set(Window { end: now, ..window });
            self.stats.borrow_mut().end_at(now);
        }
    }

    /// Takes up to `count` records from what is left to do.
    pub(crate) fn take(&self, count: usize) -> usize {
        let left = self.budget.get();
        let taken = left.min(count as u64);
        self.budget.set(left - taken);
        taken as usize
    }

    /// Returns when the run begins.
    pub(crate) async fn begun(&self) {
        tokio::time::sleep(self.begin.saturating_sub(self.clock.now())).await;
    }

    /// Does the work while watching it.
    ///
    /// # Errors
    /// Those of the work, and when it ends before anything was measured.
    pub(crate) async fn measure(&self, args: &RunArgs, work: impl Future<Output = Result<()>>) -> Result<Measured> {
        let mut work = pin!(work);
        let mut watch = Watch { run: self, args, first: None, last: None };
        let mut tick = self.begin;
        tokio::time::sleep((self.begin - LEAD / 2).saturating_sub(self.clock.now())).await;
        if self.window().start == self.begin {
            watch.first = Some(watch.read()?);
        }
        loop {
            let next =
                [self.window().start, self.window().end, tick].into_iter().filter(|time| *time > self.clock.now());
            let wait = next.min().map_or(PROGRESS, |time| time.saturating_sub(self.clock.now()));
            tokio::select! {
                done = &mut work => {
                    done?;
                    break;
                }
                () = tokio::time::sleep(wait) => {}
            }
            watch.sample()?;
            while tick <= self.clock.now() {
                if tick > self.begin && !args.quiet {
                    watch.progress();
                }
                tick += PROGRESS;
            }
        }
        watch.finish()
    }
}

struct Watch<'a> {
    run: &'a Run,
    args: &'a RunArgs,
    first: Option<Reading>,
    last: Option<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Duration,
    broker: Option<Sample>,
    client: Sample,
}

impl Watch<'_> {
    fn read(&self) -> Result<Reading> {
        let pids = &self.args.broker_pid;
        let broker = if pids.is_empty() { None } else { Some(Sample::take(pids)?) };
        Ok(Reading { at: self.run.clock.now(), broker, client: Sample::take(&[std::process::id()])? })
    }

    fn sample(&mut self) -> Result<()> {
        let now = self.run.clock.now();
        if self.first.is_none() && now >= self.run.window().start {
            self.first = Some(self.read()?);
        }
        if self.last.is_none() && now >= self.run.window().end {
            self.last = Some(self.read()?);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Measured> {
        self.sample()?;
        let finish = self.run.clock.now();
        let last = self.run.stats.borrow().last;
        let Some(first) = self.first.filter(|first| first.at < finish) else {
            anyhow::bail!("the run ended within its warm-up of {:?}", self.args.warm_up);
        };
        // A schedule that could not be kept ends with its last record, not when it should have.
        let overrun = last > self.run.window().end;
        let end = if overrun { last } else { finish.min(self.run.window().end) };
        let last = match self.last {
            Some(last) if !overrun => last,
            _ => self.read()?,
        };
        let seconds = last.at.saturating_sub(first.at.max(self.run.window().start)).as_secs_f64();
        let elapsed = end.saturating_sub(self.run.window().start);
        ensure!(!elapsed.is_zero(), "nothing was measured");
        Ok(Measured {
            elapsed,
            broker: first.broker.zip(last.broker).map(|(first, last)| first.until(&last, seconds)),
            client: first.client.until(&last.client, seconds),
        })
    }

    fn progress(&self) {
        let recent = self.run.stats.borrow_mut().take_recent();
        let elapsed = self.run.clock.now().saturating_sub(self.run.begin).as_secs_f64();
        let phase = if self.run.clock.now() < self.run.window().start { " (warm-up)" } else { "" };
        let latency = recent.latency.map_or_else(String::new, |latency| {
            let ms = |micros: u64| micros as f64 / 1000.0;
            format!("  p50 {:.2} ms  p99 {:.2} ms", ms(latency.p50_us), ms(latency.p99_us))
        });
        let errors = if recent.errors == 0 { String::new() } else { format!("  {} errors", recent.errors) };
        eprintln!(
            "{elapsed:5.0} s  {:>9} records/s  {:>8.1} MB/s  {:>7} requests/s{latency}{errors}{phase}",
            recent.counts.records,
            recent.counts.batch_bytes as f64 / 1e6,
            recent.counts.requests,
        );
    }
}
