//! Brokers that come, go, and are let serve.

use std::collections::BTreeMap;

use bytestring::ByteString;
use goatq_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::{Command, Context, Decision, losses::ShortReplica};
use crate::{
    election::{Change, Returning},
    feature::KRAFT_VERSION,
    image::{BrokerImage, Endpoint, LOST_DIRECTORY, MetadataImage},
    record::{
        BrokerChangeRecord, EndpointPart, FeaturePart, MetadataRecord, RegisterBrokerRecord, UnregisterBrokerRecord,
    },
};

/// No broker is registered with that id and epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum UnknownBroker {
    /// Not at all.
    #[error("Broker {0} is not registered.")]
    NotRegistered(i32),
    /// It was registered anew.
    #[error("Broker {id} is registered with epoch {current}, not {given}.")]
    StaleEpoch {
        /// The broker.
        id: i32,
        /// The epoch given.
        given: i64,
        /// The epoch it has.
        current: i64,
    },
}

/// The registration of a broker with that epoch.
pub(crate) fn registered(image: &MetadataImage, id: i32, epoch: i64) -> Result<&BrokerImage, UnknownBroker> {
    let broker = image.brokers.get(id).ok_or(UnknownBroker::NotRegistered(id))?;
    match broker.epoch == epoch {
        true => Ok(broker),
        false => Err(UnknownBroker::StaleEpoch { id, given: epoch, current: broker.epoch }),
    }
}

/// A broker's process announces itself. Whatever it led before it stopped it leads no longer; where it is the only one that can
/// lead, it leads again under a new leader epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegisterBroker {
    /// `node.id`.
    pub id: i32,
    /// The cluster that it believes to be in; `None` when it does not know yet.
    pub cluster_id: Option<ByteString>,
    /// An id that the process made up when it started. Registering twice with the same one is one registration.
    pub incarnation: Uuid,
    /// The epoch of the registration whose place it takes, as far as the process knows: that of the last life of the broker, -1 for
    /// none. What an earlier life sent may come late, and must not take the place of the one that lives. `None`: whatever there is.
    pub replaces: Option<i64>,
    /// Where it is reached.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<ByteString>,
    /// Feature levels that it supports: name to (min, max).
    pub features: BTreeMap<ByteString, (i16, i16)>,
    /// Ids of its log directories that are in order.
    pub log_dirs: Vec<Uuid>,
    /// What each of its directories that is not new says of the processes before this one.
    pub before: Vec<EarlierLives>,
    /// Replicas that are known to have less than they had acknowledged. A broker whose logs are opened behind its registration says so later
    /// ([`super::losses::ReportLosses`]), before it may lead.
    pub losses: Vec<ShortReplica>,
    /// Whether it starts fenced, to be let serve by [`ChangeBroker`] once it has caught up. A node that has the metadata log
    /// itself has caught up when this is answered and may start at once.
    pub fenced: bool,
}

/// What a log directory of a broker says of the processes that used it (KIP-966). Kafka tells the broker epoch that the last one wrote down
/// when it ended in order. Names that processes make up, and write down before they register with them, can be told from one
/// another after a crash, too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierLives {
    /// The directory.
    pub directory: Uuid,
    /// Incarnations that it knows.
    pub incarnations: Vec<Uuid>,
    /// Whether the last process that used it ended in order.
    pub ended_in_order: bool,
}

/// Why a broker is not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum RegisterBrokerError {
    /// A negative id.
    #[error("{0} cannot be the id of a broker.")]
    Id(i32),
    /// It was to take the place of another registration than there is: it is late, or the process knows too little and has to
    /// register again with what it learns from this.
    #[error("Another process of broker {id} is registered, with epoch {current}.")]
    Duplicate {
        /// The broker.
        id: i32,
        /// The epoch of the registration that there is.
        current: i64,
    },
    /// Of another cluster.
    #[error("This is cluster {expected}; the broker belongs to {given}.")]
    Cluster {
        /// The id of this cluster.
        expected: ByteString,
        /// The id that the broker has.
        given: ByteString,
    },
    /// No directory, a reserved directory id, or one twice.
    #[error("A broker needs log directories, each with an id of its own: {0}")]
    Directories(String),
    /// Another broker has this directory: a disk was moved or copied.
    #[error("Broker {other} has the log directory {directory} already.")]
    ForeignDirectory {
        /// The directory.
        directory: Uuid,
        /// Who has it.
        other: i32,
    },
    /// It does not support what the cluster has agreed on.
    #[error("The cluster has {feature} at level {level}, which the broker does not support.")]
    Feature {
        /// The feature.
        feature: ByteString,
        /// Its finalized level.
        level: i16,
    },
}

impl Command for RegisterBroker {
    /// The epoch of the registration.
    type Response = Result<i64, RegisterBrokerError>;

    fn decide(self, cx: &mut Context<'_>) -> Decision<Self::Response> {
        if let Err(error) = self.check(cx.image) {
            return Decision::unchanged(Err(error));
        }
        if let Some(present) = cx.image.brokers.get(self.id)
            && (present.incarnation == self.incarnation || self.replaces.is_some_and(|known| known != present.epoch))
        {
            let (id, current) = (self.id, present.epoch);
            let same = present.incarnation == self.incarnation;
            return Decision::unchanged(same.then_some(current).ok_or(RegisterBrokerError::Duplicate { id, current }));
        }
        let epoch = cx.image.next_broker_epoch;
        let id = self.id;
        let fenced = self.fenced;
        let mut records: Vec<MetadataRecord> = vec![self.clone().into_record(epoch).into()];
        let others = |replica: i32| replica != id && cx.image.brokers.may_lead(replica);
        let alive = |replica: i32| if replica == id { !fenced } else { cx.image.brokers.may_lead(replica) };
        records.extend(changes(cx, id, |change, topic, place| {
            let lost = self.lost(place);
            let change = match self.returning(cx.image, change.directory(id)) {
                Some(Returning::Torn) if cx.is_synced(topic) => change.restarted(id, lost, others),
                Some(returning) => change.restarted(id, returning.max(lost), others),
                None => change.in_directory(id, LOST_DIRECTORY).gone(id, others),
            };
            change.ready(alive).completed(alive)
        }));
        Decision { records, response: Ok(epoch) }
    }
}

impl RegisterBroker {
    fn check(&self, image: &MetadataImage) -> Result<(), RegisterBrokerError> {
        if self.id < 0 {
            return Err(RegisterBrokerError::Id(self.id));
        }
        if let Some(given) = &self.cluster_id
            && *given != image.cluster_id
        {
            return Err(RegisterBrokerError::Cluster { expected: image.cluster_id.clone(), given: given.clone() });
        }
        let mut directories = self.log_dirs.clone();
        directories.sort_unstable();
        directories.dedup();
        if directories.is_empty() || directories.len() != self.log_dirs.len() {
            return Err(RegisterBrokerError::Directories(format!("{} of {}", directories.len(), self.log_dirs.len())));
        }
        if let Some(reserved) = directories.iter().find(|directory| directory.is_reserved()) {
            return Err(RegisterBrokerError::Directories(format!("{reserved} is reserved")));
        }
        for other in image.brokers.iter().filter(|other| other.id != self.id) {
            if let Some(directory) = other.log_dirs.iter().find(|directory| directories.contains(directory)) {
                return Err(RegisterBrokerError::ForeignDirectory { directory: *directory, other: other.id });
            }
        }
        // kraft.version is an affair of controllers.
        for (feature, level) in image.features.iter().filter(|(feature, _)| ***feature != *KRAFT_VERSION) {
            let supported = self.features.get(&**feature).is_some_and(|(min, max)| (*min..=*max).contains(&level));
            if !supported {
                return Err(RegisterBrokerError::Feature { feature: feature.clone(), level });
            }
        }
        Ok(())
    }

    /// What the broker still has of a replica in `directory` of what the last process registered under its id had of it; `None` if
    /// it has not got the directory.
    fn returning(&self, image: &MetadataImage, directory: Uuid) -> Option<Returning> {
        let last = image.brokers.get(self.id);
        let registered: &[Uuid] = last.map_or(&[], |last| &last.log_dirs);
        let back = |directory: &&Uuid| !registered.contains(directory) && self.lives(**directory).is_some();
        let concerned: Vec<Uuid> = match directory {
            // It may be in any that the last process had.
            Uuid::ZERO => registered.to_vec(),
            // It was in one that failed, and may be in any that is there again.
            LOST_DIRECTORY => self.log_dirs.iter().filter(back).copied().collect(),
            known => self.log_dirs.iter().filter(|has| **has == known).copied().collect(),
        };
        if concerned.is_empty() && !directory.is_zero() {
            return None;
        }
        let Some(last) = last else { return Some(Returning::Unknown) };
        let known =
            |directory: &Uuid| self.lives(*directory).filter(|lives| lives.incarnations.contains(&last.incarnation));
        let lives: Option<Vec<&EarlierLives>> = concerned.iter().map(known).collect();
        Some(match lives {
            None => Returning::Unknown,
            Some(lives) if lives.iter().all(|lives| lives.ended_in_order) => Returning::Complete,
            Some(_) => Returning::Torn,
        })
    }

    /// What a replica comes back with as far as its own log says.
    fn lost(&self, place: (Uuid, i32)) -> Returning {
        let short = self.losses.iter().find(|short| (short.topic_id, short.partition) == place);
        short.map_or(Returning::Complete, ShortReplica::returning)
    }

    fn lives(&self, directory: Uuid) -> Option<&EarlierLives> {
        let is_here = self.log_dirs.contains(&directory);
        self.before.iter().find(|lives| is_here && lives.directory == directory)
    }

    fn into_record(self, broker_epoch: i64) -> RegisterBrokerRecord {
        let endpoint = |endpoint: Endpoint| EndpointPart {
            listener: endpoint.listener,
            host: endpoint.host,
            port: endpoint.port,
            security_protocol: endpoint.security.id(),
        };
        RegisterBrokerRecord {
            broker_id: self.id,
            incarnation_id: self.incarnation,
            broker_epoch,
            endpoints: self.endpoints.into_iter().map(endpoint).collect(),
            features: self.features.into_iter().map(|(name, (min, max))| FeaturePart { name, min, max }).collect(),
            rack: self.rack,
            fenced: self.fenced,
            in_controlled_shutdown: false,
            log_dirs: self.log_dirs,
            cordoned_dirs: Vec::new(),
        }
    }
}

/// Fences a broker, lets it serve, or notes that it is about to stop.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ChangeBroker {
    /// The broker.
    pub id: i32,
    /// The epoch of its registration.
    pub epoch: i64,
    /// What is to happen.
    pub change: BrokerChange,
}

/// What is to happen to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BrokerChange {
    /// It gives up what it leads and is shown to no client.
    Fence,
    /// It may lead.
    Unfence,
    /// It gives up what others can lead, before it stops.
    ControlledShutdown,
}

impl Command for ChangeBroker {
    type Response = Result<(), UnknownBroker>;

    fn decide(self, cx: &mut Context<'_>) -> Decision<Self::Response> {
        let broker = match registered(cx.image, self.id, self.epoch) {
            Ok(broker) => broker,
            Err(unknown) => return Decision::unchanged(Err(unknown)),
        };
        let mut record =
            BrokerChangeRecord { broker_id: self.id, broker_epoch: self.epoch, ..BrokerChangeRecord::default() };
        match self.change {
            BrokerChange::Fence if !broker.fenced => record.fenced = 1,
            BrokerChange::Unfence if broker.fenced => record.fenced = -1,
            BrokerChange::ControlledShutdown if !broker.in_controlled_shutdown => record.in_controlled_shutdown = 1,
            _ => return Decision::unchanged(Ok(())),
        }
        let id = self.id;
        let mut records: Vec<MetadataRecord> = vec![record.into()];
        let others = |replica: i32| replica != id && cx.image.brokers.may_lead(replica);
        if self.change == BrokerChange::Unfence {
            let alive = |replica: i32| {
                if replica == id { !broker.in_controlled_shutdown } else { cx.image.brokers.may_lead(replica) }
            };
            records.extend(changes(cx, id, |change, _, _| change.ready(alive).completed(alive)));
        } else {
            records.extend(changes(cx, id, |change, _, _| change.gone(id, others).completed(others)));
        }
        Decision { records, response: Ok(()) }
    }
}

/// Forgets a broker that will not come back. Its replicas stay assigned to it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct UnregisterBroker {
    /// The broker.
    pub id: i32,
}

impl Command for UnregisterBroker {
    type Response = Result<(), UnknownBroker>;

    fn decide(self, cx: &mut Context<'_>) -> Decision<Self::Response> {
        let id = self.id;
        let Some(broker) = cx.image.brokers.get(id) else {
            return Decision::unchanged(Err(UnknownBroker::NotRegistered(id)));
        };
        let mut records: Vec<MetadataRecord> =
            vec![UnregisterBrokerRecord { broker_id: id, broker_epoch: broker.epoch }.into()];
        let others = |replica: i32| replica != id && cx.image.brokers.may_lead(replica);
        records.extend(changes(cx, id, |change, _, _| change.gone(id, others).completed(others)));
        Decision { records, response: Ok(()) }
    }
}

/// What changes in the partitions that have a replica on a broker; `change` is told the topic's name, and which partition it is.
pub(super) fn changes(
    cx: &Context<'_>,
    broker: i32,
    change: impl for<'a> Fn(Change<'a>, &str, (Uuid, i32)) -> Change<'a>,
) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    for topic in cx.image.topics.iter() {
        let concerned = (0..).zip(&topic.partitions).filter(|(_, partition)| partition.replicas.contains(&broker));
        let mut min_insync = None;
        for (number, partition) in concerned {
            let min_insync = *min_insync.get_or_insert_with(|| cx.min_insync(&topic.name));
            let change = change(Change::of(partition, min_insync), &topic.name, (topic.id, number));
            let record = change.record(topic.id, number);
            records.extend(record.map(MetadataRecord::from));
        }
    }
    records
}
