//! One line of the table: amounts, time and CPU time.

use std::fmt;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::stats::{Latencies, Quantiles};

/// The heading that fits the lines.
pub(crate) const HEAD: &str = "\
| Line | MB/s | CPU s/GB | operations/s | CPU µs each | p50 µs | p99 µs | max µs |
|---|---|---|---|---|---|---|---|";

/// A result. Absent is what has no meaning for this line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    pub(crate) operations: u64,
    pub(crate) mb_per_s: Option<f64>,
    pub(crate) cpu_s_per_gb: Option<f64>,
    pub(crate) operations_per_s: f64,
    /// CPU time of the serving thread per operation.
    pub(crate) cpu_us: f64,
    pub(crate) latency: Option<Quantiles>,
    /// Why there are no figures.
    pub(crate) impossible: Option<String>,
}

/// What was done.
#[derive(Debug, Clone)]
pub(crate) struct Amounts {
    pub(crate) time: Duration,
    /// Of the serving threads.
    pub(crate) cpu: Duration,
    pub(crate) bytes: u64,
    pub(crate) operations: u64,
    pub(crate) latency: Option<Latencies>,
}

/// Time and this thread's CPU time from one moment on.
#[derive(Debug)]
pub(crate) struct Meter {
    clock: Clock,
    cpu: Duration,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { clock: Clock::start(), cpu: thread_cpu() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.now()
    }

    pub(crate) fn amounts(&self, bytes: u64, operations: u64) -> Amounts {
        Amounts { time: self.elapsed(), cpu: self.cpu(), bytes, operations, latency: None }
    }

    /// CPU time of the calling thread, which must be the one that started the meter.
    pub(crate) fn cpu(&self) -> Duration {
        thread_cpu().saturating_sub(self.cpu)
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

impl Line {
    pub(crate) fn of(name: &str, amounts: Amounts) -> Self {
        let Amounts { time, cpu, bytes, operations, latency } = amounts;
        let (seconds, cpu) = (time.as_secs_f64(), cpu.as_secs_f64());
        let sized = (bytes > 0 && seconds > 0.0).then_some(bytes as f64);
        Self {
            name: name.to_owned(),
            seconds,
            operations,
            mb_per_s: sized.map(|bytes| bytes / 1e6 / seconds),
            cpu_s_per_gb: sized.map(|bytes| cpu / (bytes / 1e9)),
            operations_per_s: if seconds > 0.0 { operations as f64 / seconds } else { 0.0 },
            cpu_us: if operations > 0 { cpu * 1e6 / operations as f64 } else { 0.0 },
            latency: latency.and_then(|latency| latency.quantiles()),
            impossible: None,
        }
    }

    pub(crate) fn impossible(name: &str, why: &anyhow::Error) -> Self {
        let nothing = Amounts { time: Duration::ZERO, cpu: Duration::ZERO, bytes: 0, operations: 0, latency: None };
        Self { impossible: Some(format!("{why:#}")), ..Self::of(name, nothing) }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.impossible {
            return write!(f, "| {}: not here ({why}) | – | – | – | – | – | – | – |", self.name);
        }
        let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), crate::table::number);
        let micros = |value: fn(&Quantiles) -> u64| number(self.latency.as_ref().map(|latency| value(latency) as f64));
        write!(
            f,
            "| {} | {} | {} | {:.0} | {} | {} | {} | {} |",
            self.name,
            number(self.mb_per_s),
            number(self.cpu_s_per_gb),
            self.operations_per_s,
            number(Some(self.cpu_us)),
            micros(|latency| latency.p50_us),
            micros(|latency| latency.p99_us),
            micros(|latency| latency.max_us),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_costs() {
        let second = Duration::from_secs(1);
        let mut latency = Latencies::new();
        latency.record(Duration::from_micros(250));
        let amounts =
            Amounts { time: 2 * second, cpu: second, bytes: 4_000_000_000, operations: 1000, latency: Some(latency) };
        let line = Line::of("x", amounts);
        assert_eq!((line.mb_per_s, line.cpu_s_per_gb), (Some(2000.0), Some(0.25)));
        assert_eq!((line.operations_per_s, line.cpu_us), (500.0, 1000.0));
        assert_eq!(line.to_string(), "| x | 2000 | 0.25 | 500 | 1000 | 250 | 250 | 250 |");
        let line = Line::impossible("y", &anyhow::anyhow!("no"));
        assert_eq!(line.to_string(), "| y: not here (no) | – | – | – | – | – | – | – |");
    }

    #[test]
    fn only_this_thread_counts() {
        let meter = Meter::start();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::hint::black_box((0..5_000_000_u64).fold(0, |sum, next| sum ^ std::hint::black_box(next)))
            });
        });
        assert!(meter.cpu() <= meter.elapsed());
    }
}
