//! How much of their time the threads that serve connections are idle.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::Metric;
use crate::clock::Clock;
use crate::threads::workers::Busy;

/// Scrapes that come faster than this see the same value again.
const SHORTEST: Duration = Duration::from_secs(1);

/// Idle share between two scrapes.
pub(crate) struct IdleCollector {
    busy: Busy,
    clock: Arc<dyn Clock>,
    last: Mutex<Window>,
}

/// Where the current window began, and what the one before said.
struct Window {
    begun: Duration,
    busy: Duration,
    idle: f64,
}

impl fmt::Debug for IdleCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdleCollector").finish_non_exhaustive()
    }
}

impl IdleCollector {
    /// Watches the threads behind `busy`.
    pub(crate) fn new(busy: Busy, clock: Arc<dyn Clock>) -> Self {
        let last = Mutex::new(Window { begun: clock.monotonic(), busy: busy.total(), idle: 1.0 });
        Self { busy, clock, last }
    }

    fn idle(&self) -> f64 {
        self.last.lock().advance(self.clock.monotonic(), self.busy.total(), self.busy.threads())
    }
}

impl Window {
    fn advance(&mut self, now: Duration, busy: Duration, threads: usize) -> f64 {
        let elapsed = now.saturating_sub(self.begun);
        if elapsed >= SHORTEST {
            let share = busy.saturating_sub(self.busy).as_secs_f64() / (elapsed.as_secs_f64() * threads.max(1) as f64);
            *self = Window { begun: now, busy, idle: (1.0 - share).clamp(0.0, 1.0) };
        }
        self.idle
    }
}

impl Collector for IdleCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let idle = self.idle();
        // The thread that reads a request also does its work, so both of Kafka's figures are one here.
        for name in [
            "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
            "kafka_network_socketserver_networkprocessoravgidle_percent",
        ] {
            let help = "Idle share of the threads that serve connections, 0 to 1, since the scrape before.";
            Metric::gauge(&mut encoder, name, help)?.value(&[], idle)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_what_two_scrapes_leave_over() {
        let seconds = Duration::from_secs;
        let mut window = Window { begun: seconds(10), busy: seconds(3), idle: 1.0 };
        assert_eq!(window.advance(seconds(14), seconds(5), 2), 0.75);
        assert_eq!(window.advance(seconds(14), seconds(9), 2), 0.75, "too soon for a new window");
        assert_eq!(window.advance(seconds(16), seconds(9), 2), 0.0);
        assert_eq!(window.advance(seconds(20), seconds(9), 2), 1.0);
    }
}
