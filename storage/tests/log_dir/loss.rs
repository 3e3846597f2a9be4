//! What recovery cannot keep is noted before it is cut, and told until somebody knows.

use goatq_storage::log::Loss;

use super::*;

const SUSPECTED: Option<Loss> = Some(Loss { until: None });

/// Segments of some batches each.
fn small(topic: &str) -> LogRequest {
    let config = LogConfig { segment_bytes: 4_096, ..LogConfig::default() };
    LogRequest { config, ..request(topic, 0) }
}

/// A log of several segments, all of it acknowledged, and the segments' files.
fn acknowledged(disk: &SimDisk) -> Vec<PathBuf> {
    let dir = open(disk);
    let log = dir.open_log(small("t"), 0).unwrap();
    for _ in 0..20 {
        append(&log, &[1; 900]);
        commit(&dir);
    }
    assert_eq!((log.durable_end(), log.recovery_point()), (20, 0));
    let path = Path::new(DIR).join("t-0");
    let files = disk.list(&path).unwrap().into_iter().filter(|entry| entry.name.ends_with(".log"));
    files.map(|entry| path.join(entry.name)).collect()
}

fn reopen(disk: &SimDisk) -> (Arc<LogDir>, Arc<Log>) {
    let dir = open(disk);
    let log = dir.open_log(small("t"), 0).unwrap();
    (dir, log)
}

#[test]
fn a_flipped_bit_behind_the_recovery_point_is_told_until_somebody_knows() {
    let disk = SimDisk::new(1);
    let segments = acknowledged(&disk);
    disk.flip_bit(&segments[1], 100, 3).unwrap();
    let disk = disk.restart();
    let (dir, log) = reopen(&disk);
    assert!(log.log_end_offset() < 20, "what follows is cut");
    assert_eq!(log.loss(), SUSPECTED);
    drop((dir, log));
    // The cut has taken the evidence away, the note is there whatever happens.
    for disk in [disk.crash_image(), disk.restart()] {
        let (_dir, log) = reopen(&disk);
        assert_eq!(log.loss(), SUSPECTED);
        log.forget_loss().unwrap();
        assert_eq!(reopen(&disk.crash()).1.loss(), None);
    }
}

#[test]
fn a_flipped_bit_in_the_growing_segment_is_told_where_whole_batches_follow() {
    let disk = SimDisk::new(1);
    let segments = acknowledged(&disk);
    disk.flip_bit(segments.last().unwrap(), 100, 3).unwrap();
    assert_eq!(reopen(&disk.restart()).1.loss(), SUSPECTED);
}

#[test]
fn what_the_recovery_point_proves_is_lacked_for_certain() {
    let disk = SimDisk::new(1);
    let segments = acknowledged(&disk);
    let (dir, log) = reopen(&disk.restart());
    dir.checkpoint(0).unwrap();
    drop((dir, log));
    let disk = disk.restart();
    disk.remove_file(segments.last().unwrap()).unwrap();
    let (_dir, log) = reopen(&disk);
    assert!(log.log_end_offset() < 20);
    assert_eq!(log.loss(), Some(Loss { until: Some(20) }));
    log.note_loss(25).unwrap();
    assert_eq!(reopen(&disk.crash()).1.loss(), Some(Loss { until: Some(25) }));
}

#[test]
fn nothing_is_told_where_nothing_was_acknowledged() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        acknowledged(&disk);
        let (dir, log) = reopen(&disk.restart());
        assert_eq!(log.loss(), None, "a kill, seed {seed}");
        append(&log, &[2; 900]);
        drop((dir, log));
        let (_dir, log) = reopen(&disk.crash());
        assert!(log.log_end_offset() >= 20);
        assert_eq!(log.loss(), None, "one append that was under way, seed {seed}");
    }
}

#[test]
fn what_is_given_up_is_not_looked_for() {
    let disk = SimDisk::new(1);
    let dir = open(&disk);
    let log = dir.open_log(small("t"), 0).unwrap();
    append_many(&log, 5, b"x");
    commit(&dir);
    dir.set_high_watermarks([("t-0", 5)].into_iter());
    dir.checkpoint(0).unwrap();
    log.give_up_committed(3).unwrap();
    assert_eq!(open(&disk.crash()).high_watermark("t", 0), Some(3));
}
