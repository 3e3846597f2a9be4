//! When a thread that is woken thousands of times a second rests a little before it looks for work again: pure.
//!
//! A request that comes alone costs little itself, but waking a thread for it, and a peer for its answer, costs as much as
//! several requests that come together. Where small requests come thick and their senders do not wait for each answer, a
//! rest of half a millisecond lets one wake-up serve several of them, their answers and the fetches that wait for
//! them. Network cards moderate their interrupts for the same reason.
//!
//! Who waits for an answer before sending on, or has only so many requests under way, would be slowed down by that, so what gets
//! done is watched: a thread goes without rests from time to time, and rests only as long as that makes no difference. Where
//! long rests do make one, shorter ones may not. Nor does a thread rest on which requests wait for a disk: they have waited
//! long enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a thread rests: as long as it may.
const RESTS: [Duration; 2] = [Duration::from_micros(500), Duration::from_micros(300)];
/// So long everything is counted before it is judged.
const WINDOW: Duration = Duration::from_millis(100);
/// When it is not known yet that rests do no harm, the first look comes so soon: a backlog takes time to be worked off.
const TRIAL: Duration = Duration::from_millis(20);
/// A run of rests lasts so many windows at most; then comes one without.
const RUN: u32 = 50;
/// The same when it is not known yet that they do no harm.
const FIRST_RUN: u32 = 5;
/// Fewer requests a second are served one by one as they come.
const REQUESTS: f64 = 3_000.0;
/// Who is woken less often has company for most requests already.
const WAKES: f64 = 1_500.0;
/// Requests and answers that are larger, on average, are work enough for a wake-up.
const BYTES: f64 = 8_192.0;
/// A thread that took in so many small requests without a pause has more to do than it can do at once.
const CROWD: u64 = 32;
/// With rests, at least this share of what is done without them has to be done.
const KEPT: f64 = 0.95;
/// A window in which less is done ends the run at once.
const LOST: f64 = 0.75;
/// How long a thread goes without rests of a length after they slowed it down; twice as long each time.
const PATIENCE: Duration = Duration::from_secs(2);
/// It never takes longer than this.
const MOST_PATIENCE: Duration = Duration::from_secs(60);

/// What the connections of one thread did since it was started. Only that thread adds to it; waits may end on another one.
#[derive(Debug, Default)]
pub struct Flow {
    requests: AtomicU64,
    pipelined: AtomicU64,
    bytes: AtomicU64,
    waiting: AtomicU64,
    /// Small requests since the thread last had nothing to do.
    run: AtomicU64,
}

/// A request that waits for a disk or for replicas, counted until it is dropped.
#[derive(Debug)]
pub struct Wait(Arc<Flow>);

/// A [`Flow`] at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Requests of all kinds.
    pub requests: u64,
    /// Those that were not asked for by an answer: a long poll follows the one before it, so there are fewer the more each
    /// of them brings.
    pub pipelined: u64,
    /// Bytes of requests and of answers.
    pub bytes: u64,
}

/// Decides about rests of one thread.
#[derive(Debug, Default)]
pub struct Pace {
    begun: Duration,
    at_begin: Done,
    wakes: u32,
    /// The run of rests, if there is one.
    run: Option<Run>,
    /// What was done in the last window without rests.
    freely: Rates,
    /// What was done in the last run, and with which rests, until it is judged.
    rested: Option<(usize, Rates)>,
    /// What is known of each of the [`RESTS`].
    known: [Known; RESTS.len()],
}

/// What came of rests of one length.
#[derive(Debug, Default)]
struct Known {
    /// The last run did no harm.
    proven: bool,
    not_before: Duration,
    patience: Option<Duration>,
}

#[derive(Debug)]
struct Run {
    /// Which of the [`RESTS`].
    rests: usize,
    begun: Duration,
    at_begin: Done,
    windows: u32,
}

/// Per second.
#[derive(Debug, Clone, Copy, Default)]
struct Rates {
    requests: f64,
    pipelined: f64,
    bytes: f64,
}

impl Flow {
    /// A request of so many bytes was taken in.
    pub fn took(&self, bytes: usize, pipelined: bool) {
        Self::add(&self.requests, 1);
        Self::add(&self.pipelined, u64::from(pipelined));
        Self::add(&self.bytes, bytes as u64);
        Self::add(&self.run, u64::from(bytes as f64 <= BYTES));
    }

    /// The thread has nothing to do.
    pub fn parked(&self) {
        self.run.store(0, Ordering::Relaxed);
    }

    /// Whether small requests come faster than the thread serves them: then answers may wait for those of the requests that come
    /// while others have their turn.
    pub fn is_crowded(&self) -> bool {
        self.run.load(Ordering::Relaxed) >= CROWD
    }

    /// So many bytes of answers were sent.
    pub fn sent(&self, bytes: u64) {
        Self::add(&self.bytes, bytes);
    }

    /// All of it so far.
    pub fn done(&self) -> Done {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Done { requests: load(&self.requests), pipelined: load(&self.pipelined), bytes: load(&self.bytes) }
    }

    /// A pipelined request begins to wait for its acknowledgement.
    pub fn wait(self: &Arc<Self>) -> Wait {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Wait(Arc::clone(self))
    }

    /// Whether any request waits for its acknowledgement.
    pub fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn add(count: &AtomicU64, more: u64) {
        // Nobody else writes it.
        count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Rates {
    fn between(from: Done, to: Done, time: Duration) -> Self {
        let seconds = time.as_secs_f64().max(1e-6);
        let rate = |from: u64, to: u64| to.wrapping_sub(from) as f64 / seconds;
        Self {
            requests: rate(from.requests, to.requests),
            pipelined: rate(from.pipelined, to.pipelined),
            bytes: rate(from.bytes, to.bytes),
        }
    }

    fn reach(&self, share: f64, of: &Self) -> bool {
        self.pipelined >= share * of.pipelined && self.bytes >= share * of.bytes
    }

    fn are_many_small(&self) -> bool {
        self.requests >= REQUESTS && self.bytes <= BYTES * self.requests
    }
}

impl Pace {
    /// The thread has nothing to do at `now` (monotonic), having done `done` since it was started. How long it is to rest
    /// before it waits for work.
    pub fn on_park(&mut self, now: Duration, done: Done) -> Option<Duration> {
        self.wakes = self.wakes.saturating_add(1);
        let elapsed = now.saturating_sub(self.begun);
        let in_trial = self.run.as_ref().is_some_and(|run| run.windows == 0 && !self.known[run.rests].proven);
        if elapsed >= if in_trial { TRIAL } else { WINDOW } {
            let rates = Rates::between(self.at_begin, done, elapsed);
            let wakes = f64::from(self.wakes) / elapsed.as_secs_f64();
            (self.begun, self.at_begin, self.wakes) = (now, done, 0);
            self.judge(now, done, rates, wakes);
        }
        self.run.as_ref().map(|run| RESTS[run.rests])
    }

    fn judge(&mut self, now: Duration, done: Done, rates: Rates, wakes: f64) {
        if let Some(run) = &mut self.run {
            run.windows += 1;
            let most = if self.known[run.rests].proven { RUN } else { FIRST_RUN };
            if run.windows >= most || !rates.reach(LOST, &self.freely) {
                let rested = Rates::between(run.at_begin, done, now.saturating_sub(run.begun));
                self.rested = Some((run.rests, rested));
                self.run = None;
            }
            return;
        }
        if let Some((rests, rested)) = self.rested.take() {
            // Load comes and goes: what was done both before and after the run could have been done during it.
            let harmless = rested.reach(KEPT, &rates) || rested.reach(KEPT, &self.freely);
            self.known[rests].learn(harmless, now);
        }
        self.freely = rates;
        if wakes >= WAKES && rates.are_many_small() {
            let rests = self.known.iter().position(|known| now >= known.not_before);
            self.run = rests.map(|rests| Run { rests, begun: now, at_begin: done, windows: 0 });
        }
    }
}

impl Known {
    fn learn(&mut self, harmless: bool, now: Duration) {
        self.proven = harmless;
        if harmless {
            self.patience = None;
        } else {
            let patience = self.patience.map_or(PATIENCE, |before| (before * 2).min(MOST_PATIENCE));
            self.patience = Some(patience);
            self.not_before = now + patience;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: Duration = Duration::from_micros(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// Who sends requests to the thread.
    struct Senders {
        /// Requests a second that come whatever happens.
        open: f64,
        /// As long as so many of them are not answered, the others wait.
        in_flight: u64,
        /// Senders that wait for each answer, and for how long they then think.
        closed: u64,
        think: Duration,
        bytes: u64,
    }

    /// Lets a thread serve them, which takes it some time for each request; the shares of time and of wake-ups with a rest,
    /// and the requests served a second.
    fn serve(senders: &Senders, for_each: Duration, time: Duration) -> (f64, f64) {
        let (mut pace, mut now, mut done) = (Pace::default(), Duration::ZERO, Done::default());
        let (mut rests, mut arrived) = (Duration::ZERO, 0_u64);
        let mut ready: Vec<Duration> = vec![Duration::ZERO; usize::try_from(senders.closed).unwrap()];
        while now < time {
            let due = (now.as_secs_f64() * senders.open) as u64;
            let mut work = (due - arrived).min(senders.in_flight);
            arrived += work;
            let waiting: Vec<usize> = (0..ready.len()).filter(|at| ready[*at] <= now).collect();
            work += waiting.len() as u64;
            now += for_each * u32::try_from(work).unwrap() + 10 * MICRO;
            waiting.into_iter().for_each(|at| ready[at] = now + senders.think);
            done.requests += work;
            done.pipelined += work;
            done.bytes += work * senders.bytes;
            if let Some(rest) = pace.on_park(now, done) {
                now += rest;
                rests += rest;
            }
            // Asleep until the next request.
            let next = if senders.open > 0.0 { (arrived + 1) as f64 / senders.open } else { f64::MAX };
            let next = next.max((now + senders.think).as_secs_f64());
            let next = ready.iter().map(Duration::as_secs_f64).fold(next, f64::min);
            now = now.max(Duration::from_secs_f64(next.min(now.as_secs_f64() + 1.0)));
        }
        (rests.as_secs_f64() / now.as_secs_f64(), done.requests as f64 / now.as_secs_f64())
    }

    #[test]
    fn a_stream_of_small_requests_is_served_with_rests() {
        for open in [5_000.0, 20_000.0] {
            let senders = Senders { open, in_flight: u64::MAX, closed: 0, think: Duration::ZERO, bytes: 1_200 };
            let (rested, served) = serve(&senders, 20 * MICRO, 30 * SECOND);
            assert!(rested > 0.4, "{rested}");
            assert!(served > 0.99 * open, "{served}");
        }
    }

    #[test]
    fn who_waits_for_each_answer_is_hardly_ever_kept_waiting() {
        for closed in [1, 8] {
            let senders = Senders { open: 0.0, in_flight: u64::MAX, closed, think: 60 * MICRO, bytes: 1_200 };
            let (rested, _) = serve(&senders, 20 * MICRO, 60 * SECOND);
            assert!(rested < 0.02, "{rested}");
            // Nor beside a stream.
            let beside = Senders { open: 3_000.0, ..senders };
            let (rested, _) = serve(&beside, 20 * MICRO, 60 * SECOND);
            assert!(rested < 0.02, "{rested}");
        }
    }

    #[test]
    fn rests_are_as_long_as_requests_under_way_allow() {
        let senders = Senders { open: 5_000.0, in_flight: 5, closed: 0, think: 60 * MICRO, bytes: 1_200 };
        let (rested, served) = serve(&senders, 20 * MICRO, 60 * SECOND);
        assert!(served > 0.99 * senders.open, "{served}");
        assert!((0.5..0.8).contains(&rested), "{rested}");
    }

    #[test]
    fn few_and_large_requests_are_served_as_they_come() {
        for (open, bytes) in [(2_000.0, 1_200), (6_000.0, 65_536)] {
            let senders = Senders { open, in_flight: u64::MAX, closed: 0, think: Duration::ZERO, bytes };
            assert_eq!(serve(&senders, 20 * MICRO, 10 * SECOND).0, 0.0);
        }
    }

    #[test]
    fn many_small_requests_without_a_pause_are_a_crowd() {
        let flow = Flow::default();
        (1..CROWD).for_each(|_| flow.took(1_200, true));
        flow.took(65_536, true);
        assert!(!flow.is_crowded());
        flow.took(100, false);
        assert!(flow.is_crowded());
        flow.parked();
        assert!(!flow.is_crowded());
    }

    #[test]
    fn a_stream_that_ends_leaves_no_rest_behind() {
        let (mut pace, mut done) = (Pace::default(), Done::default());
        for at in 0..1_000_u32 {
            done = Done { requests: done.requests + 1, pipelined: done.pipelined + 1, bytes: done.bytes + 100 };
            pace.on_park(200 * MICRO * at, done);
        }
        assert!(pace.run.is_some());
        assert_eq!(pace.on_park(5 * SECOND, done), None);
    }
}
