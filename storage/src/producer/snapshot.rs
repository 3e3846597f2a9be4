//! Producer snapshots: `%020d.snapshot`, the producers as of the offset in the name.
//!
//! Kafka's format, version 1: version i16, CRC-32C u32 of everything behind it, number of producers i32, and for each producer
//! 46 bytes: id i64, epoch i16, last sequence i32, last offset i64, offset delta i32, timestamp i64, coordinator epoch i32, first
//! offset of the open transaction i64 (-1 for none).
//!
//! Kafka keeps the last batch only, so after its restart the repeat of an earlier one is an error. We append a section that Kafka does
//! not read (the CRC covers it): `gqb1`, number of producers i32, for each the id i64, a count u8 and that many earlier batches of
//! 24 bytes (last sequence i32, last offset i64, offset delta i32, timestamp i64). A snapshot without it is as good.

use std::collections::{BTreeMap, VecDeque};

use super::state::{KNOWN_BATCHES, KnownBatch, Producer, ProducerState};

const VERSION: i16 = 1;
const HEADER_SIZE: usize = 10;
const ENTRY_SIZE: usize = 46;
const EARLIER_MAGIC: &[u8; 4] = b"gqb1";

/// The longest snapshot that is read: several times what [`super::state::MAX_PRODUCERS`] need.
pub(crate) const MAX_SNAPSHOT_BYTES: usize = 64 << 20;

/// Why a snapshot cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("the snapshot is cut short")]
    Short,
    #[error("snapshot version {0} is unknown")]
    Version(i16),
    #[error("the snapshot's CRC does not match")]
    Crc,
    #[error("the snapshot has a field that cannot be: {0}")]
    Field(&'static str),
}

/// The bytes of a snapshot.
pub(crate) fn encode(state: &ProducerState) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_SIZE + state.len() * ENTRY_SIZE);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    put_count(&mut bytes, state.len());
    for (id, producer) in state.iter() {
        put_entry(&mut bytes, id, producer);
    }
    let with_earlier: Vec<_> = state.iter().filter(|(_, producer)| producer.batches.len() > 1).collect();
    if !with_earlier.is_empty() {
        bytes.extend_from_slice(EARLIER_MAGIC);
        put_count(&mut bytes, with_earlier.len());
        for (id, producer) in with_earlier {
            put_earlier(&mut bytes, id, producer);
        }
    }
    let crc = crc32c::crc32c(&bytes[6..]);
    bytes[2..6].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    let count = i32::try_from(count).expect("the number of producers is bounded");
    bytes.extend_from_slice(&count.to_be_bytes());
}

fn put_batch(bytes: &mut Vec<u8>, batch: &KnownBatch) {
    bytes.extend_from_slice(&batch.last_sequence.to_be_bytes());
    bytes.extend_from_slice(&batch.last_offset.to_be_bytes());
    bytes.extend_from_slice(&batch.offset_delta.to_be_bytes());
    bytes.extend_from_slice(&batch.timestamp.to_be_bytes());
}

fn put_entry(bytes: &mut Vec<u8>, id: i64, producer: &Producer) {
    let none = KnownBatch { last_sequence: -1, last_offset: -1, offset_delta: 0, timestamp: producer.last_timestamp };
    let mut last = producer.batches.back().copied().unwrap_or(none);
    // Markers move this as well.
    last.timestamp = producer.last_timestamp;
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&producer.epoch.to_be_bytes());
    put_batch(bytes, &last);
    bytes.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
    bytes.extend_from_slice(&producer.txn_first_offset.unwrap_or(-1).to_be_bytes());
}

fn put_earlier(bytes: &mut Vec<u8>, id: i64, producer: &Producer) {
    let earlier = producer.batches.len() - 1;
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.push(u8::try_from(earlier).expect("at most five batches are known"));
    for batch in producer.batches.iter().take(earlier) {
        put_batch(bytes, batch);
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(SnapshotError::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn i16(&mut self) -> Result<i16, SnapshotError> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, SnapshotError> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, SnapshotError> {
        self.take().map(i64::from_be_bytes)
    }

    /// A count of things of at least `size` bytes each, all of which must be there.
    fn count(&mut self, size: usize) -> Result<usize, SnapshotError> {
        let count = usize::try_from(self.i32()?).map_err(|_| SnapshotError::Field("count"))?;
        if count > self.rest.len() / size {
            return Err(SnapshotError::Short);
        }
        Ok(count)
    }

    fn batch(&mut self) -> Result<KnownBatch, SnapshotError> {
        let (last_sequence, last_offset) = (self.i32()?, self.i64()?);
        let (offset_delta, timestamp) = (self.i32()?, self.i64()?);
        Ok(KnownBatch { last_sequence, last_offset, offset_delta, timestamp })
    }

    fn entry(&mut self) -> Result<(i64, Producer), SnapshotError> {
        let id = self.i64()?;
        let epoch = self.i16()?;
        let last = self.batch()?;
        let coordinator_epoch = self.i32()?;
        let txn_first_offset = self.i64()?;
        if id < 0 {
            return Err(SnapshotError::Field("producer id"));
        }
        let known = last.last_sequence >= 0;
        if known && (last.offset_delta < 0 || last.last_offset < i64::from(last.offset_delta)) {
            return Err(SnapshotError::Field("offset"));
        }
        let producer = Producer {
            epoch,
            coordinator_epoch,
            last_timestamp: last.timestamp,
            txn_first_offset: (txn_first_offset >= 0).then_some(txn_first_offset),
            batches: if known { VecDeque::from([last]) } else { VecDeque::new() },
        };
        Ok((id, producer))
    }
}

/// The producers in the bytes of a snapshot.
pub(crate) fn decode(bytes: &[u8]) -> Result<ProducerState, SnapshotError> {
    let mut cursor = Cursor { rest: bytes };
    let version = cursor.i16()?;
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let crc = u32::from_be_bytes(cursor.take()?);
    if crc32c::crc32c(cursor.rest) != crc {
        return Err(SnapshotError::Crc);
    }
    let mut producers = BTreeMap::new();
    for _ in 0..cursor.count(ENTRY_SIZE)? {
        let (id, producer) = cursor.entry()?;
        producers.insert(id, producer);
    }
    if cursor.rest.starts_with(EARLIER_MAGIC) {
        cursor.rest = &cursor.rest[EARLIER_MAGIC.len()..];
        earlier(&mut cursor, &mut producers)?;
    }
    Ok(ProducerState::from_producers(producers))
}

fn earlier(cursor: &mut Cursor<'_>, producers: &mut BTreeMap<i64, Producer>) -> Result<(), SnapshotError> {
    for _ in 0..cursor.count(9)? {
        let id = cursor.i64()?;
        let [count] = cursor.take::<1>()?;
        let mut batches = VecDeque::with_capacity(KNOWN_BATCHES);
        for _ in 0..count {
            let batch = cursor.batch()?;
            if batch.last_sequence < 0 || batch.offset_delta < 0 || batch.last_offset < i64::from(batch.offset_delta) {
                return Err(SnapshotError::Field("earlier batch"));
            }
            batches.push_back(batch);
        }
        if usize::from(count) >= KNOWN_BATCHES {
            return Err(SnapshotError::Field("earlier batches"));
        }
        let Some(producer) = producers.get_mut(&id) else { continue };
        batches.append(&mut producer.batches);
        producer.batches = batches;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batches() -> impl Strategy<Value = VecDeque<KnownBatch>> {
        let batch = (0..i32::MAX, 0..1000_i32, 0..1_i64 << 40, any::<i64>()).prop_map(
            |(last_sequence, offset_delta, offset, timestamp)| KnownBatch {
                last_sequence,
                last_offset: offset + i64::from(offset_delta),
                offset_delta,
                timestamp,
            },
        );
        proptest::collection::vec_deque(batch, 0..=KNOWN_BATCHES)
    }

    fn producer() -> impl Strategy<Value = Producer> {
        (batches(), any::<i16>(), any::<i32>(), any::<i64>(), proptest::option::of(0..1_i64 << 40)).prop_map(
            |(batches, epoch, coordinator_epoch, time, txn_first_offset)| {
                let last_timestamp = batches.back().map_or(time, |batch| batch.timestamp);
                Producer { epoch, coordinator_epoch, last_timestamp, txn_first_offset, batches }
            },
        )
    }

    fn state() -> impl Strategy<Value = ProducerState> {
        proptest::collection::btree_map(0..i64::MAX, producer(), 0..20).prop_map(ProducerState::from_producers)
    }

    proptest! {
        #[test]
        fn round_trips(state in state()) {
            prop_assert_eq!(decode(&encode(&state)), Ok(state));
        }

        #[test]
        fn any_bytes_are_an_error_or_a_state(bytes in proptest::collection::vec(any::<u8>(), 0..300), valid_crc: bool) {
            let mut bytes = bytes;
            if valid_crc && bytes.len() >= 6 {
                bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
                let crc = crc32c::crc32c(&bytes[6..]);
                bytes[2..6].copy_from_slice(&crc.to_be_bytes());
            }
            let _ = decode(&bytes);
        }

        #[test]
        fn a_damaged_snapshot_is_refused(state in state(), at: prop::sample::Index, bit in 0..8_u8, cut: prop::sample::Index) {
            let bytes = encode(&state);
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= 1 << bit;
            prop_assert!(decode(&flipped).is_err());
            prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
        }
    }

    #[test]
    fn reads_what_kafka_writes() {
        // One producer, id 7, epoch 2: last sequence 9 at offset 109, ten records, no open transaction; without our section.
        let mut bytes = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        bytes.extend_from_slice(&7_i64.to_be_bytes());
        bytes.extend_from_slice(&[0, 2, 0, 0, 0, 9]);
        bytes.extend_from_slice(&109_i64.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 9]);
        bytes.extend_from_slice(&1_000_i64.to_be_bytes());
        bytes.extend_from_slice(&(-1_i32).to_be_bytes());
        bytes.extend_from_slice(&(-1_i64).to_be_bytes());
        let crc = crc32c::crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        let state = decode(&bytes).unwrap();
        let (id, producer) = state.iter().next().unwrap();
        assert_eq!((id, producer.epoch, producer.batches[0].base_offset()), (7, 2, 100));
        assert_eq!(producer.batches[0].base_sequence(), 0);
        assert_eq!(encode(&state), bytes);
    }
}
