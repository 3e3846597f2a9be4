//! Which shards of groups this node holds: follows the metadata.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use futures_util::future::join_all;
use goatq_controller::image::{MetadataDelta, MetadataImage};
use goatq_protocol::Uuid;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::group::GroupCoordinator;
use super::group::request::GroupRequest;
use super::runtime::partition_log::PartitionLog;
use crate::partition::PartitionRegistry;
use crate::topics::auto_create::InternalTopic;

/// How soon to look again for a partition that the metadata gives to this node, but that is not open yet.
const RETRY: Duration = Duration::from_millis(20);

/// Loads the shards whose partitions the metadata gives to this node, and drops those that it takes away, until the token is
/// cancelled or no metadata comes any more.
pub(crate) async fn follow(
    coordinator: Arc<GroupCoordinator>,
    partitions: Arc<PartitionRegistry>,
    images: watch::Receiver<Arc<MetadataImage>>,
    cancel: CancellationToken,
) {
    Follower { coordinator, partitions, topic: None }.run(images, cancel).await;
}

struct Follower {
    coordinator: Arc<GroupCoordinator>,
    partitions: Arc<PartitionRegistry>,
    /// The topic that the shards were loaded from.
    topic: Option<Uuid>,
}

impl Follower {
    async fn run(mut self, mut images: watch::Receiver<Arc<MetadataImage>>, cancel: CancellationToken) {
        let mut before = images.borrow_and_update().clone();
        let mut complete = self.place(&before);
        loop {
            let next = tokio::select! {
                () = cancel.cancelled() => return,
                changed = images.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    images.borrow_and_update().clone()
                }
                () = tokio::time::sleep(RETRY), if !complete => before.clone(),
            };
            complete = self.place(&next);
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.forget_topics(&before, &next) => {}
            }
            before = next;
        }
    }

    /// Loads and drops shards; false when a partition is not open yet.
    fn place(&mut self, image: &MetadataImage) -> bool {
        let runtime = self.coordinator.runtime();
        let topic = image.topics.by_name(InternalTopic::ConsumerOffsets.name());
        let id = topic.map(|topic| topic.id);
        if std::mem::replace(&mut self.topic, id) != id {
            // Epochs of a topic that was made anew begin anew.
            runtime.partitions().into_iter().for_each(|(partition, epoch)| runtime.resigned(partition, epoch));
        }
        let held = runtime.partitions();
        for (partition, epoch) in &held {
            let now = topic.and_then(|topic| topic.partition(*partition));
            if now.is_none_or(|now| now.leader != self.coordinator.node_id()) {
                let epoch = now.map_or(*epoch, |now| now.leader_epoch);
                runtime.resigned(*partition, epoch);
            }
        }
        let Some(topic) = topic else { return true };
        let mut complete = true;
        for (partition, image) in (0..).zip(&topic.partitions) {
            let current = held.iter().any(|(held, epoch)| *held == partition && *epoch >= image.leader_epoch);
            if image.leader != self.coordinator.node_id() || current {
                continue;
            }
            let open = self.partitions.get_by_id(topic.id, partition);
            match open.and_then(|partition| PartitionLog::new(partition, image.leader_epoch)) {
                Some(log) => runtime.elected(partition, image.leader_epoch, Arc::new(log)),
                None => complete = false,
            }
        }
        complete
    }

    /// Offsets go with their topics. What is missed here, because a shard loads or a write fails, ages instead.
    async fn forget_topics(&self, before: &MetadataImage, after: &MetadataImage) {
        let changes = MetadataDelta::between(before, after).topics.into_iter();
        let deleted: Vec<(ByteString, Uuid)> =
            changes.filter(|change| change.after.is_none()).map(|change| (change.name, change.id)).collect();
        if deleted.is_empty() {
            return;
        }
        let runtime = self.coordinator.runtime();
        let held = runtime.partitions();
        let calls =
            held.iter().map(|(partition, _)| runtime.call(*partition, GroupRequest::TopicsDeleted(deleted.clone())));
        for (result, (partition, _)) in join_all(calls).await.into_iter().zip(&held) {
            if let Err(error) = result {
                tracing::warn!(partition, %error, "offsets of deleted topics are kept until they expire");
            }
        }
    }
}
