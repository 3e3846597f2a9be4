//! What must always be true, one file each: some are looked at all the time, some at the end, beside [`crate::traffic::verdict`].

pub mod coordinators;
pub mod high_watermark;
pub mod in_sync;
pub mod metadata;
pub mod one_leader;
pub mod topics;

use std::sync::Arc;

use bytes::Bytes;
use goatq_broker::node::Node;
use goatq_broker::partition::Partition;

use crate::traffic::verdict::{Replica, Replicas};

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

/// Reads every log of every node, past the network and the brokers. What bits that flipped have made unreadable is left out.
///
/// # Errors
/// A log cannot be read.
pub async fn read_all(nodes: &[Sight], rotten: Option<i32>) -> Result<Replicas, String> {
    let mut replicas = Replicas::new();
    for sight in nodes {
        for partition in sight.node.partitions().all() {
            let place = (partition.topic().to_owned(), partition.index());
            let replica = match read(&partition).await {
                Err(_) if rotten == Some(sight.id) => continue,
                replica => replica.map_err(|error| format!("{place:?} of {}: {error}", sight.id))?,
            };
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
        offset = replica.take(&bytes)?.ok_or_else(|| format!("nothing at {offset}, below the end {end}"))?;
    }
    Ok(replica)
}
