//! Records of a coordinator as batches.

use bytes::Bytes;
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};

use super::machine::EncodedRecord;

/// Upper bound of what a record takes in a batch beyond its key and value: five lengths and deltas.
const RECORD_OVERHEAD: usize = 48;
/// Bytes of a batch that are not records.
const BATCH_OVERHEAD: usize = 61;

/// Cuts records into batches: one, or if they are `divisible` as many as it takes for none to exceed `max_bytes` (a
/// single record that does stays alone). No records, no batches.
pub(super) fn cut(records: &[EncodedRecord], divisible: bool, max_bytes: usize) -> Vec<&[EncodedRecord]> {
    if !divisible {
        return if records.is_empty() { Vec::new() } else { vec![records] };
    }
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, BATCH_OVERHEAD);
    for (index, record) in records.iter().enumerate() {
        let size = record.key.len() + record.value.as_ref().map_or(0, Bytes::len) + RECORD_OVERHEAD;
        if index > start && bytes + size > max_bytes {
            parts.push(&records[start..index]);
            (start, bytes) = (index, BATCH_OVERHEAD);
        }
        bytes += size;
    }
    if start < records.len() {
        parts.push(&records[start..]);
    }
    parts
}

/// One batch of these records; `None` when they do not fit one.
pub(super) fn build(records: &[EncodedRecord], now_ms: i64) -> Option<Bytes> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for record in records {
        let (key, value) = (Some(&record.key[..]), record.value.as_deref());
        builder.push(NewRecord { timestamp: now_ms, key, value, headers: &[] }).ok()?;
    }
    builder.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(len: usize) -> EncodedRecord {
        EncodedRecord { key: Bytes::from(vec![0; len]), value: None }
    }

    #[test]
    fn cuts_what_may_be_cut() {
        let records: Vec<_> = [100, 100, 5_000, 100].into_iter().map(record).collect();
        let lens = |divisible| cut(&records, divisible, 400).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(lens(true), [2, 1, 1]);
        assert_eq!(lens(false), [4]);
        assert!(cut(&[], false, 400).is_empty() && cut(&[], true, 400).is_empty());
    }

    #[test]
    fn what_is_cut_fits_when_built() {
        let records: Vec<_> = (0..200).map(|n| record(n % 37)).collect();
        for part in cut(&records, true, 700) {
            assert!(build(part, 1).is_some_and(|batch| batch.len() <= 700));
        }
    }
}
