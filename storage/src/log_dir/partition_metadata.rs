//! `partition.metadata`: which incarnation of a topic a partition's directory belongs to.

use std::str::FromStr;

use goatq_protocol::Uuid;

/// Name of the file in a partition's directory.
pub const FILE_NAME: &str = "partition.metadata";

/// Most bytes of such a file that are looked at; Kafka's has 43.
pub const MAX_LEN: usize = 4096;

/// The content of the file, as Kafka writes it.
pub fn encode(topic_id: Uuid) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// The topic id in a file; the reason when it cannot be understood.
pub fn parse(content: &[u8]) -> Result<Uuid, String> {
    let text = std::str::from_utf8(content).map_err(|_| "not text".to_owned())?;
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.strip_prefix("version: ")).ok_or("no version in the first line")?;
    if version.trim() != "0" {
        return Err(format!("unknown version {version}"));
    }
    let id = lines.next().and_then(|line| line.strip_prefix("topic_id: ")).ok_or("no topic id in the second line")?;
    let id = Uuid::from_str(id.trim()).map_err(|_| format!("{id:?} is no topic id"))?;
    if id.is_zero() { Err("the topic id is zero".to_owned()) } else { Ok(id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_file_is_read_and_written() {
        let file = "version: 0\ntopic_id: 5Bc7sS2lQZmaQVzSUcR8Zg";
        let id = parse(file.as_bytes()).unwrap();
        assert_eq!(encode(id), file);
        assert_eq!(parse(format!("{file}\n").as_bytes()), Ok(id));
    }

    #[test]
    fn damaged_files_are_refused_with_a_reason() {
        for (content, reason) in [
            (&b""[..], "no version"),
            (b"version: 1\ntopic_id: 5Bc7sS2lQZmaQVzSUcR8Zg", "unknown version"),
            (b"version: 0\n", "no topic id"),
            (b"version: 0\ntopic_id: short", "is no topic id"),
            (b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", "zero"),
            (b"\xff\xfe", "not text"),
        ] {
            assert!(parse(content).unwrap_err().contains(reason), "{reason}");
        }
    }
}
