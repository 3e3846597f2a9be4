//! What was appended, and what a log may have forgotten of it.

use std::collections::BTreeMap;

/// A record or marker as it was appended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Appended {
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    /// Its producer, when it is part of a transaction.
    pub(super) txn: Option<i64>,
    /// A marker that commits or aborts.
    pub(super) marker: Option<bool>,
    /// When a compaction first could see it.
    pub(super) seen_ms: Option<i64>,
}

/// What the log should know of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) epoch: i16,
    pub(super) last_sequence: i32,
    pub(super) txn_start: i64,
}

/// A change of what is known of a producer, by the last offset of its batch.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) last_offset: i64,
    pub(super) id: i64,
    pub(super) known: Known,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) records: Vec<Appended>,
    pub(super) changes: Vec<Change>,
}

impl Model {
    /// The log has lost what lies from an offset on.
    pub(super) fn truncate(&mut self, end: i64) {
        self.records.retain(|record| record.offset < end);
        self.changes.retain(|change| change.last_offset < end);
    }

    pub(super) fn known(&self) -> BTreeMap<i64, Known> {
        self.changes.iter().map(|change| (change.id, change.known)).collect()
    }

    /// The records that are data, each with whether its transaction was aborted or is still open.
    pub(super) fn fates(&self) -> Vec<(&Appended, Fate)> {
        let mut ended: BTreeMap<i64, bool> = BTreeMap::new();
        let mut fates = Vec::new();
        for record in self.records.iter().rev() {
            match (record.marker, record.txn) {
                (Some(commit), Some(id)) => drop(ended.insert(id, commit)),
                (Some(_), None) => {}
                (None, None) => fates.push((record, Fate::Committed)),
                (None, Some(id)) => fates.push((
                    record,
                    match ended.get(&id) {
                        Some(true) => Fate::Committed,
                        Some(false) => Fate::Aborted,
                        None => Fate::Open,
                    },
                )),
            }
        }
        fates.reverse();
        fates
    }

    /// The last value of each key among the committed records of a range.
    pub(super) fn table(&self, from: i64, to: i64) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut table = BTreeMap::new();
        for (record, fate) in self.fates() {
            let Some(key) = &record.key else { continue };
            if fate == Fate::Committed && (from..to).contains(&record.offset) {
                match &record.value {
                    Some(value) => drop(table.insert(key.clone(), value.clone())),
                    None => drop(table.remove(key)),
                }
            }
        }
        table
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Committed,
    Aborted,
    Open,
}
