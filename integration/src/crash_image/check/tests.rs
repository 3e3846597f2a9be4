//! Each promise, kept and broken.

use bytes::Bytes;
use goatq_protocol::record::{Batch, Compression, Limits, Record};

use super::*;
use crate::crash_image::reading;

const ID: Uuid = Uuid([1; 16]);

fn stamp() -> Stamp {
    Stamp { id: 1, epoch: 0, sequence: 0, now_ms: 1, codec: Compression::None }
}

fn batch_of(number: u32, records: usize, keyed: bool) -> Bytes {
    let first = Id { topic: 0, partition: 0, producer: 0, batch: number, index: 0, size: 0 };
    record::batch(first, &vec![9; records], keyed, stamp()).unwrap()
}

fn records_of(number: u32, records: usize, base: i64, keyed: bool) -> Vec<Record> {
    let mut batch = Batch::parse(batch_of(number, records, keyed)).unwrap();
    batch.assign(base, 0).unwrap();
    batch.records(Limits::default()).map(Result::unwrap).collect()
}

/// A topic with batches of 2, 3 and 1 records at 0, 2 and 5, all acknowledged, and a commit of 4.
fn book(trims: Trims) -> Book {
    let mut book = Book::default();
    book.created(ID, 0, "topic", trims);
    for (batch, records, base) in [(0, 2, 0), (1, 3, 2), (2, 1, 5)] {
        let at = book.now();
        let acked = Acked { producer: 0, batch, records, at };
        let bytes = batch_of(batch, records as usize, trims == Trims::Compacted);
        book.acked((ID, 0), base, acked, &bytes).unwrap();
    }
    let at = book.now();
    book.commits_asked.push((at, 4));
    book.commits.push((at, 4));
    book
}

fn whole(keyed: bool) -> Vec<Record> {
    [(0, 2, 0), (1, 3, 2), (2, 1, 5)]
        .into_iter()
        .flat_map(|(n, count, base)| records_of(n, count, base, keyed))
        .collect()
}

fn reading(start: i64, records: Vec<Record>) -> Reading {
    let end = records.last().map_or(start, |record| record.offset + 1);
    let log = reading::Log { start, end, records, unreadable: None };
    let topic = reading::Topic { name: "topic".to_owned(), logs: [(0, log)].into() };
    Reading { topics: [(ID, topic)].into(), committed: 4 }
}

fn judge(mut book: Book, reading: &Reading) -> Verdict {
    let (before, after) = (book.now(), book.now());
    compare(reading, &mut book, Taken { before, after })
}

fn told(book: Book, reading: &Reading) -> String {
    judge(book, reading).told.join("\n")
}

#[test]
fn what_is_all_there_is_clean() {
    for trims in [Trims::Never, Trims::Cut, Trims::Aged, Trims::Compacted] {
        let verdict = judge(book(trims), &reading(0, whole(trims == Trims::Compacted)));
        assert!(verdict.is_clean() && verdict.demanded > 0, "{trims:?}: {verdict:?}");
    }
}

#[test]
fn a_lost_tail_is_counted() {
    let mut records = whole(false);
    records.truncate(4);
    let verdict = judge(book(Trims::Never), &reading(0, records));
    assert_eq!((verdict.demanded, verdict.lost, verdict.broken), (6, 2, 0));
}

#[test]
fn what_was_not_yet_acknowledged_may_be_missing() {
    let mut book = book(Trims::Never);
    let (before, after) = (book.now(), book.now());
    let at = book.now();
    book.acked((ID, 0), 6, Acked { producer: 0, batch: 3, records: 1, at }, &Bytes::new()).unwrap();
    assert!(compare(&reading(0, whole(false)), &mut book, Taken { before, after }).is_clean());
}

#[test]
fn holes_repetitions_and_strangers_are_found() {
    let mut hole = whole(false);
    hole.remove(3);
    assert!(told(book(Trims::Never), &reading(0, hole)).contains("offset 3 of 0..6 is missing"));
    let mut again = whole(false);
    again.extend(records_of(2, 1, 6, false));
    assert!(told(book(Trims::Never), &reading(0, again)).contains("is at 6"));
    let mut skipped = whole(false);
    skipped.extend(records_of(4, 1, 6, false));
    assert!(told(book(Trims::Never), &reading(0, skipped)).contains("then"));
    let mut damaged = whole(false);
    damaged[0].value = None;
    assert!(told(book(Trims::Never), &reading(0, damaged)).contains("another value"));
    let mut other = book(Trims::Never);
    other.topics.get_mut(&ID).unwrap().serial = 7;
    assert!(told(other, &reading(0, whole(false))).contains("belongs elsewhere"));
}

#[test]
fn starts_follow_what_was_given_up() {
    let cut = |offset| {
        let mut book = book(Trims::Cut);
        book.asks_cut((ID, 0), offset);
        book
    };
    let from_2 = || reading(2, whole(false).split_off(2));
    assert!(judge(cut(2), &from_2()).is_clean());
    assert!(told(cut(1), &from_2()).contains("begins at 2, where nothing was given up behind 1"));
    let mut later = cut(2);
    later.logs.get_mut(&(ID, 0)).unwrap().start_found = 2;
    assert!(told(later, &reading(0, whole(false))).contains("began at 2 in an earlier image"));
}

#[test]
fn topics_live_and_die_as_told() {
    let mut gone = book(Trims::Never);
    gone.asks_deletion(ID);
    assert!(judge(gone, &Reading { committed: 4, ..Reading::default() }).is_clean());
    let lost = told(book(Trims::Never), &Reading { committed: 4, ..Reading::default() });
    assert!(lost.contains("is gone"), "{lost}");
    let mut back = book(Trims::Never);
    back.deleted(ID);
    assert!(told(back, &reading(0, whole(false))).contains("is back"));
    let mut never = book(Trims::Never);
    never.topics.clear();
    assert!(told(never, &reading(0, whole(false))).contains("never created"));
}

#[test]
fn a_compacted_log_keeps_the_last_of_each_key() {
    let keys = |records: &[Record]| -> Vec<u64> { records.iter().map(|r| Id::of(r, true).unwrap().key()).collect() };
    let all = whole(true);
    let last = *keys(&all).last().unwrap();
    let without_last: Vec<Record> = all.iter().take(5).cloned().collect();
    let verdict = judge(book(Trims::Compacted), &reading(0, without_last.clone()));
    assert_eq!(verdict.lost, 1, "key {last:x} of {:x?}: {verdict:?}", keys(&without_last));
}

#[test]
fn commits_neither_vanish_nor_appear() {
    for committed in [-1, 3, 5] {
        let reading = Reading { committed, ..reading(0, whole(false)) };
        assert!(told(book(Trims::Never), &reading).contains("is committed, not 4 to 4"), "{committed}");
    }
}
