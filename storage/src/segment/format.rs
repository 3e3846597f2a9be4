//! Names of the files in a partition's directory.
//!
//! `%020d.log`, `.index`, `.timeindex`, `.txnindex` by the base offset of their segment, and `%020d.snapshot` by the offset as of
//! which it holds the producers. A suffix says that the file is not part of the log (any more, or yet):
//!
//! - `.deleted`: removed, waiting for readers under way; removed at start;
//! - `.cleaned`: being written by compaction; removed at start;
//! - `.swap`: written by compaction and complete, about to replace the segments it was made from; taken over at start;
//! - `.tmp`: an index or snapshot being written anew; removed at start.

use std::fmt;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    TxnIndex,
    Snapshot,
}

impl FileKind {
    const ALL: [FileKind; 5] =
        [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex, FileKind::TxnIndex, FileKind::Snapshot];

    fn extension(self) -> &'static str {
        match self {
            FileKind::Log => ".log",
            FileKind::OffsetIndex => ".index",
            FileKind::TimeIndex => ".timeindex",
            FileKind::TxnIndex => ".txnindex",
            FileKind::Snapshot => ".snapshot",
        }
    }
}

/// Whether a file is part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Suffix {
    None,
    Deleted,
    Cleaned,
    Swap,
    Tmp,
}

impl Suffix {
    const ALL: [Suffix; 5] = [Suffix::None, Suffix::Deleted, Suffix::Cleaned, Suffix::Swap, Suffix::Tmp];

    fn as_str(self) -> &'static str {
        match self {
            Suffix::None => "",
            Suffix::Deleted => ".deleted",
            Suffix::Cleaned => ".cleaned",
            Suffix::Swap => ".swap",
            Suffix::Tmp => ".tmp",
        }
    }
}

/// The name of a file of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileName {
    pub(crate) base_offset: i64,
    pub(crate) kind: FileKind,
    pub(crate) suffix: Suffix,
}

impl FileName {
    /// The name of a live file.
    pub(crate) fn live(base_offset: i64, kind: FileKind) -> FileName {
        FileName { base_offset, kind, suffix: Suffix::None }
    }

    /// Takes a name apart; `None` for files that are no part of a segment.
    pub(crate) fn parse(name: &str) -> Option<FileName> {
        let (digits, rest) = name.split_at_checked(20)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let base_offset = digits.parse().ok()?;
        for kind in FileKind::ALL {
            for suffix in Suffix::ALL {
                if rest.strip_prefix(kind.extension()) == Some(suffix.as_str()) {
                    return Some(FileName { base_offset, kind, suffix });
                }
            }
        }
        None
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}{}{}", self.base_offset, self.kind.extension(), self.suffix.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_kafkas() {
        let name = FileName::live(42, FileKind::TimeIndex);
        assert_eq!(name.to_string(), "00000000000000000042.timeindex");
        let swap = FileName { base_offset: i64::MAX, kind: FileKind::Log, suffix: Suffix::Swap };
        assert_eq!(swap.to_string(), "09223372036854775807.log.swap");
        for other in
            ["leader-epoch-checkpoint", "00000000000000000042.logs", "0042.log", "99999999999999999999.log", "é"]
        {
            assert_eq!(FileName::parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(base_offset in 0..i64::MAX, kind in prop::sample::select(&FileKind::ALL[..]),
                       suffix in prop::sample::select(&Suffix::ALL[..])) {
            let name = FileName { base_offset, kind, suffix };
            prop_assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }

        #[test]
        fn any_text_is_a_name_or_none(text in "\\PC*") {
            if let Some(name) = FileName::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
