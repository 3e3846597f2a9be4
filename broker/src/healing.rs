//! Healing of damaged segments: what a disk has lost is fetched again from another replica.
//!
//! Whoever reads from a disk finds out (each batch that comes from there is checked against its CRC) and reports the segment, once until it
//! has been looked after. Here its batches are fetched as a consumer would, from the leader or, on the leader, from followers in sync, and
//! the new segment takes the place of the damaged one. Nothing is truncated, nobody else has to decide anything, and readers go on. Only
//! committed records can be fetched so, and only sealed segments are replaced; the growing one is checked when the log is opened.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use goatq_protocol::message::fetch::{FetchPartition, FetchRequest, FetchTopic};
use goatq_protocol::record::{Batch, split};
use goatq_protocol::{ErrorCode, Uuid};
use goatq_storage::error::LogError;
use goatq_storage::log::Healing;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::fetcher::peers::{LeaderConnection, PeerError, Peers};
use crate::metrics::replication::ReplicationCounts;
use crate::partition::{Partition, PartitionRegistry};
use crate::threads::offload::Offload;

/// Bytes that are fetched at a time.
const PIECE: i32 = 4 << 20;
/// How long a peer may wait for something to answer.
const MAX_WAIT_MS: i32 = 500;
/// How often a peer may have nothing before another is asked.
const PATIENCE: u32 = 10;
/// Before a segment may be reported again that could not be healed.
const PAUSE: Duration = Duration::from_secs(1);

/// A damaged segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Id of the topic.
    pub topic_id: Uuid,
    /// Index of the partition.
    pub index: i32,
    /// Base offset of the segment.
    pub segment: i64,
}

/// Why a segment was not healed.
#[derive(Debug, thiserror::Error)]
enum HealError {
    #[error("the segment is still growing, or gone")]
    NotSealed,
    #[error("not all of the segment is known to be committed")]
    NotCommitted,
    #[error("no other replica is in sync")]
    NobodyElse,
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("the other replica answers {0}")]
    Refused(&'static str),
    #[error("the other replica sends damaged batches: {0}")]
    Damaged(String),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// See the module.
pub(crate) struct Healer {
    pub(crate) partitions: Arc<PartitionRegistry>,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) offload: Offload,
    pub(crate) counts: Arc<ReplicationCounts>,
}

impl Healer {
    /// Works until cancelled, on one segment at a time. A partition reports one at a time, which bounds the queue.
    pub(crate) async fn run(self, mut reported: UnboundedReceiver<Damage>, cancel: CancellationToken) {
        loop {
            let damage = tokio::select! {
                () = cancel.cancelled() => return,
                damage = reported.recv() => match damage {
                    Some(damage) => damage,
                    None => return,
                },
            };
            let Some(partition) = self.partitions.get_by_id(damage.topic_id, damage.index) else { continue };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.look_after(&partition, damage.segment) => partition.looked_after(),
            }
        }
    }

    /// Tries once; a failure is followed by a pause.
    async fn look_after(&self, partition: &Arc<Partition>, segment: i64) {
        match self.heal(partition, segment).await {
            Ok(from) => {
                self.counts.healed_logs.add(1);
                tracing::warn!(?partition, segment, from, "a damaged segment was replaced");
            }
            Err(error) => {
                tracing::error!(?partition, segment, %error, "a damaged segment is not healed yet");
                sleep(PAUSE).await;
            }
        }
    }

    /// The replica it was healed from.
    async fn heal(&self, partition: &Arc<Partition>, segment: i64) -> Result<i32, HealError> {
        let mut last = HealError::NobodyElse;
        for peer in partition.others_in_sync() {
            match self.heal_from(peer, partition, segment).await {
                Ok(()) => return Ok(peer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn heal_from(&self, peer: i32, partition: &Arc<Partition>, segment: i64) -> Result<(), HealError> {
        let (log, now_ms) = (partition.log(), self.clock.wall_ms());
        let begun = self.offload.run(move || log.heal(segment, now_ms)).await?;
        let mut healing = begun.ok_or(HealError::NotSealed)?;
        if healing.end() > partition.high_watermark() {
            return Err(HealError::NotCommitted);
        }
        let mut connection = self.peers.connect(peer).await?;
        let mut nothing = 0;
        while healing.next_offset() < healing.end() {
            let batches = fetch(connection.as_mut(), partition, healing.next_offset()).await?;
            if batches.is_empty() {
                nothing += 1;
                if nothing >= PATIENCE {
                    return Err(HealError::Refused("nothing"));
                }
                continue;
            }
            healing = self.offload.run(move || add(healing, &batches)).await?;
        }
        let done = self.offload.run(move || healing.finish(now_ms)).await?;
        if done { Ok(()) } else { Err(HealError::NotSealed) }
    }
}

fn add(mut healing: Healing, batches: &[Batch]) -> io::Result<Healing> {
    healing.add(batches).map(|()| healing)
}

/// What another replica has committed from an offset on.
async fn fetch(
    connection: &mut dyn LeaderConnection,
    partition: &Partition,
    fetch_offset: i64,
) -> Result<Vec<Batch>, HealError> {
    let wanted = FetchPartition {
        partition: partition.index(),
        fetch_offset,
        partition_max_bytes: PIECE,
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic_id: partition.topic_id(), partitions: vec![wanted], ..FetchTopic::default() };
    let request = FetchRequest {
        max_wait_ms: MAX_WAIT_MS,
        min_bytes: 1,
        max_bytes: PIECE,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    let answer = connection.fetch(request).await?;
    let data = answer.responses.into_iter().flat_map(|topic| topic.partitions).next();
    let Some(data) = data.filter(|_| answer.error_code == 0) else { return Err(HealError::Refused("nothing")) };
    if data.error_code != ErrorCode::None.code() {
        return Err(HealError::Refused(ErrorCode::from_code(data.error_code).map_or("an error", |code| code.name())));
    }
    let mut batches = Vec::new();
    for batch in split(&data.records.unwrap_or_default().into_bytes()) {
        let batch = batch.map_err(|error| HealError::Damaged(error.to_string()))?;
        batch.verify_crc().map_err(|error| HealError::Damaged(error.to_string()))?;
        batches.push(batch);
    }
    Ok(batches)
}
