//! Addresses of controllers as Kafka writes them: `id@host:port` and `host:port`.

use std::collections::BTreeMap;

use super::broker::QuorumAddress;
use super::listener::Listener;

/// Reads `host:port`; an IPv6 address stands in brackets.
///
/// # Errors
/// What is expected.
pub(super) fn address(text: &str) -> Result<QuorumAddress, String> {
    let form = || format!("{text:?} is not host:port");
    let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let legal = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
    let port = port.trim().parse().ok().filter(|port| *port != 0).ok_or_else(form)?;
    if host.is_empty() || !host.chars().all(legal) {
        return Err(form());
    }
    Ok(QuorumAddress { host: host.to_owned(), port })
}

/// Reads `id@host:port` items.
///
/// # Errors
/// An item is of another form, or an id or an address is there twice.
pub(super) fn voters<'a>(items: impl Iterator<Item = &'a str>) -> Result<BTreeMap<i32, QuorumAddress>, String> {
    let mut voters = BTreeMap::new();
    for item in items {
        let form = || format!("{item:?} is not id@host:port");
        let (id, rest) = item.split_once('@').ok_or_else(form)?;
        let id = id.trim().parse().ok().filter(|id| *id >= 0).ok_or_else(form)?;
        let address = address(rest.trim()).map_err(|_| form())?;
        if address.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
            return Err(format!("{item:?} is no address that another node could connect to"));
        }
        if let Some((other, _)) = voters.iter().find(|(_, known)| **known == address) {
            return Err(format!("nodes {other} and {id} have the same address"));
        }
        if voters.insert(id, address).is_some() {
            return Err(format!("node {id} is there twice"));
        }
    }
    Ok(voters)
}

/// Whether the address is that of a listener of this machine.
pub(super) fn is_at(listener: &Listener, address: &QuorumAddress, host_name: &str) -> bool {
    let local = |host: &str| host.eq_ignore_ascii_case("localhost") || host == host_name || host == "127.0.0.1";
    let same = listener.host.eq_ignore_ascii_case(&address.host);
    listener.port == address.port
        && (same || (local(&address.host) && (listener.is_wildcard() || listener.is_loopback())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_kafka_reads_them() {
        let at = |host: &str, port| Ok(QuorumAddress { host: host.to_owned(), port });
        assert_eq!(address("a.example:9093"), at("a.example", 9093));
        assert_eq!(address("[::1]:1"), at("::1", 1));
        for wrong in ["a", "a:", ":1", "a:0", "a:65536", "a b:1", ""] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
        let read = |items: &[&'static str]| voters(items.iter().copied());
        assert_eq!(read(&["1@a:1", " 2@b:1 ".trim(), "3@a:2"]).map(|voters| voters.len()), Ok(3));
        for (items, why) in [
            (&["a:1"][..], "is not id@host:port"),
            (&["-1@a:1"], "is not id@host:port"),
            (&["1@a"], "is not id@host:port"),
            (&["1@0.0.0.0:1"], "could connect to"),
            (&["1@a:1", "2@a:1"], "the same address"),
            (&["1@a:1", "1@b:1"], "there twice"),
        ] {
            assert!(read(items).is_err_and(|error| error.contains(why)), "{items:?}");
        }
    }
}
