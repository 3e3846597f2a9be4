//! An entry of the metadata log as one record batch of one record.
//!
//! | entry | batch | key | value |
//! |---|---|---|---|
//! | change of metadata | data | none | version (i16, 0), `based_on` (i64), records |
//! | first of a term | control | `LEADER_CHANGE` | empty |
//! | membership | control | `KRAFT_VOTERS` | [`super::membership`] |
//!
//! The index is the offset and the term is the leader epoch of the batch, so one batch holds one record whatever it carries: offsets
//! count entries. Everything that serves partition logs serves this one as well: CRC, recovery, truncation, `log dump`.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use goatq_protocol::record::{
    Batch, BatchBuilder, BatchError, BatchOptions, Limits, NewRecord, control::ControlRecordType,
};
use openraft::EntryPayload;

use super::{Entry, EntryData, log_id, membership};

/// Version of a data value.
const DATA_VERSION: i16 = 0;
/// Bytes of a data value before its records.
const DATA_HEAD: usize = 10;

/// Largest entry in bytes of encoded records. Far above what decisions make, far below what a batch can hold.
pub const MAX_ENTRY: usize = 256 << 20;

/// Why an entry cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Index or term beyond what a batch can hold.
    #[error("term {term}, index {index} do not fit a record batch")]
    Position {
        /// The term.
        term: u64,
        /// The index.
        index: u64,
    },
    /// Not written.
    #[error("entry {index} cannot be written: {reason}")]
    Write {
        /// The index.
        index: u64,
        /// Why.
        reason: String,
    },
    /// The batch is damaged.
    #[error("entry at offset {offset}: {source}")]
    Batch {
        /// Its offset.
        offset: i64,
        /// What is wrong.
        source: BatchError,
    },
    /// The batch is in order but no entry.
    #[error("entry at offset {offset}: {reason}")]
    Content {
        /// Its offset.
        offset: i64,
        /// What is wrong.
        reason: String,
    },
}

/// Writes an entry.
pub fn encode(entry: &Entry) -> Result<Batch, EntryError> {
    let (term, index) = (entry.log_id.leader_id.term, entry.log_id.index);
    let position = EntryError::Position { term, index };
    let (Ok(base_offset), Ok(partition_leader_epoch)) = (i64::try_from(index), i32::try_from(term)) else {
        return Err(position);
    };
    let failed = |reason: String| EntryError::Write { index, reason };
    let (control, value) = match &entry.payload {
        EntryPayload::Normal(data) => (None, encode_data(data)),
        EntryPayload::Blank => (Some(ControlRecordType::LeaderChange), Bytes::new()),
        EntryPayload::Membership(membership) => {
            let value = membership::encode(membership).map_err(|error| failed(error.to_string()))?;
            (Some(ControlRecordType::KraftVoters), value)
        }
    };
    let options =
        BatchOptions { base_offset, partition_leader_epoch, control: control.is_some(), ..BatchOptions::default() };
    let key = control.map(ControlRecordType::to_key);
    let mut builder = BatchBuilder::new(options);
    let record = NewRecord { timestamp: 0, key: key.as_ref().map(|key| &key[..]), value: Some(&value), headers: &[] };
    builder.push(record).map_err(|error| failed(error.to_string()))?;
    builder.build_batch().map_err(|error| failed(error.to_string()))
}

fn encode_data(data: &EntryData) -> Bytes {
    let mut value = BytesMut::with_capacity(DATA_HEAD + data.records.len());
    value.put_i16(DATA_VERSION);
    value.put_i64(data.based_on);
    value.put_slice(&data.records);
    value.freeze()
}

/// Reads an entry. The batch's CRC is checked here.
pub fn decode(batch: &Batch) -> Result<Entry, EntryError> {
    let header = batch.header();
    let offset = header.base_offset;
    let content = |reason: &str| EntryError::Content { offset, reason: reason.to_owned() };
    batch.verify_crc().map_err(|source| EntryError::Batch { offset, source })?;
    let (Ok(index), Ok(term)) = (u64::try_from(offset), u64::try_from(header.partition_leader_epoch)) else {
        return Err(content("its offset or leader epoch is negative"));
    };
    let mut records = batch.records(Limits { max_decompressed_bytes: MAX_ENTRY as u64 });
    let record = records.next().ok_or_else(|| content("it has no record"))?;
    let record = record.map_err(|source| EntryError::Batch { offset, source })?;
    if records.next().is_some() || header.last_offset() != offset {
        return Err(content("it has more than one record"));
    }
    let value = record.value.ok_or_else(|| content("it has no value"))?;
    let payload = if header.is_control() {
        match record.key.as_deref().and_then(ControlRecordType::from_key) {
            Some(ControlRecordType::LeaderChange) => EntryPayload::Blank,
            Some(ControlRecordType::KraftVoters) => {
                let membership = membership::decode(value).map_err(|error| content(&error.to_string()))?;
                EntryPayload::Membership(membership)
            }
            other => return Err(content(&format!("control record {other:?} is not known"))),
        }
    } else {
        EntryPayload::Normal(decode_data(value).ok_or_else(|| content("its value is of an unknown version"))?)
    };
    Ok(Entry { log_id: log_id(term, index), payload })
}

fn decode_data(mut value: Bytes) -> Option<EntryData> {
    if value.len() < DATA_HEAD || value.get_i16() != DATA_VERSION {
        return None;
    }
    let based_on = value.get_i64();
    Some(EntryData { based_on, records: value })
}

#[cfg(test)]
mod tests;
