//! The logs of a directory: what is remembered of them, what is not, and what a crash at any moment leaves.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "log_dir/deletion.rs"]
mod deletion;
#[path = "log_dir/descriptors.rs"]
mod descriptors;
#[path = "log/hooked_disk.rs"]
mod hooked_disk;
#[path = "log_dir/loss.rs"]
mod loss;
#[path = "log_dir/moves.rs"]
mod moves;
#[path = "log_dir/room.rs"]
mod room;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use goatq_protocol::{
    Uuid,
    record::{Batch, BatchBuilder, BatchOptions, NewRecord},
};
use goatq_storage::{
    config::{CacheLimits, LogConfig},
    error::AppendError,
    group_commit::{CommitStats, NoListener},
    io::{Disk, OpenMode, default_disk, sim::SimDisk},
    journal::JournalLimits,
    log::{AppendOptions, Log, Origin},
    log_dir::{
        LastShutdown, LogDir, LogDirConfig, LogRequest, MaintenanceError, OpenLogError,
        health::{POISON_MARKER, Reserve},
    },
};

const DIR: &str = "/data";

fn config() -> LogDirConfig {
    LogDirConfig {
        cluster_id: "cluster".to_owned(),
        node_id: 1,
        fresh_directory_id: Uuid([7; 16]),
        reserve: Reserve::default(),
        caches: CacheLimits::default(),
        recovery_threads: 1,
        journal: JournalLimits::default(),
    }
}

fn open(disk: &SimDisk) -> Arc<LogDir> {
    LogDir::open(Arc::new(disk.clone()), Path::new(DIR), config()).unwrap()
}

fn request(topic: &str, partition: i32) -> LogRequest {
    LogRequest {
        topic: topic.to_owned(),
        partition,
        topic_id: Some(Uuid([9; 16])),
        config: LogConfig::default(),
        listener: Arc::new(NoListener),
    }
}

fn batch(timestamp: i64, value: &[u8]) -> Batch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(NewRecord { timestamp, value: Some(value), ..NewRecord::default() }).unwrap();
    builder.build_batch().unwrap()
}

fn append_as(log: &Log, value: &[u8], origin: Origin) -> Result<i64, AppendError> {
    let options = AppendOptions { leader_epoch: 0, origin, now_ms: 0 };
    log.append(vec![batch(log.log_end_offset(), value)], options).map(|appended| appended.base_offset)
}

fn append(log: &Log, value: &[u8]) -> i64 {
    append_as(log, value, Origin::Client).unwrap()
}

fn append_many(log: &Log, count: usize, value: &[u8]) {
    for _ in 0..count {
        append(log, value);
    }
}

fn commit(dir: &LogDir) -> usize {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(dir.commit().turn())
}

fn names(disk: &SimDisk) -> Vec<String> {
    let entries = disk.list(Path::new(DIR)).unwrap();
    entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect()
}

#[test]
fn logs_are_made_found_and_opened_once() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    let opened = dir.open_logs(vec![request("a", 0), request("b", 3), request("a", 0), request("../x", 0)], 0);
    assert!(matches!(
        opened[..],
        [Ok(_), Ok(_), Err(OpenLogError::AlreadyOpen(_)), Err(OpenLogError::UnusableName(_))]
    ));
    assert!(matches!(dir.open_log(request("b", 3), 0), Err(OpenLogError::AlreadyOpen(_))));
    assert!(matches!(dir.open_log(request("a", -1), 0), Err(OpenLogError::UnusableName(_))));
    assert_eq!(dir.logs().len(), 2);
    assert_eq!(dir.log("b", 3).unwrap().name(), "b-3");
    let dir = open(&disk.crash());
    let found: Vec<_> = dir.found().iter().map(|found| (found.topic.as_str(), found.partition)).collect();
    assert_eq!(found, [("a", 0), ("b", 3)], "a log that was made is there after any crash");
}

/// Appends to so many logs in turn, ten times, each append made durable before the next, with a journal that may hold so many files;
/// what group commit did, and the most files that were synced around one append.
fn in_turn(partitions: i32, files: usize) -> (CommitStats, u64) {
    let disk = SimDisk::new(1);
    let journal = JournalLimits { slot_bytes: 512 << 10, files, patience: 1, ..JournalLimits::default() };
    let dir = LogDir::open(Arc::new(disk.clone()), Path::new(DIR), LogDirConfig { journal, ..config() }).unwrap();
    let logs: Vec<_> = (0..partitions).map(|partition| dir.open_log(request("a", partition), 0).unwrap()).collect();
    logs.iter().for_each(|log| append_many(log, 1, b"the names of a new log are synced"));
    let mut most = 0;
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        let run = tokio::spawn({
            let dir = dir.clone();
            async move { dir.run().await }
        });
        for round in 0..10 {
            for log in &logs {
                let before = disk.counters().syncs;
                append(log, b"x");
                while log.durable_end() < log.log_end_offset() {
                    tokio::task::yield_now().await;
                }
                // Time in which the disk could sync many more.
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                most = if round < 3 { 0 } else { most.max(disk.counters().syncs - before) };
            }
            dir.maintain(round).unwrap();
        }
        run.abort();
    });
    (dir.commit().stats(), most)
}

#[test]
fn a_journal_of_more_files_than_may_be_open_is_freed_and_goes_on() {
    let (stats, _) = in_turn(20, 8);
    // All but those of the first round, before there is a journal, and of the second, before there is another slot than the one that
    // is being freed.
    assert!(stats.journaled >= 160, "{stats:?}");
    // Four files more, and those that were used before are synced.
    assert!(stats.journal.checkpoints >= 35 && stats.journal.files <= 5 * stats.journal.checkpoints, "{stats:?}");
}

#[test]
fn files_behind_the_journal_are_synced_some_at_a_time() {
    let (stats, most) = in_turn(300, 256);
    assert!(stats.journaled >= 2_400 && stats.journal.files > 1_500, "{stats:?}");
    assert!((1..=32).contains(&most), "{most} of 128 at once");
}

#[test]
fn checkpoints_that_are_due_at_once_are_spread_over_rounds() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    let requests = (0..150).map(|partition| request("a", partition)).collect();
    let logs: Vec<_> = dir.open_logs(requests, 0).into_iter().map(Result::unwrap).collect();
    logs.iter().for_each(|log| append_many(log, 1, b"x"));
    commit(&dir);
    let proven = || logs.iter().filter(|log| log.recovery_point() == 1).count();
    for expected in [64, 128, 150] {
        dir.maintain(60_000).unwrap();
        assert_eq!(proven(), expected);
    }
}

#[test]
fn after_a_clean_end_nothing_is_read_but_what_names_the_logs() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    for partition in 0..10 {
        let log = dir.open_log(request("t", partition), 0).unwrap();
        append_many(&log, 300, &[1; 1_000]);
    }
    dir.close_clean(-1, 0).unwrap();
    drop(dir);
    let before = disk.counters();
    let dir = open(&disk);
    for partition in 0..10 {
        let log = dir.open_log(request("t", partition), 0).unwrap();
        assert_eq!((log.log_end_offset(), log.durable_end()), (300, 300));
    }
    let read = disk.counters().read_bytes - before.read_bytes;
    assert!(read < 400_000, "{read} bytes read of 3,000,000");
}

#[test]
fn after_a_crash_only_what_is_behind_the_recovery_point_is_read() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    let log = dir.open_log(request("t", 0), 0).unwrap();
    append_many(&log, 500, &[1; 1_000]);
    dir.checkpoint(0).unwrap();
    append_many(&log, 10, &[2; 1_000]);
    commit(&dir);
    let disk = disk.crash();
    let dir = open(&disk);
    let log = dir.open_log(request("t", 0), 0).unwrap();
    assert_eq!(log.log_end_offset(), 510, "all of it was synced");
    let read = disk.counters().read_bytes;
    assert!(read < 100_000, "{read} bytes read of 510,000");
}

#[test]
fn a_log_start_offset_is_remembered() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    let log = dir.open_log(request("t", 0), 0).unwrap();
    append_many(&log, 10, b"x");
    commit(&dir);
    log.advance_start_offset(4, 10).unwrap();
    dir.checkpoint(0).unwrap();
    let dir = open(&disk.crash());
    let log = dir.open_log(request("t", 0), 0).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (4, 10));
}

#[test]
fn high_watermarks_are_remembered_and_go_with_their_logs() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    dir.open_logs(vec![request("t", 0), request("t", 1)], 0);
    assert_eq!(dir.high_watermark("t", 0), None);
    dir.set_high_watermarks([("t-0", 4), ("t-1", 5), ("never-0", 6)].into_iter());
    dir.maintain(0).unwrap();
    let disk = disk.crash();
    let dir = open(&disk);
    let known = |dir: &LogDir, partition| dir.high_watermark("t", partition);
    assert_eq!((known(&dir, 0), known(&dir, 1), dir.high_watermark("never", 0)), (Some(4), Some(5), None));
    // A successor of the same name has committed nothing, whatever is on the disk by then.
    dir.open_logs(vec![request("t", 0), request("t", 1)], 0);
    dir.delete_logs(&[("t", 1)], 0, || Uuid([1; 16])).unwrap();
    dir.set_high_watermarks([("t-1", 5)].into_iter());
    dir.open_log(request("t", 1), 0).unwrap();
    let dir = open(&disk.crash());
    assert_eq!((known(&dir, 0), known(&dir, 1)), (Some(4), None));
}

#[test]
fn a_deleted_log_goes_at_once_and_its_files_after_the_delay() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    let log = dir.open_log(request("t", 0), 0).unwrap();
    append(&log, b"x");
    commit(&dir);
    dir.delete_logs(&[("t", 0), ("never", 1)], 1_000, || Uuid([0xab; 16])).unwrap();
    assert!(dir.log("t", 0).is_none());
    assert!(matches!(append_as(&log, b"x", Origin::Client), Err(AppendError::Closed)));
    assert_eq!(names(&disk.crash_image()), ["t-0.abababababababababababababababab-delete"], "durable");
    dir.maintain(60_999).unwrap();
    assert_eq!(names(&disk).len(), 1);
    dir.maintain(61_000).unwrap();
    assert_eq!(names(&disk), [""; 0]);
}

#[test]
fn files_of_many_deleted_logs_go_bit_by_bit_and_at_once_where_room_is_short() {
    for short in [false, true] {
        let disk = SimDisk::new(1);
        let dir = open(&disk);
        for partition in 0..40 {
            append(&dir.open_log(request("t", partition), 0).unwrap(), b"x");
        }
        commit(&dir);
        let all: Vec<(&str, i32)> = (0..40).map(|partition| ("t", partition)).collect();
        dir.delete_logs(&all, 0, || Uuid([1; 16])).unwrap();
        if short {
            disk.set_capacity(4096);
        }
        let mut left = Vec::new();
        while left.last() != Some(&0) {
            let maintained = dir.maintain(60_000);
            assert!(short || maintained.is_ok(), "{maintained:?}");
            left.push(names(&disk).len());
        }
        assert_eq!(left, if short { vec![0] } else { vec![24, 8, 0] });
    }
}

#[test]
fn a_log_that_was_never_opened_can_be_deleted() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    dir.open_logs(vec![request("t", 0), request("t", 1)], 0);
    drop(dir);
    let disk = disk.crash();
    let dir = open(&disk);
    dir.delete_logs(&[("t", 1)], 0, || Uuid([1; 16])).unwrap();
    dir.maintain(0).unwrap();
    assert_eq!(names(&disk), ["t-0"]);
}

/// The successor's records must not count as proven because its predecessor's were.
#[test]
fn a_successor_of_the_same_name_starts_from_nothing_whenever_the_power_goes() {
    for seed in 0..300 {
        let disk = SimDisk::new(seed);
        let dir = open(&disk);
        let log = dir.open_log(request("t", 0), 0).unwrap();
        append_many(&log, 20, b"old");
        dir.checkpoint(0).unwrap();
        dir.delete_logs(&[("t", 0)], 0, || Uuid([1; 16])).unwrap();
        drop(log);
        let log = dir.open_log(request("t", 0), 0).unwrap();
        append_many(&log, 5, b"new");
        commit(&dir);
        append_many(&log, 5, b"lost");
        let dir = open(&disk.crash());
        let log = dir.open_log(request("t", 0), 0).unwrap();
        assert!((5..=10).contains(&log.log_end_offset()), "seed {seed}: {}", log.log_end_offset());
        assert_eq!(append(&log, b"next"), log.log_end_offset() - 1);
    }
}

#[test]
fn logs_that_nobody_recovered_are_not_declared_clean() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    dir.open_logs(vec![request("t", 0), request("t", 1)], 0);
    let disk = disk.crash();
    let dir = open(&disk);
    dir.open_log(request("t", 0), 0).unwrap();
    dir.close_clean(-1, 0).unwrap();
    drop(dir);
    let dir = open(&disk);
    assert_eq!(dir.last_shutdown(), LastShutdown::Unclean);
    dir.open_logs(vec![request("t", 0), request("t", 1)], 0);
    dir.close_clean(-1, 0).unwrap();
    drop(dir);
    // After a clean end a log that nobody opens stays clean.
    let dir = open(&disk);
    assert!(matches!(dir.last_shutdown(), LastShutdown::Clean { .. }));
    dir.close_clean(-1, 0).unwrap();
    drop(dir);
    assert!(matches!(open(&disk).last_shutdown(), LastShutdown::Clean { .. }));
}

#[test]
fn a_failed_sync_ends_the_directory_for_good() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    let (a, b) = (dir.open_log(request("a", 0), 0).unwrap(), dir.open_log(request("b", 0), 0).unwrap());
    append(&a, b"x");
    disk.inject(goatq_storage::io::sim::Fault::FailSync("a-0".to_owned()));
    assert_eq!(commit(&dir), 0);
    assert_eq!(a.durable_end(), 0);
    assert!(matches!(append_as(&b, b"x", Origin::Client), Err(AppendError::Poisoned)));
    assert!(matches!(dir.open_log(request("c", 0), 0), Err(OpenLogError::Poisoned)));
    assert!(dir.close_clean(-1, 0).is_err());
    drop(dir);
    let error = LogDir::open(Arc::new(disk.clone()), Path::new(DIR), config()).unwrap_err();
    assert!(error.to_string().contains(POISON_MARKER), "{error}");
}

#[test]
fn maintenance_goes_on_where_one_log_fails() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    dir.open_logs(vec![request("a", 0), request("b", 0)], 0);
    append(&dir.log("a", 0).unwrap(), b"x");
    disk.inject(goatq_storage::io::sim::Fault::FailSync("a-0".to_owned()));
    let error = dir.checkpoint(0).unwrap_err();
    assert!(
        matches!(&error, MaintenanceError::Logs { failed } if failed.0.iter().any(|(name, _)| name == "a-0")),
        "{error}"
    );
}

/// The real disk, several threads, logs that were left by a kill: every record is there.
#[test]
fn many_logs_are_recovered_side_by_side_on_the_real_disk() {
    let place = tempfile::tempdir().unwrap();
    let path: PathBuf = place.path().join("deep/er");
    let config = LogDirConfig { recovery_threads: 4, ..config() };
    let requests = || (0..20).map(|partition| request("t", partition)).collect::<Vec<_>>();
    {
        let dir = LogDir::open(default_disk(), &path, config.clone()).unwrap();
        for (index, log) in dir.open_logs(requests(), 0).into_iter().enumerate() {
            let log = log.unwrap();
            append_many(&log, index + 1, &[3; 500]);
        }
        assert_eq!(commit(&dir), 20);
        assert!(LogDir::open(default_disk(), &path, config.clone()).is_err(), "it is locked");
    }
    let dir = LogDir::open(default_disk(), &path, config).unwrap();
    assert_eq!(dir.found().len(), 20);
    for (index, log) in dir.open_logs(requests(), 0).into_iter().enumerate() {
        assert_eq!(log.unwrap().log_end_offset(), index as i64 + 1);
    }
    dir.close_clean(3, 0).unwrap();
    assert!(dir.disk().open(&path.join(".kafka_cleanshutdown"), OpenMode::Read).is_ok());
}
