//! A disk that has no room, or little.

use std::{path::Path, sync::Arc};

use goatq_storage::{
    config::{Durability, LogConfig},
    error::AppendError,
    io::{Disk, sim::SimDisk},
    log::{Log, Origin},
    log_dir::{LogDir, LogRequest},
};

use super::{DIR, append, append_as, commit, open, request};

const MIB: u64 = 1 << 20;

/// Appends until there is no room; how often there was.
fn until_refused(log: &Log, origin: Origin) -> i64 {
    let mut appended = 0;
    let refusal = loop {
        match append_as(log, &[1; 100_000], origin) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, AppendError::OutOfSpace), "{refusal}");
    appended
}

#[test]
fn below_the_reserve_clients_are_refused_and_coordinators_are_not() {
    let disk = SimDisk::new(1);
    disk.set_capacity(40 * MIB);
    let dir = open(&disk);
    let log = dir.open_log(request("t", 0), 0).unwrap();
    let appended = until_refused(&log, Origin::Client);
    let free = disk.space(Path::new(DIR)).unwrap().available;
    assert!((MIB..2 * MIB).contains(&free), "{free} of the 2 MiB are left");
    append_as(&log, b"offsets", Origin::Coordinator).unwrap();
    assert_eq!(commit(&dir), 1);
    assert_eq!(log.durable_end(), appended + 1);
    // Somebody frees room; the state is left by itself.
    disk.set_capacity(60 * MIB);
    dir.maintain(0).unwrap();
    append(&log, b"x");
    assert!(!dir.health().is_poisoned());
}

/// A log that takes the room of its segments in advance, if it is to.
fn open_log(dir: &LogDir, preallocate: bool, durability: Durability) -> Arc<Log> {
    let config = LogConfig { segment_bytes: 1 << 20, preallocate, durability, ..LogConfig::default() };
    dir.open_log(LogRequest { config, ..request("t", 0) }, 0).unwrap()
}

/// What a full disk takes of a log that is new, was cut, or was opened after a kill.
fn taken_when_full(preallocate: bool, durability: Durability) -> [bool; 3] {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    let log = open_log(&dir, preallocate, durability);
    let one = [1; 100_000];
    let takes = |disk: &SimDisk, dir: &LogDir, log: &Log| {
        disk.set_capacity(disk.used());
        let appended = append_as(log, &one, Origin::Coordinator);
        commit(dir);
        // What the journal has made durable needs room when it is written to its segment. The checkpoint's own files have none.
        let _ = dir.checkpoint(0);
        let written = log.staged_bytes() == 0;
        disk.set_capacity(64 * MIB);
        assert!(!dir.health().is_poisoned());
        appended.is_ok() && written
    };
    append(&log, b"x");
    append(&log, b"y");
    commit(&dir);
    let new = takes(&disk, &dir, &log);
    log.truncate_to(1).unwrap();
    let cut = takes(&disk, &dir, &log);
    drop((dir, log));
    let disk = disk.restart();
    let dir = open(&disk);
    let log = open_log(&dir, preallocate, durability);
    [new, cut, takes(&disk, &dir, &log)]
}

#[test]
fn a_log_that_finds_no_room_in_advance_begins_rolls_and_is_cut_all_the_same() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    disk.set_capacity(disk.used() + MIB / 2);
    let log = open_log(&dir, true, Durability::PageCache);
    append(&log, b"x");
    log.truncate_fully_and_start_at(7).unwrap();
    assert_eq!(append(&log, b"y"), 7);
    log.truncate_to(7).unwrap();
    assert_eq!(append(&log, b"z"), 7);
    let taken = until_refused(&log, Origin::Coordinator);
    assert!((1..6).contains(&taken), "{taken}");
    assert!(!dir.health().is_poisoned());
}

#[test]
fn room_that_was_taken_in_advance_is_there_when_the_disk_is_full() {
    for durability in [Durability::PageCache, Durability::Fsync] {
        assert_eq!(taken_when_full(true, durability), [true; 3], "{durability:?}");
        assert_eq!(taken_when_full(false, durability), [false; 3], "{durability:?}");
    }
}
