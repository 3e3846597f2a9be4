//! Entries of the time index.

use super::{Entry, be};

/// No record up to `relative_offset` (above the segment's base offset) has a timestamp above `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) relative_offset: i32,
}

impl Entry for TimeEntry {
    const SIZE: usize = 12;

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(TimeEntry {
            timestamp: i64::from_be_bytes(be(bytes, 0)?),
            relative_offset: i32::from_be_bytes(be(bytes, 8)?),
        })
    }

    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.timestamp.to_be_bytes());
        to.extend_from_slice(&self.relative_offset.to_be_bytes());
    }

    fn follows(&self, before: &Self) -> bool {
        self.timestamp > before.timestamp && self.relative_offset >= before.relative_offset
    }

    /// A first entry of zeros cannot be told from padding and says nothing either.
    fn may_be_first(&self) -> bool {
        self.timestamp >= 0 && self.relative_offset >= 0 && (self.timestamp, self.relative_offset) != (0, 0)
    }
}
