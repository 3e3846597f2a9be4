//! A broker that came back says of which replicas it has less than they had acknowledged.
//!
//! With its registration a broker says what each directory knows ([`super::brokers::EarlierLives`]): that decides for all replicas in it. Of single
//! logs it knows more once they are open: one may end before what its replica had acknowledged, for instance where a bit has flipped
//! and the process was killed. Such a replica has not come back with all that it had. A broker says so while it is fenced, before it may lead.

use std::collections::BTreeSet;

use goatq_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::{
    Command, Context, Decision, MAX_PARTITIONS_PER_REQUEST,
    brokers::{UnknownBroker, registered},
};
use crate::{
    election::{Change, Returning},
    record::MetadataRecord,
};

/// A replica whose log ends before what it had acknowledged, or may do so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortReplica {
    /// The topic.
    pub topic_id: Uuid,
    /// Number of the partition.
    pub partition: i32,
    /// It had more, for certain.
    pub certain: bool,
}

impl ShortReplica {
    /// What it comes back with.
    pub fn returning(&self) -> Returning {
        if self.certain { Returning::Unknown } else { Returning::Torn }
    }
}

/// A broker says which of its replicas are short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportLosses {
    /// The broker.
    pub id: i32,
    /// The epoch of its registration.
    pub epoch: i64,
    /// Those above 10,000 are left for the next time, partitions that the broker does not have are passed over.
    pub replicas: Vec<ShortReplica>,
}

impl Command for ReportLosses {
    type Response = Result<(), UnknownBroker>;

    fn decide(self, cx: &mut Context<'_>) -> Decision<Self::Response> {
        if let Err(unknown) = registered(cx.image, self.id, self.epoch) {
            return Decision::unchanged(Err(unknown));
        }
        let alive = |replica: i32| cx.image.brokers.may_lead(replica);
        let others = |replica: i32| replica != self.id && alive(replica);
        let mut seen = BTreeSet::new();
        let mut records: Vec<MetadataRecord> = Vec::new();
        for short in self.replicas.into_iter().take(MAX_PARTITIONS_PER_REQUEST) {
            let Some(topic) = cx.image.topics.by_id(&short.topic_id) else { continue };
            let Some(partition) = topic.partition(short.partition) else { continue };
            if !seen.insert((short.topic_id, short.partition)) || !partition.replicas.contains(&self.id) {
                continue;
            }
            let change = Change::of(partition, cx.min_insync(&topic.name));
            let change = change.restarted(self.id, short.returning(), others).ready(alive).completed(alive);
            records.extend(change.record(short.topic_id, short.partition).map(MetadataRecord::from));
        }
        Decision { records, response: Ok(()) }
    }
}
