//! Keys and values of control records: transaction markers (KIP-98) and the records of the Raft log (KIP-595, KIP-853).
//!
//! A control batch holds one record whose key is a version and a type, both 16 bits, and whose value has a version of its own.

use bytes::Bytes;

use super::{Batch, BatchBuilder, BatchError, BatchOptions, BuildError, Limits, NewRecord};

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlRecordType {
    /// A transaction of the batch's producer was aborted.
    Abort,
    /// A transaction of the batch's producer was committed.
    Commit,
    /// A new leader of the Raft log.
    LeaderChange,
    /// First record of a snapshot.
    SnapshotHeader,
    /// Last record of a snapshot.
    SnapshotFooter,
    /// Version of the Raft protocol.
    KraftVersion,
    /// Voters of the Raft quorum.
    KraftVoters,
    /// A type of a later Kafka: to be skipped.
    Unknown(i16),
}

impl ControlRecordType {
    /// The number in the key.
    pub fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KraftVersion => 5,
            Self::KraftVoters => 6,
            Self::Unknown(id) => id,
        }
    }

    /// The type with this number.
    pub fn from_id(id: i16) -> Self {
        match id {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KraftVersion,
            6 => Self::KraftVoters,
            id => Self::Unknown(id),
        }
    }

    /// The type that a control record's key names; `None` when it is too short or has a negative version. Bytes behind the
    /// type belong to later versions and are skipped.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let [v0, v1, t0, t1] = *key.first_chunk()?;
        (i16::from_be_bytes([v0, v1]) >= 0).then(|| Self::from_id(i16::from_be_bytes([t0, t1])))
    }

    /// The key of such a control record, in version 0.
    pub fn to_key(self) -> [u8; 4] {
        let [t0, t1] = self.id().to_be_bytes();
        [0, 0, t0, t1]
    }
}

/// The end of a transaction, as the transaction coordinator has it written into every partition of the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Committed, or aborted.
    pub committed: bool,
    /// Epoch of the coordinator, by which a later one fences it.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// The marker in a control record; `None` for other control records and for malformed ones.
    pub fn parse(key: &[u8], value: &[u8]) -> Option<Self> {
        let committed = match ControlRecordType::from_key(key)? {
            ControlRecordType::Abort => false,
            ControlRecordType::Commit => true,
            _ => return None,
        };
        let [v0, v1, epoch @ ..] = *value.first_chunk::<6>()?;
        (i16::from_be_bytes([v0, v1]) >= 0).then(|| Self { committed, coordinator_epoch: i32::from_be_bytes(epoch) })
    }

    /// The type of its control record.
    pub fn record_type(self) -> ControlRecordType {
        if self.committed { ControlRecordType::Commit } else { ControlRecordType::Abort }
    }

    /// Its record's value, in version 0.
    pub fn to_value(self) -> [u8; 6] {
        let [e0, e1, e2, e3] = self.coordinator_epoch.to_be_bytes();
        [0, 0, e0, e1, e2, e3]
    }

    /// A batch with this marker for the transaction of a producer.
    ///
    /// # Errors
    /// [`BuildError`], though one small record does not give it reason to.
    pub fn to_batch(self, producer_id: i64, producer_epoch: i16, timestamp_ms: i64) -> Result<Batch, BuildError> {
        let options =
            BatchOptions { producer_id, producer_epoch, transactional: true, control: true, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        let (key, value) = (self.record_type().to_key(), self.to_value());
        builder.push(NewRecord { timestamp: timestamp_ms, key: Some(&key), value: Some(&value), headers: &[] })?;
        builder.build_batch()
    }
}

/// What a control batch says: type and value of its one record. `None` for other batches and for empty ones.
///
/// # Errors
/// [`BatchError`] when the record cannot be read; a key that is too short gives type `Unknown(-1)`.
pub fn control_record(batch: &Batch) -> Result<Option<(ControlRecordType, Bytes)>, BatchError> {
    if !batch.header().is_control() {
        return Ok(None);
    }
    let Some(record) = batch.records(Limits::default()).next().transpose()? else { return Ok(None) };
    let kind = record.key.as_deref().and_then(ControlRecordType::from_key);
    Ok(Some((kind.unwrap_or(ControlRecordType::Unknown(-1)), record.value.unwrap_or_default())))
}

/// The transaction marker of a control batch; `None` for all other batches.
///
/// # Errors
/// As [`control_record`].
pub fn end_txn_marker(batch: &Batch) -> Result<Option<EndTxnMarker>, BatchError> {
    let Some((kind, value)) = control_record(batch)? else { return Ok(None) };
    Ok(EndTxnMarker::parse(&kind.to_key(), &value))
}
