//! How many connections, from where and how fast: `max.connections`, `max.connections.per.ip` with overrides and
//! `max.connection.creation.rate` (KIP-308, KIP-402, KIP-612). Pure: time and events come in, decisions go out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The limits, named as in Kafka. The defaults are Kafka's: none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitConfig {
    /// `max.connections`: on all listeners together.
    pub max_connections: usize,
    /// `max.connections.per.ip`: from one address, unless overridden.
    pub max_per_ip: usize,
    /// `max.connections.per.ip.overrides`, resolved to addresses.
    pub per_ip_overrides: BTreeMap<IpAddr, usize>,
    /// `max.connection.creation.rate`: new connections a second.
    pub max_creation_rate: u32,
}

impl Default for LimitConfig {
    fn default() -> Self {
        let unlimited = i32::MAX as usize;
        Self {
            max_connections: unlimited,
            max_per_ip: unlimited,
            per_ip_overrides: BTreeMap::new(),
            max_creation_rate: i32::MAX as u32,
        }
    }
}

/// What to do with the next connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Serve it. [`ConnectionLimits::on_close`] must follow once.
    Admit,
    /// Its address has too many: close it at once.
    RefuseAddress,
}

/// Whether to accept at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepting {
    /// Accept the next connection.
    Now,
    /// `max.connections` are open: accept when one closes.
    WhenOneCloses,
    /// The creation rate is used up: accept after this time.
    After(Duration),
}

/// Counts connections against the limits.
#[derive(Debug)]
pub struct ConnectionLimits {
    config: LimitConfig,
    open: usize,
    per_ip: BTreeMap<IpAddr, usize>,
    /// Creations that may happen at once, up to one second's worth.
    tokens: f64,
    refilled_at: Duration,
}

impl ConnectionLimits {
    /// Starts with no connections; `now` is monotonic.
    pub fn new(config: LimitConfig, now: Duration) -> Self {
        let tokens = f64::from(config.max_creation_rate);
        Self { config, open: 0, per_ip: BTreeMap::new(), tokens, refilled_at: now }
    }

    /// Takes new limits; open connections stay.
    pub fn set_config(&mut self, config: LimitConfig) {
        self.tokens = self.tokens.min(f64::from(config.max_creation_rate));
        self.config = config;
    }

    /// Open connections.
    pub fn open(&self) -> usize {
        self.open
    }

    /// May the acceptor take another connection now?
    pub fn may_accept(&mut self, now: Duration) -> Accepting {
        if self.open >= self.config.max_connections {
            return Accepting::WhenOneCloses;
        }
        let rate = f64::from(self.config.max_creation_rate);
        let elapsed = now.saturating_sub(self.refilled_at).as_secs_f64();
        self.refilled_at = self.refilled_at.max(now);
        self.tokens = (self.tokens + elapsed * rate).min(rate.max(1.0));
        if self.tokens >= 1.0 {
            return Accepting::Now;
        }
        if rate <= 0.0 {
            return Accepting::After(Duration::from_secs(1));
        }
        Accepting::After(Duration::from_secs_f64(((1.0 - self.tokens) / rate).min(1.0)))
    }

    /// A connection came from `ip`.
    pub fn on_accept(&mut self, ip: IpAddr) -> Admission {
        self.tokens -= 1.0;
        let limit = self.config.per_ip_overrides.get(&ip).copied().unwrap_or(self.config.max_per_ip);
        let count = self.per_ip.get(&ip).copied().unwrap_or(0);
        if count >= limit {
            return Admission::RefuseAddress;
        }
        self.per_ip.insert(ip, count + 1);
        self.open += 1;
        Admission::Admit
    }

    /// An admitted connection from `ip` closed.
    pub fn on_close(&mut self, ip: IpAddr) {
        self.open = self.open.saturating_sub(1);
        if let Some(count) = self.per_ip.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn limits(change: impl FnOnce(&mut LimitConfig)) -> ConnectionLimits {
        let mut config = LimitConfig::default();
        change(&mut config);
        ConnectionLimits::new(config, Duration::ZERO)
    }

    #[test]
    fn total_and_release() {
        let mut limits = limits(|c| c.max_connections = 2);
        assert_eq!(limits.on_accept(A), Admission::Admit);
        assert_eq!(limits.on_accept(B), Admission::Admit);
        assert_eq!(limits.may_accept(Duration::ZERO), Accepting::WhenOneCloses);
        limits.on_close(A);
        assert_eq!(limits.may_accept(Duration::ZERO), Accepting::Now);
        assert_eq!(limits.open(), 1);
    }

    #[test]
    fn per_address_with_override() {
        let mut limits = limits(|c| {
            c.max_per_ip = 1;
            c.per_ip_overrides.insert(B, 2);
        });
        assert_eq!(limits.on_accept(A), Admission::Admit);
        assert_eq!(limits.on_accept(A), Admission::RefuseAddress);
        assert_eq!(limits.on_accept(B), Admission::Admit);
        assert_eq!(limits.on_accept(B), Admission::Admit);
        assert_eq!(limits.on_accept(B), Admission::RefuseAddress);
        limits.on_close(A);
        assert_eq!(limits.on_accept(A), Admission::Admit);
    }

    #[test]
    fn creation_rate() {
        let mut limits = limits(|c| c.max_creation_rate = 10);
        for _ in 0..10 {
            assert_eq!(limits.may_accept(Duration::ZERO), Accepting::Now);
            limits.on_accept(A);
        }
        assert_eq!(limits.may_accept(Duration::ZERO), Accepting::After(Duration::from_millis(100)));
        assert_eq!(limits.may_accept(Duration::from_millis(100)), Accepting::Now);
        // An idle minute saves up one second's worth, no more.
        let later = Duration::from_secs(60);
        for _ in 0..10 {
            assert_eq!(limits.may_accept(later), Accepting::Now);
            limits.on_accept(A);
        }
        assert_ne!(limits.may_accept(later), Accepting::Now);
    }
}
