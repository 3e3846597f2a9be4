//! Entries of the offset index.

use super::{Entry, be};

/// A batch begins at `position` and ends at `relative_offset` (above the segment's base offset).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) relative_offset: i32,
    pub(crate) position: i32,
}

impl Entry for OffsetEntry {
    const SIZE: usize = 8;

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(OffsetEntry {
            relative_offset: i32::from_be_bytes(be(bytes, 0)?),
            position: i32::from_be_bytes(be(bytes, 4)?),
        })
    }

    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.relative_offset.to_be_bytes());
        to.extend_from_slice(&self.position.to_be_bytes());
    }

    fn follows(&self, before: &Self) -> bool {
        self.relative_offset > before.relative_offset && self.position > before.position
    }

    /// Zeros are padding: a batch at position 0 needs no entry.
    fn may_be_first(&self) -> bool {
        self.relative_offset >= 0 && self.position > 0
    }
}
