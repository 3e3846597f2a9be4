//! What must always be true, one file each. Some are looked at all the time, some at the end.

pub mod acknowledged;
pub mod duplicates;
pub mod high_watermark;
pub mod in_sync;
pub mod metadata;
pub mod one_leader;
pub mod replicas;
pub mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use goatq_broker::node::Node;
use goatq_broker::partition::Partition;
use goatq_protocol::record::{Limits, split};

use super::history::{Place, Value};

/// A node that runs.
pub struct Sight {
    /// Its id.
    pub id: i32,
    /// The number of its life.
    pub life: u32,
    /// The node.
    pub node: Arc<Node>,
}

/// Something that must always be true.
pub trait Invariant {
    /// Looks at all nodes that run.
    ///
    /// # Errors
    /// It is not true.
    fn look(&mut self, nodes: &[Sight]) -> Result<(), String>;
}

/// All that are looked at all the time.
pub fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(one_leader::OneLeader::default()),
        Box::new(high_watermark::HighWatermark::default()),
        Box::new(metadata::SameMetadata::default()),
        Box::new(in_sync::InSyncHoldAll::default()),
    ]
}

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

/// Reads every log of every node, past the network and the brokers.
///
/// # Errors
/// A log cannot be read.
pub async fn read_all(nodes: &[Sight]) -> Result<Replicas, String> {
    let mut replicas = Replicas::new();
    for sight in nodes {
        for partition in sight.node.partitions().all() {
            let place = (partition.topic().to_owned(), partition.index());
            let replica = read(&partition).await.map_err(|error| format!("{place:?} of {}: {error}", sight.id))?;
            replicas.entry(place).or_default().insert(sight.id, replica);
        }
    }
    Ok(replicas)
}

async fn read(partition: &Partition) -> Result<Replica, String> {
    let log = partition.log();
    let mut replica = Replica { high_watermark: partition.high_watermark(), ..Replica::default() };
    let (mut offset, end) = (log.log_start_offset(), log.log_end_offset());
    while offset < end {
        let slice = log.read(offset, 1 << 20, end, true).map_err(|error| error.to_string())?;
        let chunks = slice.load().await.map_err(|error| error.to_string())?;
        let bytes = Bytes::from(chunks.concat());
        let from = offset;
        for batch in split(&bytes) {
            let batch = batch.map_err(|error| error.to_string())?;
            batch.verify_crc().map_err(|error| error.to_string())?;
            for record in batch.records(Limits::default()) {
                let record = record.map_err(|error| error.to_string())?;
                let value = record.value.as_deref().and_then(Value::from_bytes);
                let epoch = batch.header().partition_leader_epoch;
                replica.records.insert(record.offset, Stored { epoch, value });
            }
            offset = batch.header().next_offset();
        }
        if offset == from {
            return Err(format!("nothing at {offset}, below the end {end}"));
        }
    }
    Ok(replica)
}
