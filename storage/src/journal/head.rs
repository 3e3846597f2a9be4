//! The head of the journal: which of its frames count.
//!
//! ```text
//! goatq-journal 1
//! incarnation 7
//! void 17 orders-0          frames hold nothing of orders-0 from a history before 17
//! crc 1a2b3c4d              CRC-32C of all before, in hex
//! ```
//!
//! Replaced as a whole, durably. Frames of another incarnation are worth nothing, so that raising it empties the journal.

use std::{collections::BTreeMap, fmt::Write, io, path::Path};

use crate::io::{Disk, read_small_file, replace_file};

/// Its name; those of the slots begin with it. Not a directory: Kafka takes every directory beside its logs for one.
pub(crate) const FILE_NAME: &str = ".goatq-journal";
const MAX_LEN: usize = 64 << 20;
const FIRST_LINE: &str = "goatq-journal 1";

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Of the frames that count.
    pub(crate) incarnation: u64,
    /// By directory name of a log: the first history of it whose entries count.
    pub(crate) voids: BTreeMap<String, u64>,
}

impl Head {
    pub(crate) fn encode(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nincarnation {}\n", self.incarnation);
        for (name, history) in &self.voids {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "void {history} {name}");
        }
        let crc = crc32c::crc32c(text.as_bytes());
        let _ = writeln!(text, "crc {crc:08x}");
        text
    }

    /// The reason when the content is not one.
    pub(crate) fn parse(content: &[u8]) -> Result<Head, String> {
        let text = std::str::from_utf8(content).map_err(|_| "it is not text".to_owned())?;
        let at = text.rfind("crc ").ok_or("it has no checksum")?;
        let (before, crc) = text.split_at(at);
        if crc.trim_end() != format!("crc {:08x}", crc32c::crc32c(before.as_bytes())) {
            return Err("its checksum is wrong".to_owned());
        }
        let mut lines = before.lines();
        let first = lines.next().unwrap_or_default();
        if first != FIRST_LINE {
            return Err(format!("{first:?} is not a version that this program knows"));
        }
        let mut head = Head::default();
        for line in lines {
            let unusable = || format!("unusable line {line:?}");
            match line.split_once(' ').ok_or_else(unusable)? {
                ("incarnation", number) => head.incarnation = number.parse().map_err(|_| unusable())?,
                ("void", rest) => {
                    let (history, name) = rest.split_once(' ').ok_or_else(unusable)?;
                    head.voids.insert(name.to_owned(), history.parse().map_err(|_| unusable())?);
                }
                _ => return Err(unusable()),
            }
        }
        Ok(head)
    }

    /// The head in a directory; `None` when there is none.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Head>> {
        let path = dir.join(FILE_NAME);
        let content = match read_small_file(disk, &path, MAX_LEN) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            content => content?,
        };
        let damaged = |reason| {
            let text = format!(
                "{} is damaged ({reason}): what was acknowledged just before the last crash may be in the journal only. Restore \
                 that file; or remove it to start without",
                path.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        Head::parse(&content).map(Some).map_err(damaged)
    }

    /// Replaces it, durably. Blocks.
    pub(crate) fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        replace_file(disk, &dir.join(FILE_NAME), self.encode().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_written() {
        let voids = BTreeMap::from([("a-0".to_owned(), 7), ("crc 1-2".to_owned(), u64::MAX)]);
        let head = Head { incarnation: 12, voids };
        assert_eq!(Head::parse(head.encode().as_bytes()), Ok(head.clone()));
        assert_eq!(Head::parse(Head::default().encode().as_bytes()), Ok(Head::default()));
    }

    #[test]
    fn damage_is_told() {
        let text = Head { incarnation: 12, voids: BTreeMap::from([("a-0".to_owned(), 7)]) }.encode();
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] ^= 1;
            let same = Head::parse(&damaged).is_ok_and(|head| head.encode() == text);
            assert!(Head::parse(&damaged).is_err() || same, "byte {at}");
        }
        assert!(Head::parse(b"").is_err() && Head::parse(b"\xff").is_err());
        let newer = "goatq-journal 2\nincarnation 1\n";
        let newer = format!("{newer}crc {:08x}\n", crc32c::crc32c(newer.as_bytes()));
        assert!(Head::parse(newer.as_bytes()).unwrap_err().contains("version"));
    }
}
