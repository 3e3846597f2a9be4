//! Log directories of brokers: which are in order, which get nothing new, and which replica is in which (KIP-858, KIP-1066).
//!
//! A broker with one directory needs none of this: its replicas are there. One with several chooses where a new replica goes and says so
//! ([`AssignDirectories`]). When a directory fails ([`ReportDirectories`]), its replicas count as gone, and the broker goes on with the others;
//! they stay lost until the broker says that it has them in a directory that is in order.

use std::collections::BTreeSet;

use goatq_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::{
    Command, Context, Decision, MAX_PARTITIONS_PER_REQUEST,
    brokers::{UnknownBroker, changes, registered},
};
use crate::{
    election::{Change, Returning},
    image::{BrokerImage, LOST_DIRECTORY},
    record::{BrokerChangeRecord, MetadataRecord},
};

/// A broker says how its log directories are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportDirectories {
    /// The broker.
    pub id: i32,
    /// The epoch of its registration.
    pub epoch: i64,
    /// Directories that are in order. One that was not when the broker registered cannot come back before it does so again.
    pub online: Vec<Uuid>,
    /// Those of them that get no new replicas.
    pub cordoned: Vec<Uuid>,
}

impl ReportDirectories {
    /// Whether it says anything new.
    pub fn is_news(&self, broker: &BrokerImage) -> bool {
        broker.log_dirs.iter().any(|known| !self.online.contains(known)) || broker.cordoned_dirs != self.cordoned
    }
}

impl Command for ReportDirectories {
    type Response = Result<(), UnknownBroker>;

    fn decide(self, cx: &mut Context<'_>) -> Decision<Self::Response> {
        let broker = match registered(cx.image, self.id, self.epoch) {
            Ok(broker) => broker,
            Err(unknown) => return Decision::unchanged(Err(unknown)),
        };
        if !self.is_news(broker) {
            return Decision::unchanged(Ok(()));
        }
        let (left, lost): (Vec<Uuid>, Vec<Uuid>) =
            broker.log_dirs.iter().partition(|known| self.online.contains(known));
        let record = BrokerChangeRecord {
            broker_id: self.id,
            broker_epoch: self.epoch,
            log_dirs: (!lost.is_empty()).then_some(left),
            cordoned_dirs: (broker.cordoned_dirs != self.cordoned).then_some(self.cordoned),
            ..BrokerChangeRecord::default()
        };
        let mut records: Vec<MetadataRecord> = vec![record.into()];
        if !lost.is_empty() {
            let id = self.id;
            let alive = |replica: i32| cx.image.brokers.may_lead(replica);
            records.extend(changes(cx, id, |change, _, _| change.directories_lost(id, &lost, alive).completed(alive)));
        }
        Decision { records, response: Ok(()) }
    }
}

/// A broker says in which of its directories replicas are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignDirectories {
    /// The broker.
    pub id: i32,
    /// The epoch of its registration.
    pub epoch: i64,
    /// Those above 10,000 are left for the next time, partitions that the broker does not have are passed over.
    pub replicas: Vec<PlacedReplica>,
}

/// In which directory of its broker a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedReplica {
    /// The topic.
    pub topic_id: Uuid,
    /// Number of the partition.
    pub partition: i32,
    /// The directory.
    pub directory: Uuid,
    /// Whether the broker made the log there, because it found none. Where the replica's directory was lost, it has lost all records.
    pub anew: bool,
}

impl Command for AssignDirectories {
    type Response = Result<(), UnknownBroker>;

    fn decide(self, cx: &mut Context<'_>) -> Decision<Self::Response> {
        let broker = match registered(cx.image, self.id, self.epoch) {
            Ok(broker) => broker,
            Err(unknown) => return Decision::unchanged(Err(unknown)),
        };
        let alive = |replica: i32| cx.image.brokers.may_lead(replica);
        let others = |replica: i32| replica != self.id && alive(replica);
        let mut seen = BTreeSet::new();
        let mut records: Vec<MetadataRecord> = Vec::new();
        for placed in self.replicas.into_iter().take(MAX_PARTITIONS_PER_REQUEST) {
            let PlacedReplica { topic_id, partition: number, directory, anew } = placed;
            let Some(topic) = cx.image.topics.by_id(&topic_id) else { continue };
            let Some(partition) = topic.partition(number) else { continue };
            if !seen.insert((topic_id, number)) || !partition.replicas.contains(&self.id) {
                continue;
            }
            let change = Change::of(partition, cx.min_insync(&topic.name));
            let change = if !broker.log_dirs.contains(&directory) {
                change.in_directory(self.id, LOST_DIRECTORY).gone(self.id, alive)
            } else if anew && partition.is_lost(self.id) {
                change.in_directory(self.id, directory).restarted(self.id, Returning::Unknown, others).ready(alive)
            } else {
                change.in_directory(self.id, directory).ready(alive)
            };
            let change = change.completed(alive);
            records.extend(change.record(topic_id, number).map(MetadataRecord::from));
        }
        Decision { records, response: Ok(()) }
    }
}
