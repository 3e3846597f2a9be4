//! What a node has promised, and in which order that became known.

use std::collections::{BTreeMap, HashMap};

use anyhow::ensure;
use bytes::Bytes;
use goatq_protocol::Uuid;

/// A partition: topic id and index.
pub type Place = (Uuid, i32);

/// A point in the order of what was asked and promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// What takes records out of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trims {
    /// Nothing.
    Never,
    /// DeleteRecords.
    Cut,
    /// Retention by size, whenever the node finds the time.
    Aged,
    /// Compaction.
    Compacted,
}

/// A topic: one life of it, if others have had its name.
#[derive(Debug)]
pub struct Topic {
    /// Its number among all topics.
    pub serial: u32,
    /// Its name.
    pub name: String,
    /// What takes records out of it.
    pub trims: Trims,
    /// When its creation was acknowledged.
    pub created: Moment,
    /// When its deletion was asked for.
    pub deletion_asked: Option<Moment>,
    /// When its deletion was acknowledged.
    pub deleted: Option<Moment>,
}

/// A batch that the node acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    /// Who sent it.
    pub producer: u32,
    /// Its number among the batches of that producer for that partition.
    pub batch: u32,
    /// Its records.
    pub records: u32,
    /// When the acknowledgement came.
    pub at: Moment,
}

/// The promises about one partition.
#[derive(Debug, Default)]
pub struct Promises {
    /// Batches by their first offset.
    pub acked: BTreeMap<i64, Acked>,
    /// The last batch of each producer that was acknowledged, and its first offset.
    pub last: BTreeMap<u32, (Bytes, i64)>,
    /// DeleteRecords: when it was asked for, and up to where.
    pub cuts: Vec<(Moment, i64)>,
    /// The largest log start that was found in an image, all of which are later than those before.
    pub start_found: i64,
    bases: HashMap<(u32, u32), i64>,
}

impl Promises {
    /// Where this batch was said to be.
    pub fn base_of(&self, producer: u32, batch: u32) -> Option<i64> {
        self.bases.get(&(producer, batch)).copied()
    }

    /// End of the last acknowledged batch.
    pub fn end(&self) -> i64 {
        self.acked.last_key_value().map_or(0, |(base, acked)| base + i64::from(acked.records))
    }
}

/// Everything promised by one node.
#[derive(Debug, Default)]
pub struct Book {
    events: u64,
    /// Topics by id.
    pub topics: BTreeMap<Uuid, Topic>,
    /// Partitions that were written to.
    pub logs: BTreeMap<Place, Promises>,
    /// Offset commits of one group: the number that was sent, and when.
    pub commits_asked: Vec<(Moment, i64)>,
    /// Those that were acknowledged.
    pub commits: Vec<(Moment, i64)>,
    /// Bytes of the batches that were acknowledged.
    pub bytes: u64,
    /// Their number.
    pub batches: u64,
}

impl Book {
    /// Now; no two events have the same moment.
    pub fn now(&mut self) -> Moment {
        self.events += 1;
        Moment(self.events)
    }

    /// A topic was created.
    pub fn created(&mut self, id: Uuid, serial: u32, name: &str, trims: Trims) {
        let created = self.now();
        let topic = Topic { serial, name: name.to_owned(), trims, created, deletion_asked: None, deleted: None };
        self.topics.insert(id, topic);
    }

    /// A topic is about to be deleted.
    pub fn asks_deletion(&mut self, id: Uuid) {
        let now = self.now();
        if let Some(topic) = self.topics.get_mut(&id) {
            topic.deletion_asked = Some(now);
        }
    }

    /// It is.
    pub fn deleted(&mut self, id: Uuid) {
        let now = self.now();
        if let Some(topic) = self.topics.get_mut(&id) {
            topic.deleted = Some(now);
        }
    }

    /// A batch was acknowledged at `base`.
    ///
    /// # Errors
    /// The node contradicts what it said before.
    pub fn acked(&mut self, place: Place, base: i64, batch: Acked, bytes: &Bytes) -> anyhow::Result<()> {
        let promises = self.logs.entry(place).or_default();
        if let Some(before) = promises.bases.insert((batch.producer, batch.batch), base) {
            ensure!(before == base, "{place:?}: {batch:?} was acknowledged at {before}, and sent again at {base}");
            return Ok(());
        }
        if let Some(before) = promises.acked.insert(base, batch) {
            anyhow::bail!("{place:?}: {before:?} and {batch:?} were both acknowledged at {base}");
        }
        promises.last.insert(batch.producer, (bytes.clone(), base));
        self.bytes += bytes.len() as u64;
        self.batches += 1;
        Ok(())
    }

    /// Records below `offset` are about to be deleted.
    pub fn asks_cut(&mut self, place: Place, offset: i64) {
        let now = self.now();
        self.logs.entry(place).or_default().cuts.push((now, offset));
    }
}
