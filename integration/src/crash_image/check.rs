//! What was found in a crash image, against what was promised before it was taken.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use anyhow::Context;
use goatq_protocol::Uuid;

use super::book::{Acked, Book, Moment, Place, Promises, Topic, Trims};
use super::producer::send_once;
use super::reading::{self, Log, Reading};
use super::record::{self, Id, Stamp};
use crate::peer::Peer;

/// Broken promises that are told in full.
const TOLD: usize = 20;
/// Last batches of producers that are sent again to an image.
const SENT_AGAIN: usize = 40;

/// When an image was taken: between these two.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Before the copy began.
    pub before: Moment,
    /// After it was complete.
    pub after: Moment,
}

/// What an image showed.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Records that were acknowledged before the copy began and that nothing was allowed to remove.
    pub demanded: u64,
    /// Those of them that are not there.
    pub lost: u64,
    /// Records read.
    pub read: u64,
    /// All broken promises, the lost records apart.
    pub broken: u64,
    /// The first of them in words.
    pub told: Vec<String>,
}

impl Verdict {
    /// Whether every promise was kept.
    pub fn is_clean(&self) -> bool {
        self.lost + self.broken == 0
    }

    fn broken(&mut self, what: impl fmt::Display) {
        self.broken += 1;
        self.tell(what);
    }

    fn lost(&mut self, what: impl fmt::Display) {
        self.lost += 1;
        self.tell(what);
    }

    fn tell(&mut self, what: impl fmt::Display) {
        if self.told.len() < TOLD {
            self.told.push(what.to_string());
        }
    }
}

/// Holds a reading against the book.
pub fn compare(reading: &Reading, book: &mut Book, taken: Taken) -> Verdict {
    let mut verdict = Verdict::default();
    for (id, topic) in &reading.topics {
        match book.topics.get(id) {
            None => verdict.broken(format_args!("{} ({id}) was never created", topic.name)),
            Some(known) if known.deleted.is_some_and(|at| at < taken.before) => {
                verdict.broken(format_args!("{} ({id}) is back, although deleted", topic.name));
            }
            Some(_) => {}
        }
    }
    for (id, topic) in &book.topics {
        let Some(found) = reading.topics.get(id) else {
            let may_be_gone = topic.deletion_asked.is_some_and(|at| at < taken.after);
            if topic.created < taken.before && !may_be_gone {
                verdict.broken(format_args!("{} ({id}) is gone", topic.name));
            }
            continue;
        };
        for (&index, log) in &found.logs {
            let promises = book.logs.entry((*id, index)).or_default();
            let mut one = Partition { name: format!("{}-{index}", topic.name), topic, index, taken, verdict };
            one.check(log, promises);
            verdict = one.verdict;
        }
    }
    let committed = book.commits.iter().filter(|(at, _)| *at < taken.before).map(|(_, n)| *n).max().unwrap_or(-1);
    let asked = book.commits_asked.iter().filter(|(at, _)| *at < taken.after).map(|(_, n)| *n).max().unwrap_or(-1);
    if !(committed..=asked).contains(&reading.committed) {
        verdict.broken(format_args!("offset {} is committed, not {committed} to {asked}", reading.committed));
    }
    verdict
}

/// One partition under judgement.
struct Partition<'a> {
    name: String,
    topic: &'a Topic,
    index: i32,
    taken: Taken,
    verdict: Verdict,
}

impl Partition<'_> {
    fn check(&mut self, log: &Log, promises: &mut Promises) {
        self.verdict.read += log.records.len() as u64;
        if let Some(why) = &log.unreadable {
            self.verdict.broken(format_args!("{}: {why}", self.name));
        }
        self.check_start(log, promises);
        let found = self.identify(log);
        for (offset, id) in &found {
            let base = promises.base_of(id.producer, id.batch);
            if let Some(base) = base.filter(|base| base + i64::from(id.index) != *offset) {
                let name = &self.name;
                self.verdict.broken(format_args!("{name}: {id:?} was acknowledged at base {base}, is at {offset}"));
            }
        }
        if self.topic.trims == Trims::Compacted {
            self.check_keys(&found, promises);
        } else {
            self.check_dense(log, &found);
            self.check_streams(&found);
            self.check_offsets(log, &found, promises);
        }
    }

    /// The log begins no later than records were given up, and no earlier than in the image before.
    fn check_start(&mut self, log: &Log, promises: &mut Promises) {
        let asked = promises.cuts.iter().filter(|(at, _)| *at < self.taken.after).map(|(_, cut)| *cut).max();
        let most = match self.topic.trims {
            Trims::Never | Trims::Compacted => 0,
            Trims::Cut => asked.unwrap_or(0),
            // The live node's own start is looked at by the campaign.
            Trims::Aged => i64::MAX,
        };
        let (name, start) = (&self.name, log.start);
        if start > most {
            self.verdict.broken(format_args!("{name}: begins at {start}, where nothing was given up behind {most}"));
        }
        if start < promises.start_found {
            let before = promises.start_found;
            self.verdict.broken(format_args!("{name}: begins at {start}, and began at {before} in an earlier image"));
        }
        promises.start_found = promises.start_found.max(start);
    }

    /// The records by offset; damaged and foreign ones are reported.
    fn identify(&mut self, log: &Log) -> BTreeMap<i64, Id> {
        let mut found = BTreeMap::new();
        for record in &log.records {
            let offset = record.offset;
            match Id::of(record, self.topic.trims == Trims::Compacted) {
                Err(what) => self.verdict.broken(format_args!("{}: offset {offset}: {what}", self.name)),
                Ok(id) if (id.topic, id.partition) != (self.topic.serial, self.index) => {
                    self.verdict.broken(format_args!("{}: offset {offset}: {id:?} belongs elsewhere", self.name));
                }
                Ok(id) => {
                    if found.insert(offset, id).is_some() {
                        self.verdict.broken(format_args!("{}: offset {offset} comes twice", self.name));
                    }
                }
            }
        }
        found
    }

    /// No offset is missing.
    fn check_dense(&mut self, log: &Log, found: &BTreeMap<i64, Id>) {
        let missing = (log.start..log.end).find(|offset| !found.contains_key(offset));
        if let Some(offset) = missing {
            let name = &self.name;
            self.verdict.broken(format_args!("{name}: offset {offset} of {}..{} is missing", log.start, log.end));
        }
    }

    /// What there is of a producer is a piece of what it sent, in its order.
    fn check_streams(&mut self, found: &BTreeMap<i64, Id>) {
        let mut last: HashMap<u32, Id> = HashMap::new();
        for (offset, id) in found {
            if let Some(before) = last.insert(id.producer, *id) {
                let same_batch = (id.batch, id.index) == (before.batch, before.index + 1);
                let next_batch = (id.batch, id.index) == (before.batch + 1, 0);
                if !same_batch && !next_batch {
                    self.verdict.broken(format_args!("{}: offset {offset}: {before:?}, then {id:?}", self.name));
                }
            }
        }
    }

    /// Every acknowledged record is at its offset.
    fn check_offsets(&mut self, log: &Log, found: &BTreeMap<i64, Id>, promises: &Promises) {
        for (base, acked) in promises.acked.iter().filter(|(_, acked)| acked.at < self.taken.before) {
            for (index, offset) in (0..acked.records).zip(*base..) {
                if offset < log.start {
                    continue;
                }
                self.verdict.demanded += 1;
                let there = found.get(&offset);
                if !there.is_some_and(|id| is(id, acked, index)) {
                    self.verdict.lost(format_args!("{}: offset {offset}: {acked:?}, there is {there:?}", self.name));
                }
            }
        }
    }

    /// Of every key there is the last acknowledged record, or a later one.
    fn check_keys(&mut self, found: &BTreeMap<i64, Id>, promises: &Promises) {
        let last: HashMap<u64, i64> = found.iter().map(|(offset, id)| (id.key(), *offset)).collect();
        let mut demanded: HashMap<u64, (i64, Acked)> = HashMap::new();
        for (base, acked) in promises.acked.iter().filter(|(_, acked)| acked.at < self.taken.before) {
            for (index, offset) in (0..acked.records).zip(*base..) {
                let (producer, batch) = (acked.producer, acked.batch);
                let id = Id { topic: self.topic.serial, partition: self.index, producer, batch, index, size: 0 };
                demanded.insert(id.key(), (offset, *acked));
            }
        }
        for (key, (offset, acked)) in demanded {
            self.verdict.demanded += 1;
            let there = last.get(&key);
            if there.is_none_or(|there| *there < offset) {
                let name = &self.name;
                self.verdict
                    .lost(format_args!("{name}: key {key:x}, offset {offset}: {acked:?}, the last is {there:?}"));
            }
        }
    }
}

fn is(id: &Id, acked: &Acked, index: u32) -> bool {
    (id.producer, id.batch, id.index) == (acked.producer, acked.batch, index)
}

/// Goes on with the node of an image: what producers send once more is known, what they send next is taken.
///
/// # Errors
/// The node does not answer.
pub fn go_on(peer: &mut Peer, reading: &Reading, book: &Book, verdict: &mut Verdict) -> anyhow::Result<()> {
    let present = |place: &Place, base: i64| {
        let log = reading.topics.get(&place.0).and_then(|topic| topic.logs.get(&place.1));
        log.is_some_and(|log| base < log.end)
    };
    let known = book.logs.iter().flat_map(|(place, log)| log.last.values().map(move |last| (*place, last)));
    let known: Vec<_> = known.filter(|(place, (_, base))| present(place, *base)).collect();
    for (place, (bytes, base)) in known.iter().step_by(known.len() / SENT_AGAIN + 1) {
        let answer = send_once(peer, *place, bytes.clone())?;
        if answer != (0, *base) {
            verdict.broken(format_args!("{place:?}: the batch at {base} sent again is answered {answer:?}"));
        }
    }
    let ends = reading::topics(peer)?;
    for (&id, topic) in &reading.topics {
        let now = ends.get(&id).context("no topic goes by itself")?;
        for (index, log) in topic.logs.iter().step_by(16) {
            let end = now.logs.get(index).map(|log| log.end);
            if end != Some(log.end) {
                verdict.broken(format_args!("{}-{index}: ended at {}, now at {end:?}", topic.name, log.end));
            }
            let answer = send_once(peer, (id, *index), fresh(book, id, *index)?)?;
            if answer != (0, log.end) {
                verdict.broken(format_args!("{}-{index}: a record for {} is answered {answer:?}", topic.name, log.end));
            }
        }
    }
    Ok(())
}

/// A record of nobody's.
fn fresh(book: &Book, topic: Uuid, partition: i32) -> anyhow::Result<bytes::Bytes> {
    let keyed = book.topics.get(&topic).is_some_and(|topic| topic.trims == Trims::Compacted);
    let nobody = Stamp { id: -1, epoch: -1, sequence: -1, now_ms: 1, codec: goatq_protocol::record::Compression::None };
    let id = Id { topic: 0, partition, producer: u32::MAX, batch: 0, index: 0, size: 0 };
    record::batch(id, &[10], keyed, nobody)
}

#[cfg(test)]
mod tests;
