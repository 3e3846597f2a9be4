//! What clients did, were told and saw.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use goatq_protocol::Uuid;

use super::trace::Trace;

/// A partition, by the name of its topic.
pub type Place = (String, i32);

/// A value is unique: who made it, and the how manieth of that producer for that partition it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value {
    /// The producer.
    pub producer: u32,
    /// Grows by one with each record of the producer for one partition.
    pub number: u32,
}

impl Value {
    /// As a record holds it.
    pub fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.producer.to_be_bytes());
        bytes[4..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// From the value of a record; padding may follow.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (producer, rest) = bytes.split_first_chunk::<4>()?;
        let (number, _) = rest.split_first_chunk::<4>()?;
        Some(Self { producer: u32::from_be_bytes(*producer), number: u32::from_be_bytes(*number) })
    }
}

/// The history of a run.
#[derive(Debug, Default)]
pub struct History {
    /// All that happened.
    pub trace: Trace,
    /// Values that were sent, whatever came of them.
    pub sent: BTreeMap<Place, BTreeSet<Value>>,
    /// Values of producers that do not care: nobody promised anything of them.
    pub careless: BTreeMap<Place, BTreeSet<Value>>,
    /// Below which offset somebody has asked for records to be deleted.
    pub deleted: BTreeMap<Place, i64>,
    /// Values that were acknowledged by all in-sync replicas, with their offsets.
    pub acked: BTreeMap<Place, BTreeMap<Value, i64>>,
    /// What was seen at an offset, by whomever: an acknowledgement, or a reader.
    pub content: BTreeMap<Place, BTreeMap<i64, Value>>,
    /// Topics whose creation was acknowledged.
    pub topics: BTreeMap<String, Uuid>,
    /// Topics whose deletion was acknowledged. Names are not given again.
    pub gone: BTreeSet<String>,
    /// Topics of which a request to make them was not answered.
    pub doubted_topics: BTreeSet<String>,
    /// Topics that were acknowledged to have so many partitions.
    pub grown: BTreeMap<String, usize>,
    /// The last committed offset of the group that was acknowledged.
    pub committed: i64,
    /// The last one that each node acknowledged.
    pub committed_by: BTreeMap<i32, i64>,
    /// Of each partition of the load, the greatest offset of a member that was acknowledged.
    pub member_commits: BTreeMap<i32, i64>,
    /// Committed offsets without an answer: they may still arrive, whatever was committed since.
    pub doubted: BTreeSet<i64>,
    /// When each partition acknowledged something last.
    pub acked_at: BTreeMap<Place, Duration>,
    /// The longest time between two acknowledgements of one partition.
    pub gap: Duration,
    /// What must not be.
    pub violations: Vec<String>,
}

impl History {
    /// Something must not be.
    pub fn violation(&mut self, at: Duration, what: String) {
        self.trace.note(at, format_args!("VIOLATION {what}"));
        self.violations.push(what);
    }

    /// A record is at an offset, somebody says.
    pub fn seen(&mut self, at: Duration, place: &Place, offset: i64, value: Value) {
        let before = self.content.entry(place.clone()).or_default().insert(offset, value);
        if let Some(before) = before.filter(|before| *before != value) {
            self.violation(at, format!("repeatable reads: {place:?} at {offset} was {before:?} and is {value:?}"));
        }
    }

    /// Records were acknowledged by all replicas in sync, the first of them at `offset`; -1 where the answer did not say.
    pub fn acknowledged(&mut self, at: Duration, place: &Place, offset: i64, values: &[Value]) {
        self.trace.note(at, format_args!("acked {place:?} {offset} {values:?}"));
        if let Some(before) = self.acked_at.insert(place.clone(), at) {
            self.gap = self.gap.max(at.saturating_sub(before));
        }
        for (value, offset) in values.iter().zip(offset..) {
            self.acked.entry(place.clone()).or_default().insert(*value, offset);
            self.seen(at, place, offset, *value);
        }
    }

    /// Below this offset records of a partition may be gone.
    pub fn deleted_to(&self, place: &Place) -> i64 {
        self.deleted.get(place).copied().unwrap_or(0)
    }

    /// Behind the last record of a partition that was acknowledged.
    pub fn acked_end(&self, place: &Place) -> i64 {
        self.acked.get(place).and_then(|acked| acked.values().max()).map_or(0, |last| last + 1)
    }

    /// Records acknowledged in all.
    pub fn acked_count(&self) -> usize {
        self.acked.values().map(BTreeMap::len).sum()
    }
}
