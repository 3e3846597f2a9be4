//! Where the replicas of new partitions go, and whether a placement made by hand is legal.
//!
//! Replicas are striped: leaders walk over the racks and over the brokers of each rack, followers go to the racks that follow, so that
//! every partition is spread over as many racks as it can be and every broker leads about as much as its neighbours. With
//! every full walk the followers shift by one, so that the load of a failed broker falls on many. Brokers without a rack
//! count as one rack.
//!
//! Fenced brokers are used only where a rack has no other left, and never lead.

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

/// The brokers of one rack.
struct Rack {
    unfenced: Vec<i32>,
    fenced: Vec<i32>,
    /// Partitions that this rack has led so far.
    led: usize,
}

impl Rack {
    fn len(&self) -> usize {
        self.unfenced.len() + self.fenced.len()
    }

    /// The brokers in the order in which they take replicas, beginning `skip` behind the first.
    fn order(&self, skip: usize) -> impl Iterator<Item = i32> + '_ {
        let walk = move |brokers: &[i32]| {
            let skip = skip.checked_rem(brokers.len()).unwrap_or(0);
            let (front, back) = brokers.split_at(skip);
            back.iter().chain(front).copied().collect::<Vec<_>>()
        };
        walk(&self.unfenced).into_iter().chain(walk(&self.fenced))
    }
}

/// Chooses the replicas of `partitions` partitions, each in order of preference.
///
/// The same brokers and the same randomness give the same placement. Takes time and memory in proportion to the result: callers
/// bound `partitions`.
pub fn place(
    brokers: &BrokersImage,
    partitions: usize,
    replication_factor: usize,
    entropy: &mut Entropy,
) -> Result<Vec<Vec<i32>>, PlacementError> {
    if replication_factor == 0 {
        return Err(PlacementError::NotPositive);
    }
    if brokers.len() < replication_factor {
        return Err(PlacementError::TooFewBrokers { wanted: replication_factor, registered: brokers.len() });
    }
    let mut racks = racks(brokers, entropy);
    let leading: Vec<usize> =
        racks.iter().enumerate().filter(|(_, rack)| !rack.unfenced.is_empty()).map(|(at, _)| at).collect();
    if leading.is_empty() {
        return Err(PlacementError::AllFenced(replication_factor));
    }
    let start = entropy.below(leading.len());
    let mut placed = Vec::with_capacity(partitions);
    for partition in 0..partitions {
        let turn = start + partition;
        let home = leading.get(turn % leading.len()).copied().unwrap_or_default();
        placed.push(place_one(&mut racks, home, turn, replication_factor));
    }
    Ok(placed)
}

fn racks(brokers: &BrokersImage, entropy: &mut Entropy) -> Vec<Rack> {
    let mut by_name: BTreeMap<Option<ByteString>, Rack> = BTreeMap::new();
    for broker in brokers.iter() {
        let rack = by_name.entry(broker.rack.clone()).or_insert_with(|| Rack {
            unfenced: Vec::new(),
            fenced: Vec::new(),
            led: 0,
        });
        if broker.may_lead() { rack.unfenced.push(broker.id) } else { rack.fenced.push(broker.id) }
    }
    let mut racks: Vec<Rack> = by_name.into_values().collect();
    for rack in &mut racks {
        entropy.shuffle(&mut rack.unfenced);
        entropy.shuffle(&mut rack.fenced);
    }
    entropy.shuffle(&mut racks);
    racks
}

/// The replicas of one partition that is led from rack `home`, the `turn`-th of its topic.
fn place_one(racks: &mut [Rack], home: usize, turn: usize, replication_factor: usize) -> Vec<i32> {
    let count = racks.len();
    let walks = turn / count.max(1);
    let mut queues: Vec<_> = Vec::with_capacity(count);
    for distance in 0..count {
        let at = (home + distance) % count;
        let Some(rack) = racks.get_mut(at) else { continue };
        let mut order = Vec::with_capacity(rack.len());
        if distance == 0 {
            // The leader's rack: the next leader, then the others from further and further behind it.
            let cycle = rack.led.checked_div(rack.unfenced.len()).unwrap_or(0);
            order.extend(rack.order(rack.led));
            if let Some(followers) = order.get_mut(1..rack.unfenced.len().max(1))
                && !followers.is_empty()
            {
                followers.rotate_left(cycle % followers.len());
            }
            rack.led += 1;
        } else {
            order.extend(rack.order(turn + walks));
        }
        queues.push(order.into_iter());
    }
    let mut replicas = Vec::with_capacity(replication_factor);
    while replicas.len() < replication_factor {
        let before = replicas.len();
        for queue in &mut queues {
            if replicas.len() < replication_factor {
                replicas.extend(queue.next());
            }
        }
        if replicas.len() == before {
            break;
        }
    }
    replicas
}

/// Checks replicas chosen by hand for one partition. `expected` is the number of replicas of the partitions before it.
pub fn check_assignment(
    brokers: &BrokersImage,
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
    match expected {
        Some(expected) if expected != replicas.len() => {
            Err(AssignmentError::DifferentFactor { found: replicas.len(), expected })
        }
        _ => Ok(()),
    }
}

/// The log directory in which a new replica of a broker goes: its only one, else the zero id, and the broker chooses.
pub fn directory_of(broker: Option<&BrokerImage>) -> Uuid {
    match broker.map(|broker| broker.log_dirs.as_slice()) {
        Some([only]) => *only,
        _ => Uuid::ZERO,
    }
}

#[cfg(test)]
mod tests;
