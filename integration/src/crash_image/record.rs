//! Records that tell who they are.

use bytes::Bytes;
use goatq_protocol::record::{BatchBuilder, BatchOptions, Compression, NewRecord, Record, RecordHeader};

/// Name of the header that holds the [`Id`].
const HEADER: &[u8] = b"id";
const ID_LEN: usize = 24;
/// Keys of a partition of a compacted topic.
const KEYS: u64 = 40;
/// One record in so many of a compacted topic has no value.
const TOMBSTONES: u64 = 9;

/// Which record it is. Key and value follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id {
    /// Number of the topic among all that were ever created, so that an old one of the same name is told from a new one.
    pub topic: u32,
    /// The partition.
    pub partition: i32,
    /// The producer.
    pub producer: u32,
    /// Number of the batch among those of this producer for this partition.
    pub batch: u32,
    /// Number of the record in the batch.
    pub index: u32,
    /// Bytes of the value.
    pub size: u32,
}

impl Id {
    fn to_bytes(self) -> [u8; ID_LEN] {
        let mut bytes = [0; ID_LEN];
        let words = [self.topic, self.partition as u32, self.producer, self.batch, self.index, self.size];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; ID_LEN]) -> Self {
        let word = |n: usize| u32::from_be_bytes([bytes[4 * n], bytes[4 * n + 1], bytes[4 * n + 2], bytes[4 * n + 3]]);
        let partition = word(1) as i32;
        Self { topic: word(0), partition, producer: word(2), batch: word(3), index: word(4), size: word(5) }
    }

    fn hash(self) -> u64 {
        let [a, b, c] = [(self.topic, self.partition as u32), (self.producer, self.batch), (self.index, 0)]
            .map(|(high, low)| u64::from(high) << 32 | u64::from(low));
        scatter(scatter(scatter(a) ^ b) ^ c)
    }

    /// Which of the keys of its partition it has.
    pub fn key(self) -> u64 {
        self.hash() % KEYS
    }

    fn is_tombstone(self) -> bool {
        (self.hash() / KEYS).is_multiple_of(TOMBSTONES)
    }

    fn value(self) -> Vec<u8> {
        let mut state = self.hash();
        let mut value = Vec::with_capacity(self.size as usize + 8);
        while value.len() < self.size as usize {
            state = scatter(state);
            value.extend_from_slice(&state.to_le_bytes());
        }
        value.truncate(self.size as usize);
        value
    }

    /// What a record that was found says it is; the text is what is wrong with it.
    pub fn of(record: &Record, keyed: bool) -> Result<Self, String> {
        let header = record.headers.iter().find(|header| header.key == HEADER);
        let id = header.and_then(|header| header.value.as_deref()?.try_into().ok());
        let id = Self::from_bytes(id.ok_or("no id")?);
        let key = keyed.then(|| id.key().to_be_bytes());
        if record.key.as_deref() != key.as_ref().map(|key| &key[..]) {
            return Err(format!("{id:?} has key {:?}", record.key));
        }
        let value = (!keyed || !id.is_tombstone()).then(|| id.value());
        if record.value.as_deref() != value.as_deref() {
            return Err(format!("{id:?} has another value"));
        }
        Ok(id)
    }
}

/// One step of SplitMix64.
fn scatter(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What a producer puts into its batches besides the records.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i16,
    /// Sequence of the first record.
    pub sequence: i32,
    /// Time stamp of all records.
    pub now_ms: i64,
    /// Codec.
    pub codec: Compression,
}

/// A batch of records with consecutive indexes from that of `first` (0), of these sizes.
///
/// # Errors
/// The batch would be too large.
pub fn batch(first: Id, sizes: &[u32], keyed: bool, stamp: Stamp) -> anyhow::Result<Bytes> {
    let mut builder = BatchBuilder::new(BatchOptions {
        compression: stamp.codec,
        producer_id: stamp.id,
        producer_epoch: stamp.epoch,
        base_sequence: stamp.sequence,
        ..BatchOptions::default()
    });
    for (index, &size) in (0..).zip(sizes) {
        let id = Id { index, size, ..first };
        let key = keyed.then(|| id.key().to_be_bytes());
        let value = (!keyed || !id.is_tombstone()).then(|| id.value());
        let bytes = Bytes::copy_from_slice(&id.to_bytes());
        builder.push(NewRecord {
            timestamp: stamp.now_ms,
            key: key.as_ref().map(|key| &key[..]),
            value: value.as_deref(),
            headers: &[RecordHeader { key: Bytes::from_static(HEADER), value: Some(bytes) }],
        })?;
    }
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests {
    use goatq_protocol::record::{Batch, Limits};

    use super::*;

    const FIRST: Id = Id { topic: 3, partition: 7, producer: 1, batch: 9, index: 0, size: 0 };

    fn records(keyed: bool) -> Vec<Record> {
        let stamp = Stamp { id: 5, epoch: 0, sequence: 0, now_ms: 1, codec: Compression::Lz4 };
        let bytes = batch(FIRST, &[10, 0, 300, 20, 20, 20, 20, 20, 20, 20, 20, 20], keyed, stamp).unwrap();
        Batch::parse(bytes).unwrap().records(Limits::default()).map(Result::unwrap).collect()
    }

    #[test]
    fn records_tell_who_they_are() {
        for keyed in [false, true] {
            for (index, record) in (0..).zip(records(keyed)) {
                let id = Id::of(&record, keyed).unwrap();
                assert_eq!((Id { size: 0, ..id }, keyed), (Id { index, ..FIRST }, record.key.is_some()));
            }
        }
    }

    #[test]
    fn a_changed_record_is_found() {
        let mut record = records(false).swap_remove(2);
        let mut value = record.value.unwrap().to_vec();
        value[250] ^= 1;
        record.value = Some(value.into());
        assert!(Id::of(&record, false).unwrap_err().contains("another value"));
        let mut record = records(true).swap_remove(0);
        record.key = Some(Bytes::from_static(b"else"));
        assert!(Id::of(&record, true).unwrap_err().contains("has key"));
    }
}
