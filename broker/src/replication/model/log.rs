//! A log of the model: records of one epoch and value each, of which the first so many are durable.

use super::super::follower::{BatchSpan, ReplicaLog};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) struct Record {
    pub(in super::super) epoch: i32,
    pub(in super::super) value: u8,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(in super::super) struct ModelLog {
    /// Offset of the first record.
    pub(in super::super) start: i64,
    pub(in super::super) records: Vec<Record>,
    pub(in super::super) durable: usize,
}

fn offset(len: usize) -> i64 {
    i64::try_from(len).expect("logs of the model are short")
}

fn len(offset: i64) -> usize {
    usize::try_from(offset).expect("offsets of the model are not negative")
}

impl ModelLog {
    pub(in super::super) fn cut(&mut self, end: i64) {
        self.records.truncate(len(end - self.start));
        self.durable = self.records.len();
    }

    /// What is lost at most in a crash goes, but for the first `kept` records; what is left is synced again.
    pub(super) fn crash(&mut self, kept: usize) {
        self.records.truncate(kept);
        self.durable = self.records.len();
    }

    pub(super) fn from(&self, at: i64) -> Vec<Record> {
        self.records[len(at - self.start)..].to_vec()
    }

    /// The records that both have at the begin.
    pub(super) fn below(&self, end: i64) -> &[Record] {
        &self.records[..len(end - self.start).min(self.records.len())]
    }
}

impl ReplicaLog for ModelLog {
    fn start(&self) -> i64 {
        self.start
    }

    fn end(&self) -> i64 {
        self.start + offset(self.records.len())
    }

    fn durable_end(&self) -> i64 {
        self.start + offset(self.durable)
    }

    fn last_epoch(&self) -> Option<i32> {
        self.records.last().map(|record| record.epoch)
    }

    fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        let behind = self.records.iter().position(|record| record.epoch > epoch);
        let Some(behind) = behind else {
            return (self.last_epoch() == Some(epoch)).then(|| (epoch, self.end()));
        };
        let known = behind.checked_sub(1).map_or(epoch, |before| self.records[before].epoch);
        Some((known, self.start + offset(behind)))
    }
}

pub(in super::super) fn spans(from: i64, records: &[Record]) -> Vec<BatchSpan> {
    let span = |(at, record): (i64, &Record)| BatchSpan { base_offset: at, next_offset: at + 1, epoch: record.epoch };
    (from..).zip(records).map(span).collect()
}
