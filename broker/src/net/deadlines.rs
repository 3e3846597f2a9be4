//! When a connection has taken too long: idle, too slow with a frame, or not reading its replies.
//!
//! Pure: the connection looks at itself a few times a second and reports; no clock is read per request.

use std::time::Duration;

use super::close::CloseReason;

/// The limits in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadlineConfig {
    /// `connections.max.idle.ms`: without a request in this time the connection ends.
    pub idle: Duration,
    /// From the first byte of a frame to its last, for a frame that takes no time to send.
    pub frame: Duration,
    /// Bytes a second that extend the frame's deadline, so that large frames may take longer, silence may not.
    pub frame_min_rate: u32,
    /// How long replies may wait for a peer that reads nothing.
    pub stalled: Duration,
}

impl Default for DeadlineConfig {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(600),
            frame: Duration::from_secs(10),
            frame_min_rate: 64 * 1024,
            stalled: Duration::from_secs(60),
        }
    }
}

/// What a connection reports about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Requests since the connection began.
    pub requests: u64,
    /// Whether requests are being answered.
    pub in_flight: bool,
    /// Bytes of replies written since the connection began.
    pub written: u64,
    /// Whether replies wait to be written.
    pub unread: bool,
    /// Bytes there are of an incomplete frame that the connection is willing to read, else 0.
    pub frame: usize,
}

/// Compares observations over time.
#[derive(Debug)]
pub struct Deadlines {
    config: DeadlineConfig,
    active: (u64, Duration),
    stalled: Option<(u64, Duration)>,
    /// Number of the frame in progress and when it was first seen.
    frame: Option<(u64, Duration)>,
}

impl Deadlines {
    /// Starts at `now` (monotonic).
    pub fn new(config: DeadlineConfig, now: Duration) -> Self {
        Self { config, active: (0, now), stalled: None, frame: None }
    }

    /// The reason to close the connection now, if there is one.
    pub fn on_tick(&mut self, seen: Observation, now: Duration) -> Option<CloseReason> {
        if seen.requests != self.active.0 || seen.in_flight || seen.unread {
            self.active = (seen.requests, now);
        }
        self.stalled = match self.stalled {
            _ if !seen.unread => None,
            Some((written, since)) if written == seen.written => Some((written, since)),
            _ => Some((seen.written, now)),
        };
        self.frame = match self.frame {
            _ if seen.frame == 0 => None,
            Some((requests, since)) if requests == seen.requests => Some((requests, since)),
            _ => Some((seen.requests, now)),
        };
        if self.stalled.is_some_and(|(_, since)| now.saturating_sub(since) >= self.config.stalled) {
            return Some(CloseReason::StalledReader(self.config.stalled));
        }
        if let Some((_, since)) = self.frame {
            let earned = Duration::from_secs_f64(seen.frame as f64 / f64::from(self.config.frame_min_rate.max(1)));
            if now.saturating_sub(since) >= self.config.frame.saturating_add(earned) {
                return Some(CloseReason::SlowFrame(now.saturating_sub(since)));
            }
        }
        (now.saturating_sub(self.active.1) >= self.config.idle).then_some(CloseReason::Idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Observation = Observation { requests: 0, in_flight: false, written: 0, unread: false, frame: 0 };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn deadlines() -> Deadlines {
        Deadlines::new(DeadlineConfig::default(), Duration::ZERO)
    }

    #[test]
    fn idle_counts_from_the_last_request() {
        let mut deadlines = deadlines();
        assert_eq!(deadlines.on_tick(QUIET, at(599)), None);
        let one = Observation { requests: 1, ..QUIET };
        assert_eq!(deadlines.on_tick(one, at(600)), None);
        assert_eq!(deadlines.on_tick(one, at(1199)), None);
        assert_eq!(deadlines.on_tick(one, at(1200)), Some(CloseReason::Idle));
    }

    #[test]
    fn a_long_poll_is_not_idle() {
        let mut deadlines = deadlines();
        let waiting = Observation { in_flight: true, requests: 1, ..QUIET };
        assert_eq!(deadlines.on_tick(waiting, at(5000)), None);
    }

    #[test]
    fn a_slow_frame_ends_after_ten_seconds_however_large_it_claims_to_be() {
        let mut deadlines = deadlines();
        assert_eq!(deadlines.on_tick(Observation { frame: 4, ..QUIET }, at(1)), None);
        assert_eq!(deadlines.on_tick(Observation { frame: 9, ..QUIET }, at(10)), None);
        assert!(matches!(
            deadlines.on_tick(Observation { frame: 14, ..QUIET }, at(12)),
            Some(CloseReason::SlowFrame(_))
        ));
    }

    #[test]
    fn bytes_earn_time_and_a_new_frame_starts_anew() {
        let mut deadlines = deadlines();
        assert_eq!(deadlines.on_tick(Observation { frame: 4, ..QUIET }, at(0)), None);
        assert_eq!(deadlines.on_tick(Observation { frame: 1 << 20, ..QUIET }, at(25)), None);
        assert_eq!(deadlines.on_tick(Observation { frame: 4, requests: 1, ..QUIET }, at(30)), None);
        assert_eq!(deadlines.on_tick(Observation { frame: 4, requests: 1, ..QUIET }, at(39)), None);
        assert!(deadlines.on_tick(Observation { frame: 4, requests: 1, ..QUIET }, at(41)).is_some());
    }

    #[test]
    fn a_reader_that_stops_is_cut_after_a_minute_without_progress() {
        let mut deadlines = deadlines();
        let unread = |written| Observation { unread: true, written, in_flight: true, ..QUIET };
        assert_eq!(deadlines.on_tick(unread(10), at(0)), None);
        assert_eq!(deadlines.on_tick(unread(10), at(59)), None);
        assert_eq!(deadlines.on_tick(unread(11), at(60)), None);
        assert_eq!(deadlines.on_tick(unread(11), at(119)), None);
        assert!(matches!(deadlines.on_tick(unread(11), at(120)), Some(CloseReason::StalledReader(_))));
    }
}
