//! What must be true at the end: of all that clients were told and saw, and of every replica's log.

pub mod acknowledged;
pub mod duplicates;
pub mod replicas;

use std::collections::BTreeMap;

use bytes::Bytes;
use goatq_protocol::record::{Limits, split};

use super::history::{History, Place, Value};

/// A record in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its leader epoch.
    pub epoch: i32,
    /// Its value, if it is one of the workload's.
    pub value: Option<Value>,
}

/// The log of one replica.
#[derive(Debug, Default)]
pub struct Replica {
    /// What it takes for committed.
    pub high_watermark: i64,
    /// Its records by offset.
    pub records: BTreeMap<i64, Stored>,
}

/// Every replica of the partitions of clients, by node.
pub type Replicas = BTreeMap<Place, BTreeMap<i32, Replica>>;

impl Replica {
    /// Takes the records of whole batches; the offset behind them, if there are any.
    ///
    /// # Errors
    /// They are damaged.
    pub fn take(&mut self, bytes: &Bytes) -> Result<Option<i64>, String> {
        let mut next = None;
        for batch in split(bytes) {
            let batch = batch.map_err(|error| error.to_string())?;
            batch.verify_crc().map_err(|error| error.to_string())?;
            for record in batch.records(Limits::default()) {
                let record = record.map_err(|error| error.to_string())?;
                let value = record.value.as_deref().and_then(Value::from_bytes);
                let epoch = batch.header().partition_leader_epoch;
                self.records.insert(record.offset, Stored { epoch, value });
            }
            next = Some(batch.header().next_offset());
        }
        Ok(next)
    }
}

/// Everything that is wrong with a history and what replicas have at the end of it.
pub fn check(history: &History, replicas: &Replicas) -> Vec<String> {
    let mut wrong = acknowledged::check(history, replicas);
    wrong.extend(duplicates::check(history, replicas));
    wrong.extend(replicas::check(history, replicas));
    wrong
}
