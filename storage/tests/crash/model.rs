//! What a log should hold: everything that was appended, by offset, and what may have gone since.

use std::collections::{BTreeMap, BTreeSet};

use goatq_protocol::record::{Batch, Record};

/// What a batch does to transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data { transactional: bool },
    Marker { commit: bool },
}

/// A batch as it was appended.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) last_offset: i64,
    pub(crate) epoch: i32,
    pub(crate) producer: Option<(i64, i32)>,
    pub(crate) kind: Kind,
    pub(crate) records: Vec<Record>,
}

/// One record that a reader may expect.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expected<'a> {
    pub(crate) record: &'a Record,
    pub(crate) control: bool,
    pub(crate) aborted: bool,
}

/// The log as it should be.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) batches: BTreeMap<i64, Entry>,
    pub(crate) end: i64,
    /// Everything below was acknowledged.
    pub(crate) acked: i64,
    /// The log start may be anywhere from what was remembered to this.
    pub(crate) max_start: i64,
    /// Nothing below was compacted yet is untrue from here on.
    pub(crate) compacted_to: i64,
}

pub(crate) fn records_of(batch: &Batch) -> Vec<Record> {
    batch.records(Default::default()).map(|record| record.unwrap()).collect()
}

impl Model {
    /// A batch was appended.
    pub(crate) fn append(&mut self, batch: &Batch, base_offset: i64, epoch: i32, kind: Kind) {
        let mut batch = batch.clone();
        batch.assign(base_offset, epoch).unwrap();
        let header = *batch.header();
        let entry = Entry {
            last_offset: header.last_offset(),
            epoch,
            producer: header.has_producer_id().then_some((header.producer_id, header.base_sequence)),
            kind,
            records: records_of(&batch),
        };
        self.batches.insert(base_offset, entry);
        self.end = header.next_offset();
    }

    /// The log ends at an offset now, the end of some batch, or its start inside the batch that went.
    pub(crate) fn cut(&mut self, end: i64) {
        self.batches.retain(|_, entry| entry.last_offset < end);
        self.end = end;
        self.acked = self.acked.min(end);
        self.compacted_to = self.compacted_to.min(end);
    }

    /// Whether a batch ends at an offset, or the log begins there.
    pub(crate) fn is_boundary(&self, offset: i64) -> bool {
        let before = self.batches.range(..offset).next_back();
        before.is_none_or(|(_, entry)| entry.last_offset < offset)
    }

    /// The transactions that are open: producer and first offset.
    pub(crate) fn open_txns(&self) -> BTreeMap<i64, i64> {
        self.open_txns_at(self.end)
    }

    /// The transactions that are open as of an offset.
    pub(crate) fn open_txns_at(&self, end: i64) -> BTreeMap<i64, i64> {
        let mut open = BTreeMap::new();
        for (base, entry) in self.batches.range(..end) {
            let Some((producer, _)) = entry.producer else { continue };
            match entry.kind {
                Kind::Data { transactional: true } => {
                    open.entry(producer).or_insert(*base);
                }
                Kind::Marker { .. } => drop(open.remove(&producer)),
                Kind::Data { .. } => {}
            }
        }
        open
    }

    /// Aborted transactions: producer, first offset, offset of the marker.
    pub(crate) fn aborted_txns(&self) -> Vec<(i64, i64, i64)> {
        let (mut open, mut aborted) = (BTreeMap::new(), Vec::new());
        for (base, entry) in &self.batches {
            let Some((producer, _)) = entry.producer else { continue };
            match entry.kind {
                Kind::Data { transactional: true } => {
                    open.entry(producer).or_insert(*base);
                }
                Kind::Marker { commit } => {
                    let first = open.remove(&producer);
                    aborted.extend(first.filter(|_| !commit).map(|first| (producer, first, entry.last_offset)));
                }
                Kind::Data { .. } => {}
            }
        }
        aborted
    }

    /// Whether a producer has data in a range of offsets.
    pub(crate) fn has_data(&self, producer: i64, from: i64, to: i64) -> bool {
        let is_data = |(_, entry): (&i64, &Entry)| {
            matches!(entry.kind, Kind::Data { .. })
                && entry.producer.is_some_and(|(id, _)| id == producer)
                && entry.last_offset >= from
        };
        self.batches.range(..to).any(is_data)
    }

    /// All records with what is known of them, by offset.
    pub(crate) fn records(&self) -> BTreeMap<i64, Expected<'_>> {
        let aborted = self.aborted_txns();
        let mut records = BTreeMap::new();
        for (base, entry) in &self.batches {
            let in_txn = |(producer, first, last): &(i64, i64, i64)| {
                entry.producer.is_some_and(|(id, _)| id == *producer) && (first..last).contains(&base)
            };
            let is_aborted = entry.kind == Kind::Data { transactional: true } && aborted.iter().any(in_txn);
            for record in &entry.records {
                let control = matches!(entry.kind, Kind::Marker { .. });
                records.insert(record.offset, Expected { record, control, aborted: is_aborted });
            }
        }
        records
    }

    /// Offsets that compaction must not have taken: the newest value of each key among what is committed, and all that lies
    /// behind what was compacted.
    pub(crate) fn must_stay(&self) -> BTreeSet<i64> {
        let records = self.records();
        let mut newest = BTreeMap::new();
        for (offset, expected) in &records {
            if let (Some(key), false, false) = (&expected.record.key, expected.control, expected.aborted) {
                newest.insert(key.clone(), *offset);
            }
        }
        let newest: BTreeSet<i64> = newest.into_values().collect();
        let stays = |(offset, expected): &(&i64, &Expected<'_>)| {
            **offset >= self.compacted_to || (newest.contains(offset) && expected.record.value.is_some())
        };
        records.iter().filter(stays).map(|(offset, _)| *offset).collect()
    }

    /// The last sequence of every producer.
    pub(crate) fn last_sequences(&self) -> BTreeMap<i64, i32> {
        let mut last = BTreeMap::new();
        for entry in self.batches.values() {
            if let (Some((producer, sequence)), Kind::Data { .. }) = (entry.producer, entry.kind) {
                last.insert(producer, sequence + entry.records.len() as i32 - 1);
            }
        }
        last
    }
}
