//! Where the replicas of new partitions go, and whether a placement made by hand is legal.
//!
//! Every partition is spread over as many racks as it can be; brokers without a rack count as one rack. Of what that leaves open, each
//! replica goes to the broker that has fewest in this placement, so that brokers lead and hold as many as one another; and
//! followers to those that follow the leader least, so that the load of a failed broker falls on many. Where nothing makes a difference,
//! chance does.
//!
//! Fenced brokers are used only where a rack has no other left, and never lead. Brokers whose log directories are all cordoned (KIP-1066),
//! and those that are to be emptied, get nothing. Kafka's placement has the same rules and walks over the brokers in stripes instead: of
//! racks of different sizes, those in small ones lead more there.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use goatq_protocol::Uuid;
use serde::{Deserialize, Serialize};

use crate::{
    entropy::Entropy,
    image::{BrokerImage, BrokersImage},
};

/// Why partitions cannot be placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum PlacementError {
    /// A replication factor of 0 or less.
    #[error("The replication factor must be at least 1, or -1 for the default.")]
    NotPositive,
    /// More replicas than brokers.
    #[error("A replication factor of {wanted} needs {wanted} brokers, but only {registered} are registered.")]
    TooFewBrokers {
        /// Replicas wanted.
        wanted: usize,
        /// Brokers that there are.
        registered: usize,
    },
    /// More replicas than brokers that may get some.
    #[error(
        "A replication factor of {wanted} needs {wanted} brokers, but of the {registered} that are registered only {usable} may get \
         replicas: the others are cordoned or to be emptied."
    )]
    TooFewUsable {
        /// Replicas wanted.
        wanted: usize,
        /// Brokers that may get some.
        usable: usize,
        /// Brokers that there are.
        registered: usize,
    },
    /// No broker that could lead.
    #[error("A partition with {0} replica(s) cannot be placed: all brokers are fenced.")]
    AllFenced(usize),
}

/// Why replicas chosen by hand are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AssignmentError {
    /// No replica.
    #[error("A partition of the assignment has no replica.")]
    Empty,
    /// One broker twice.
    #[error("The assignment has broker {0} more than once in a partition.")]
    Repeated(i32),
    /// A broker that is not registered.
    #[error("The assignment has broker {0}, which is not registered.")]
    Unknown(i32),
    /// A broker that gets nothing new.
    #[error("The assignment has broker {0}, whose log directories are all cordoned.")]
    Cordoned(i32),
    /// Another number of replicas than the partitions before.
    #[error("A partition of the assignment has {found} replica(s), the others have {expected}.")]
    DifferentFactor {
        /// Replicas of this partition.
        found: usize,
        /// Replicas of the others.
        expected: usize,
    },
    /// None of the brokers could lead.
    #[error("No broker assigned to partition {0} is alive: all are fenced or shutting down.")]
    NoneAlive(i32),
    /// Partition numbers with gaps.
    #[error("Partitions of a manual assignment must be numbered 0, 1, 2 and so on.")]
    NotConsecutive,
    /// Another number of assignments than partitions to add.
    #[error("{added} partition(s) are to be added, but {given} assignment(s) are given.")]
    WrongCount {
        /// Partitions to add.
        added: usize,
        /// Assignments given.
        given: usize,
    },
}

/// A broker that can get replicas, and what it has got so far.
struct Place {
    id: i32,
    /// Which of the racks it is in.
    rack: usize,
    may_lead: bool,
    led: usize,
    held: usize,
}

/// Chooses the replicas of `partitions` partitions, each in order of preference.
///
/// The same brokers and the same randomness give the same placement. Takes time and memory in proportion to the result: callers
/// bound `partitions`.
pub fn place(
    brokers: &BrokersImage,
    drained: &BTreeSet<i32>,
    partitions: usize,
    replication_factor: usize,
    entropy: &mut Entropy,
) -> Result<Vec<Vec<i32>>, PlacementError> {
    if replication_factor == 0 {
        return Err(PlacementError::NotPositive);
    }
    let mut placing = Placing::new(brokers, drained, entropy);
    if placing.places.len() < replication_factor {
        let (wanted, registered) = (replication_factor, brokers.len());
        return Err(match placing.places.len() {
            usable if usable < registered => PlacementError::TooFewUsable { wanted, usable, registered },
            _ => PlacementError::TooFewBrokers { wanted, registered },
        });
    }
    if !placing.places.iter().any(|place| place.may_lead) {
        return Err(PlacementError::AllFenced(replication_factor));
    }
    Ok((0..partitions).map(|_| placing.one(replication_factor)).collect())
}

/// A placement under way.
struct Placing {
    /// In random order, which decides where nothing else does.
    places: Vec<Place>,
    racks: usize,
    /// Partitions that each rack leads.
    led: Vec<usize>,
    /// How often one place follows another.
    follows: BTreeMap<(usize, usize), usize>,
}

impl Placing {
    fn new(brokers: &BrokersImage, drained: &BTreeSet<i32>, entropy: &mut Entropy) -> Self {
        let usable = brokers.iter().filter(|broker| !broker.is_cordoned() && !drained.contains(&broker.id));
        let mut names: BTreeMap<Option<ByteString>, usize> = BTreeMap::new();
        let mut places: Vec<Place> = usable
            .map(|broker| {
                let next = names.len();
                let rack = *names.entry(broker.rack.clone()).or_insert(next);
                Place { id: broker.id, rack, may_lead: broker.may_lead(), led: 0, held: 0 }
            })
            .collect();
        entropy.shuffle(&mut places);
        Placing { places, racks: names.len(), led: vec![0; names.len()], follows: BTreeMap::new() }
    }

    /// The replicas of the next partition.
    fn one(&mut self, replication_factor: usize) -> Vec<i32> {
        let leading = self.places.iter().enumerate().filter(|(_, place)| place.may_lead);
        let leader = leading.min_by_key(|(at, place)| (place.led, self.led[place.rack], place.held, *at));
        let Some((leader, _)) = leader else { return Vec::new() };
        self.led[self.places[leader].rack] += 1;
        self.places[leader].led += 1;
        let mut used = vec![0; self.racks];
        let mut chosen = vec![leader];
        while chosen.len() < replication_factor {
            let last = chosen.last().copied().unwrap_or(leader);
            used[self.places[last].rack] += 1;
            let free = self.places.iter().enumerate().filter(|(at, _)| !chosen.contains(at));
            let next = free.min_by_key(|(at, place)| {
                let follows = self.follows.get(&(leader, *at)).copied().unwrap_or(0);
                (used[place.rack], !place.may_lead, place.held, follows, *at)
            });
            let Some((next, _)) = next else { break };
            *self.follows.entry((leader, next)).or_default() += 1;
            chosen.push(next);
        }
        for at in &chosen {
            self.places[*at].held += 1;
        }
        chosen.iter().map(|at| self.places[*at].id).collect()
    }
}

/// Checks replicas chosen by hand for one partition that has `present`. `expected` is the number of replicas of the partitions before it.
pub fn check_assignment(
    brokers: &BrokersImage,
    present: &[i32],
    replicas: &[i32],
    expected: Option<usize>,
) -> Result<(), AssignmentError> {
    if replicas.is_empty() {
        return Err(AssignmentError::Empty);
    }
    let mut seen = BTreeSet::new();
    for replica in replicas {
        if !seen.insert(*replica) {
            return Err(AssignmentError::Repeated(*replica));
        }
    }
    if let Some(unknown) = replicas.iter().find(|replica| brokers.get(**replica).is_none()) {
        return Err(AssignmentError::Unknown(*unknown));
    }
    let is_cordoned = |replica: &&i32| brokers.get(**replica).is_some_and(|broker| broker.is_cordoned());
    if let Some(cordoned) = replicas.iter().filter(|replica| !present.contains(replica)).find(is_cordoned) {
        return Err(AssignmentError::Cordoned(*cordoned));
    }
    match expected {
        Some(expected) if expected != replicas.len() => {
            Err(AssignmentError::DifferentFactor { found: replicas.len(), expected })
        }
        _ => Ok(()),
    }
}

/// The log directory in which a new replica of a broker goes: the only one, or the only one that is not cordoned; else the zero id, and the
/// broker chooses.
pub fn directory_of(broker: Option<&BrokerImage>) -> Uuid {
    let Some(broker) = broker else { return Uuid::ZERO };
    let mut open = broker.log_dirs.iter().filter(|directory| !broker.cordoned_dirs.contains(directory));
    match (broker.log_dirs.as_slice(), open.next(), open.next()) {
        ([only], ..) | (_, Some(only), None) => *only,
        _ => Uuid::ZERO,
    }
}

#[cfg(test)]
mod tests;
