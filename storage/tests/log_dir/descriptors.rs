//! A process that has as many files open as it may has no failed disk: what needs a file is refused, and goes on when there is one again.

use super::*;

fn small() -> LogRequest {
    let config = LogConfig { segment_bytes: 4_096, ..LogConfig::default() };
    LogRequest { config, ..request("t", 0) }
}

#[test]
fn appends_that_need_a_file_are_refused_and_go_on() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    let log = dir.open_log(small(), 0).unwrap();
    append(&log, &[1; 900]);
    commit(&dir);
    disk.set_out_of_descriptors(true);
    let mut refused = 0;
    for _ in 0..20 {
        refused += usize::from(append_as(&log, &[1; 900], Origin::Client).is_err());
        commit(&dir);
    }
    assert!(refused > 10, "a segment takes four batches");
    let end = log.log_end_offset();
    assert_eq!(log.durable_end(), end, "what was taken is made durable");
    // Upkeep fails, and harms nothing.
    dir.set_high_watermarks([("t-0", end)].into_iter());
    let _ = dir.maintain(60_000);
    let _ = dir.checkpoint(60_000);
    let _ = log.retain(i64::MAX, end);
    assert!(matches!(dir.open_log(request("new", 0), 0), Err(OpenLogError::Make(_) | OpenLogError::Log(_))));
    assert!(!dir.health().is_poisoned(), "{:?}", dir.health().poison_reason());
    disk.set_out_of_descriptors(false);
    append_many(&log, 20, &[1; 900]);
    commit(&dir);
    assert_eq!(log.durable_end(), end + 20);
    dir.open_log(request("new", 0), 0).unwrap();
    dir.maintain(120_000).unwrap();
    dir.close_clean(-1, 0).unwrap();
    drop((log, dir));
    let dir = open(&disk.restart());
    assert_eq!(dir.open_log(small(), 0).unwrap().log_end_offset(), end + 20);
}

/// What was half made while there were no descriptors is durable once it counts.
#[test]
fn a_log_that_was_half_made_is_there_after_a_crash() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let dir = open(&disk);
        disk.set_out_of_descriptors(true);
        dir.open_log(request("t", 0), 0).unwrap_err();
        disk.set_out_of_descriptors(false);
        let log = dir.open_log(request("t", 0), 0).unwrap();
        append(&log, b"x");
        commit(&dir);
        assert_eq!(log.durable_end(), 1);
        drop((log, dir));
        let dir = open(&disk.crash());
        assert_eq!(dir.open_log(request("t", 0), 0).unwrap().log_end_offset(), 1, "seed {seed}");
    }
}

#[test]
fn a_clean_end_without_descriptors_leaves_no_failed_directory() {
    let disk = SimDisk::new(1);
    let journal = JournalLimits { slot_bytes: 512 << 10, patience: 1, ..JournalLimits::default() };
    let dir = LogDir::open(Arc::new(disk.clone()), Path::new(DIR), LogDirConfig { journal, ..config() }).unwrap();
    let log = dir.open_log(request("t", 0), 0).unwrap();
    for round in 0..5 {
        append(&log, b"x");
        commit(&dir);
        dir.maintain(round).unwrap();
    }
    disk.set_out_of_descriptors(true);
    assert!(dir.close_clean(-1, 0).is_err());
    assert!(!dir.health().is_poisoned(), "{:?}", dir.health().poison_reason());
    drop((log, dir));
    let disk = disk.restart();
    disk.set_out_of_descriptors(false);
    let dir = open(&disk);
    assert_eq!(dir.last_shutdown(), LastShutdown::Unclean);
    assert_eq!(dir.open_log(request("t", 0), 0).unwrap().log_end_offset(), 5);
}
