//! Keeping a cluster even: from what it holds to a bounded list of replicas that go elsewhere, each with its reason. Pure.
//!
//! What is wrong is put right in this order, and nothing that comes later undoes what came before:
//! 1. Replicas on brokers that are lost, or that shall have none, go to others.
//! 2. Partitions are spread over as many racks as they can be.
//! 3. Brokers have about as many replicas as one another, of each topic as of all.
//! 4. Brokers have about as many bytes as one another: a large partition changes places with a small one.
//! 5. Brokers are the preferred leaders of about as many partitions as one another: replicas change their order, no data moves.
//!
//! **It comes to an end.** Each step lowers one of these numbers and raises none before it: replicas where they must not be; racks that
//! partitions do without; the sum of the squares of the replicas of each broker; that of the bytes, by a twentieth of the difference at
//! least; that of the preferred leaders. What is under way counts as done. So a cluster that is left alone is changed a limited number of
//! times, and one that changes only as far as it changes; small differences are left alone.
//!
//! **It takes nothing away.** A partition keeps its number of replicas; the ones it has stay until the new ones are in sync (KIP-455);
//! one that nobody leads is left alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use bytestring::ByteString;

use crate::image::MetadataImage;

mod even;
mod repair;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod turns;

pub use settings::{BalanceMode, BalanceSettings, DRAIN, drained};
pub use turns::{Look, Turns};

use state::State;

/// What is known of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// Brokers by id. One that partitions have and that is not here will not come back.
    pub brokers: BTreeMap<i32, BrokerLoad>,
    /// All partitions, in any order that stays the same.
    pub partitions: Vec<PartitionLoad>,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerLoad {
    /// `broker.rack`. Brokers without one count as one rack.
    pub rack: Option<ByteString>,
    /// What may become of its replicas.
    pub standing: Standing,
    /// Bytes that its disks can take; `None` when it has not said.
    pub free_bytes: Option<u64>,
}

/// What may become of a broker's replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It serves: it takes part in everything.
    Serving,
    /// It serves and gets nothing new; it keeps what it has.
    Cordoned,
    /// It does not serve at the moment; it keeps what it has, for now.
    Away,
    /// It has been away for too long: others get what it had.
    Lost,
    /// It shall have nothing.
    Drained,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLoad {
    /// Topic.
    pub topic: ByteString,
    /// Number.
    pub partition: i32,
    /// What it has, or will have when what is under way has ended, in order of preference.
    pub replicas: Vec<i32>,
    /// Who is in sync.
    pub in_sync: Vec<i32>,
    /// Who leads; negative for nobody.
    pub leader: i32,
    /// Who gets it, while its replicas are being moved.
    pub adding: Vec<i32>,
    /// Whether its replicas are being moved.
    pub moving: bool,
    /// Size of its log, 0 when it is not known.
    pub bytes: u64,
}

impl Load {
    /// What an image says of the cluster. `lost` are brokers that have been away for too long, `reported` says the bytes of a partition
    /// by topic id and number, `free` those that the disks of a broker can take.
    pub fn of(
        image: &MetadataImage,
        settings: &BalanceSettings,
        lost: &BTreeSet<i32>,
        reported: impl Fn(&goatq_protocol::Uuid, i32) -> u64,
        free: impl Fn(i32) -> Option<u64>,
    ) -> Self {
        let brokers = image.brokers.iter().map(|broker| {
            let standing = match () {
                () if settings.drain.contains(&broker.id) => Standing::Drained,
                () if lost.contains(&broker.id) => Standing::Lost,
                () if !broker.may_lead() => Standing::Away,
                () if broker.is_cordoned() => Standing::Cordoned,
                () => Standing::Serving,
            };
            (broker.id, BrokerLoad { rack: broker.rack.clone(), standing, free_bytes: free(broker.id) })
        });
        let partitions = image.topics.iter().flat_map(|topic| {
            let reported = &reported;
            (0..).zip(&topic.partitions).map(move |(number, partition)| PartitionLoad {
                topic: topic.name.clone(),
                partition: number,
                replicas: partition.target_replicas(),
                in_sync: partition.isr.clone(),
                leader: partition.leader,
                adding: partition.adding_replicas.clone(),
                moving: partition.is_reassigning(),
                bytes: reported(&topic.id, number),
            })
        });
        Load { brokers: brokers.collect(), partitions: partitions.collect() }
    }

    /// Whether replicas are being moved.
    pub fn is_moving(&self) -> bool {
        self.partitions.iter().any(|partition| partition.moving)
    }
}

/// How much is put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Goals {
    /// Only what is lost, and who shall have nothing.
    Repair,
    /// That, and brokers are made even.
    Even,
}

/// Bounds of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Partitions that change.
    pub changes: usize,
    /// Replicas that one broker is to get, those included that it is getting already.
    pub per_broker: usize,
    /// Brokers are even while they differ by this share of the mean at most, in percent; a difference of one never counts.
    pub spread_percent: usize,
    /// As much again for bytes.
    pub bytes_percent: u64,
    /// A difference of so many bytes never counts.
    pub bytes_floor: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { changes: 1_000, per_broker: 10, spread_percent: 5, bytes_percent: 20, bytes_floor: 256 << 20 }
    }
}

impl Limits {
    /// Everything at once, to be shown.
    pub const UNBOUNDED: Limits = Limits {
        changes: 1_000_000,
        per_broker: usize::MAX,
        spread_percent: 5,
        bytes_percent: 20,
        bytes_floor: 256 << 20,
    };
}

/// Why replicas of a partition change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A broker has been away for too long, or was unregistered.
    Lost(i32),
    /// A broker shall have nothing.
    Drained(i32),
    /// Replicas share a rack, and another rack has none.
    Racks,
    /// One broker has more replicas than another.
    Replicas {
        /// Who has more, and how many.
        most: (i32, usize),
        /// Who has fewer, and how many.
        least: (i32, usize),
    },
    /// One broker has more bytes than another.
    Bytes {
        /// Who has more, and how many.
        most: (i32, u64),
        /// Who has fewer, and how many.
        least: (i32, u64),
    },
    /// One broker is the preferred leader of more partitions than another.
    Leaders {
        /// Who leads more, and how many.
        most: (i32, usize),
        /// Who leads fewer, and how many.
        least: (i32, usize),
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Lost(id) => write!(f, "broker {id} is lost"),
            Reason::Drained(id) => write!(f, "broker {id} is drained"),
            Reason::Racks => write!(f, "its replicas share a rack, and another rack has none"),
            Reason::Replicas { most, least } => {
                write!(f, "broker {} has {} replicas, broker {} has {}", most.0, most.1, least.0, least.1)
            }
            Reason::Bytes { most, least } => {
                let mib = |bytes: u64| bytes >> 20;
                let (more, less) = (mib(most.1), mib(least.1));
                write!(f, "broker {} has {more} MiB, broker {} has {less} MiB", most.0, least.0)
            }
            Reason::Leaders { most, least } => {
                let (most, more) = most;
                write!(f, "broker {most} is to lead {more} partitions, broker {} {}", least.0, least.1)
            }
        }
    }
}

/// A partition whose replicas change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaChange {
    /// Topic.
    pub topic: ByteString,
    /// Number.
    pub partition: i32,
    /// What it has.
    pub from: Vec<i32>,
    /// What it is to have: as many, in order of preference.
    pub to: Vec<i32>,
    /// Why.
    pub reason: Reason,
    /// Bytes that each new replica has to get.
    pub bytes: u64,
}

impl ReplicaChange {
    /// Whether the same replicas are only in another order.
    pub fn is_order(&self) -> bool {
        self.from.iter().all(|replica| self.to.contains(replica))
    }
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Partitions whose replicas change, each once.
    pub changes: Vec<ReplicaChange>,
    /// Topics and numbers of partitions that should change and cannot: no other broker can have them, or nobody leads them.
    pub stuck: Vec<(ByteString, i32, Reason)>,
}

/// What is to be done next to reach the goals. The same cluster gives the same plan.
pub fn plan(load: &Load, goals: Goals, limits: &Limits) -> Plan {
    let mut state = State::new(load, limits);
    repair::leave_brokers(&mut state);
    if goals == Goals::Even {
        repair::spread_over_racks(&mut state);
        even::replicas(&mut state);
        even::bytes(&mut state);
        even::leaders(&mut state);
    }
    state.into_plan()
}
