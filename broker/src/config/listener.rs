//! Listener addresses as Kafka writes them: `NAME://host:port`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

pub use goatq_controller::image::SecurityProtocol;

/// A text that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenerError {
    /// Not of the form `NAME://host:port`.
    #[error("{0:?} is not a listener: expected NAME://host:port")]
    Form(String),
    /// Not the name of a security protocol.
    #[error("{0}")]
    Protocol(String),
    /// Not of the form `NAME:PROTOCOL`.
    #[error("{0:?} is not a pair of listener name and security protocol: expected NAME:PROTOCOL")]
    Pair(String),
    /// A listener whose name has no security protocol.
    #[error("no security protocol is defined for listener {0}: add it to listener.security.protocol.map")]
    Unmapped(String),
}

/// Security protocols by listener name, as in `listener.security.protocol.map`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityMap(BTreeMap<String, SecurityProtocol>);

impl SecurityMap {
    /// Reads pairs `NAME:PROTOCOL`. Names in `default_plaintext` are PLAINTEXT when no pair names them (as Kafka does
    /// for listeners of controllers).
    ///
    /// # Errors
    /// The first pair that is none.
    pub fn parse<'a>(
        pairs: impl Iterator<Item = &'a str>,
        default_plaintext: impl Iterator<Item = &'a str>,
    ) -> Result<Self, ListenerError> {
        let mut map: BTreeMap<_, _> =
            default_plaintext.map(|name| (name.to_ascii_uppercase(), SecurityProtocol::Plaintext)).collect();
        for pair in pairs {
            let (name, protocol) = pair.rsplit_once(':').ok_or_else(|| ListenerError::Pair(pair.to_owned()))?;
            let protocol = protocol.trim().parse().map_err(ListenerError::Protocol)?;
            map.insert(name.trim().to_ascii_uppercase(), protocol);
        }
        Ok(Self(map))
    }
}

/// One listener: where it binds, or where clients are told to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Name in upper case, such as `PLAINTEXT` or `INTERNAL`.
    pub name: String,
    /// Host name or address, IPv6 without brackets; empty means every address of the machine.
    pub host: String,
    /// TCP port; 0 lets the system choose (tests).
    pub port: u16,
    /// From `listener.security.protocol.map`.
    pub security: SecurityProtocol,
}

impl Listener {
    /// Reads `NAME://host:port`; an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// See [`ListenerError`].
    pub fn parse(text: &str, security: &SecurityMap) -> Result<Self, ListenerError> {
        let form = || ListenerError::Form(text.to_owned());
        let (name, address) = text.split_once("://").ok_or_else(form)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(form)?;
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let legal = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
        let name = name.trim().to_ascii_uppercase();
        if name.is_empty() || !host.chars().all(legal) {
            return Err(form());
        }
        let port = port.trim().parse().map_err(|_| form())?;
        let security = *security.0.get(&name).ok_or_else(|| ListenerError::Unmapped(name.clone()))?;
        Ok(Self { name, host: host.to_owned(), port, security })
    }

    /// Whether every address of the machine is meant.
    pub fn is_wildcard(&self) -> bool {
        self.host.is_empty() || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}://[{}]:{}", self.name, self.host, self.port)
        } else {
            write!(f, "{}://{}:{}", self.name, self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_as_kafka_reads_them() {
        let map = SecurityMap::parse(["PLAINTEXT:PLAINTEXT", "in:SSL"].into_iter(), ["CONTROLLER"].into_iter());
        let map = map.unwrap();
        let cases = [
            ("PLAINTEXT://:9092", Ok(("PLAINTEXT", "", 9092, true, false))),
            ("plaintext://0.0.0.0:0", Ok(("PLAINTEXT", "0.0.0.0", 0, true, false))),
            ("IN://[::1]:1", Ok(("IN", "::1", 1, false, true))),
            ("PLAINTEXT://127.0.0.9:1", Ok(("PLAINTEXT", "127.0.0.9", 1, false, true))),
            ("PLAINTEXT://localhost:1", Ok(("PLAINTEXT", "localhost", 1, false, true))),
            ("PLAINTEXT://[::]:1", Ok(("PLAINTEXT", "::", 1, true, false))),
            ("CONTROLLER://h-1.example:65535", Ok(("CONTROLLER", "h-1.example", 65535, false, false))),
            ("OUT://h:1", Err(ListenerError::Unmapped("OUT".into()))),
            ("PLAINTEXT://h:65536", Err(ListenerError::Form("PLAINTEXT://h:65536".into()))),
            ("PLAINTEXT://h", Err(ListenerError::Form("PLAINTEXT://h".into()))),
            ("h:9092", Err(ListenerError::Form("h:9092".into()))),
            ("PLAINTEXT://h/x:1", Err(ListenerError::Form("PLAINTEXT://h/x:1".into()))),
        ];
        for (text, expected) in cases {
            let found = Listener::parse(text, &map);
            let found =
                found.as_ref().map(|l| (l.name.as_str(), l.host.as_str(), l.port, l.is_wildcard(), l.is_loopback()));
            assert_eq!(found, expected.as_ref().copied(), "{text}");
        }
        assert_eq!(Listener::parse("in://[::1]:1", &map).unwrap().to_string(), "IN://[::1]:1");
        let unknown = SecurityMap::parse(["A:B"].into_iter(), std::iter::empty());
        assert!(matches!(unknown, Err(ListenerError::Protocol(_))), "{unknown:?}");
        assert_eq!(SecurityMap::parse(["A"].into_iter(), std::iter::empty()), Err(ListenerError::Pair("A".into())));
    }
}
