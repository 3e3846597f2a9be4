//! The sparse indexes beside a segment, in Kafka's formats.
//!
//! | file | entry | orders by | says |
//! |---|---|---|---|
//! | `.index` ([`offset`]) | relative offset i32, position i32 | both grow | a batch that ends at the offset begins at the position |
//! | `.timeindex` ([`time`]) | timestamp i64, relative offset i32 | both grow | no record up to the offset is newer than the timestamp |
//! | `.txnindex` ([`txn`]) | 34 bytes | last offset | a transaction that was aborted |
//!
//! All are big-endian. Kafka reserves the whole file at first, so the rest of a file that was copied from a running or killed broker
//! is zeros; [`sparse`] finds where the entries end. Indexes are never trusted: what an entry points to is checked against the
//! segment, and an index that lies is built again.

pub(crate) mod offset;
pub(crate) mod sparse;
pub(crate) mod time;
pub(crate) mod txn;

/// An entry of the two sparse indexes.
pub(crate) trait Entry: Copy + std::fmt::Debug + PartialEq {
    /// Bytes of an entry.
    const SIZE: usize;
    /// From exactly [`Self::SIZE`] bytes.
    fn decode(bytes: &[u8]) -> Option<Self>;
    /// Appends the bytes.
    fn encode(&self, to: &mut Vec<u8>);
    /// Whether this may stand right after `before`.
    fn follows(&self, before: &Self) -> bool;
    /// Whether this may stand first.
    fn may_be_first(&self) -> bool;
}

/// Reads a big-endian number of `N` bytes at `at`.
fn be<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
