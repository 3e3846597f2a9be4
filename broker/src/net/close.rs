//! Why connections end, and how the log hears of it without being flooded.

use std::time::Duration;

use goatq_protocol::frame::FrameError;

/// Why this side closed a connection, or saw it closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer closed it in an orderly way.
    #[error("the peer closed")]
    PeerClosed,
    /// The socket broke.
    #[error("the connection broke: {0}")]
    Broken(std::io::ErrorKind),
    /// What was announced is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame did not arrive in time.
    #[error("a frame was not complete {0:?} after its first byte")]
    SlowFrame(Duration),
    /// `connections.max.idle.ms` passed without a request.
    #[error("idle")]
    Idle,
    /// The peer does not read its replies.
    #[error("replies were not read for {0:?}")]
    StalledReader(Duration),
    /// The frame holds no valid request.
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    /// The API key is not known or not offered on this listener.
    #[error("API key {0} is not offered here")]
    UnknownApi(i16),
    /// The version of the API is not offered.
    #[error("version {version} of API key {key} is not offered")]
    UnsupportedVersion {
        /// API key.
        key: i16,
        /// Version asked for.
        version: i16,
    },
    /// A produce request with `acks=0` failed: closing is the only way to say so.
    #[error("produce with acks=0 failed: {0}")]
    UnacknowledgedProduceFailed(String),
    /// A reply could not be encoded: a fault of this node.
    #[error("a reply could not be encoded: {0}")]
    Encode(String),
    /// The node shuts down.
    #[error("the node shuts down")]
    Shutdown,
}

impl CloseReason {
    /// A short name: lines of the log are limited by it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::Broken(_) => "broken",
            Self::Frame(FrameError::Http) => "http_on_kafka_port",
            Self::Frame(FrameError::Tls) => "tls_on_plain_port",
            Self::Frame(_) => "frame_size",
            Self::SlowFrame(_) => "slow_frame",
            Self::Idle => "idle",
            Self::StalledReader(_) => "stalled_reader",
            Self::InvalidRequest(_) => "invalid_request",
            Self::UnknownApi(_) => "unknown_api",
            Self::UnsupportedVersion { .. } => "unsupported_version",
            Self::UnacknowledgedProduceFailed(_) => "acks_0_failed",
            Self::Encode(_) => "encode",
            Self::Shutdown => "shutdown",
        }
    }

    /// What an operator should read about, if anything: a peer that misbehaves, not one that leaves.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::PeerClosed | Self::Broken(_) | Self::Idle | Self::Shutdown => None,
            Self::SlowFrame(_) | Self::StalledReader(_) => Some(Fault::Time),
            _ => Some(Fault::Protocol),
        }
    }
}

/// How a peer misbehaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What it sent was no request that can be answered.
    Protocol,
    /// It was too slow.
    Time,
}

/// Lets one line per reason through each period and counts the rest.
#[derive(Debug, Default)]
pub struct LogLimiter {
    /// Label, start of its period, lines held back in it. As many entries as there are labels.
    entries: Vec<(&'static str, Duration, u64)>,
}

/// How long one line per reason is enough.
const LOG_PERIOD: Duration = Duration::from_secs(10);

impl LogLimiter {
    /// Whether to log a line for `label` now, and then how many were held back since the last one.
    pub fn on_line(&mut self, label: &'static str, now: Duration) -> Option<u64> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.0 == label) else {
            self.entries.push((label, now, 0));
            return Some(0);
        };
        if now.saturating_sub(entry.1) < LOG_PERIOD {
            entry.2 = entry.2.saturating_add(1);
            return None;
        }
        entry.1 = now;
        Some(std::mem::take(&mut entry.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_reason_and_period() {
        let mut limiter = LogLimiter::default();
        let at = Duration::from_secs;
        assert_eq!(limiter.on_line("idle", at(1)), Some(0));
        assert_eq!(limiter.on_line("broken", at(1)), Some(0));
        assert_eq!(limiter.on_line("idle", at(2)), None);
        assert_eq!(limiter.on_line("idle", at(10)), None);
        assert_eq!(limiter.on_line("idle", at(11)), Some(2));
        assert_eq!(limiter.on_line("idle", at(12)), None);
    }
}
