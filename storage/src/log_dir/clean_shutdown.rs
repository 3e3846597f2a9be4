//! `.kafka_cleanshutdown`: the last process ended in order, so nothing below the recovery points has to be scanned.

/// Name of the file in a log directory.
pub(super) const FILE_NAME: &str = ".kafka_cleanshutdown";

/// Most bytes of such a file that are looked at.
pub(super) const MAX_LEN: usize = 4096;

/// The content of the file: the epoch that the broker had when it ended (KIP-966), -1 for none.
pub(super) fn encode(broker_epoch: i64) -> String {
    format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}")
}

/// The broker epoch in a file; `None` when there is none or the file cannot be understood. That the file is there says that the
/// end was clean, whatever it holds: older releases of Kafka leave it empty.
pub(super) fn broker_epoch(content: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(content).ok()?;
    let (_, rest) = text.split_once("\"brokerEpoch\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_epoch_is_found_where_there_is_one() {
        for (content, expected) in [
            (&b"{\"version\":0,\"brokerEpoch\":17}"[..], Some(17)),
            (b"{ \"brokerEpoch\" : 4 , \"version\" : 0 }", Some(4)),
            (encode(99).as_bytes(), Some(99)),
            (encode(-1).as_bytes(), None),
            (b"", None),
            (b"{\"brokerEpoch\":99999999999999999999}", None),
            (b"\xff", None),
        ] {
            assert_eq!(broker_epoch(content), expected);
        }
    }
}
