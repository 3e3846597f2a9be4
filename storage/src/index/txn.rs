//! Entries of the transaction index: the aborted transactions whose marker is in the segment, 34 bytes each.

use super::be;
use crate::log::AbortedTxn;

/// Bytes of an entry.
pub(crate) const ENTRY_SIZE: usize = 34;

const VERSION: i16 = 0;

/// Appends the bytes of an entry.
pub(crate) fn encode(txn: &AbortedTxn, to: &mut Vec<u8>) {
    to.extend_from_slice(&VERSION.to_be_bytes());
    for field in [txn.producer_id, txn.first_offset, txn.last_offset, txn.last_stable_offset] {
        to.extend_from_slice(&field.to_be_bytes());
    }
}

/// An entry; `None` when it has another version or offsets that cannot be, as where a crash left zeros.
pub(crate) fn decode(bytes: &[u8]) -> Option<AbortedTxn> {
    let version = i16::from_be_bytes(be(bytes, 0)?);
    let txn = AbortedTxn {
        producer_id: i64::from_be_bytes(be(bytes, 2)?),
        first_offset: i64::from_be_bytes(be(bytes, 10)?),
        last_offset: i64::from_be_bytes(be(bytes, 18)?),
        last_stable_offset: i64::from_be_bytes(be(bytes, 26)?),
    };
    let sane = version == VERSION
        && txn.producer_id >= 0
        && txn.first_offset >= 0
        && txn.first_offset < txn.last_offset
        && txn.last_stable_offset >= 0;
    sane.then_some(txn)
}

/// Whether a consumer of `from..upper` needs to know it.
pub(crate) fn concerns(txn: &AbortedTxn, from: i64, upper: i64) -> bool {
    txn.last_offset >= from && txn.first_offset < upper
}
