use proptest::prelude::*;

use super::*;
use crate::{
    io::sim::{Fault, SimDisk},
    log_dir::health::Reserve,
};

const DIR: &str = "/d";

fn setup() -> (SimDisk, Arc<DirHealth>) {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let health = DirHealth::new(Arc::new(disk.clone()), Path::new(DIR), Reserve::default());
    // A directory without logs begins with the file.
    load_with(&disk, &health, &[]);
    (disk, health)
}

fn load(disk: &SimDisk, health: &Arc<DirHealth>) -> OffsetCheckpoints {
    load_with(disk, health, &["t-0", "u-0"])
}

fn load_with(disk: &SimDisk, health: &Arc<DirHealth>, logs: &[&str]) -> OffsetCheckpoints {
    let logs = logs.iter().map(|name| (*name).to_owned()).collect();
    OffsetCheckpoints::load(Arc::new(disk.clone()), Path::new(DIR), health.clone(), &logs).unwrap()
}

fn values(recovery_point: i64) -> Remembered {
    Remembered { recovery_point: Some(recovery_point), log_start_offset: recovery_point / 2, first_dirty_offset: 0 }
}

#[test]
fn kafkas_files_are_read_and_written() {
    let file = "0\n2\na.b-c_1 0 0\na.b-c_1 1 4711\n";
    let offsets = parse(file.as_bytes()).unwrap();
    assert_eq!(offsets, Offsets::from([("a.b-c_1-0".to_owned(), 0), ("a.b-c_1-1".to_owned(), 4711)]));
    assert_eq!(encode(&offsets), file);
    assert_eq!(parse(b""), Ok(Offsets::new()), "Kafka makes its files empty at first");
    assert_eq!(parse(b"0\n0\n"), Ok(Offsets::new()));
}

#[test]
fn damaged_files_are_refused_with_a_reason() {
    for (content, reason) in [
        (&b"1\n0\n"[..], "version"),
        (b"0\nmany\n", "number of lines"),
        (b"0\n2\na 0 5\n", "1 lines where 2"),
        (b"0\n0\na 0 5\n", "1 lines where 0"),
        (b"0\n1\na 0\n", "unusable line"),
        (b"0\n1\na 0 5 6\n", "unusable line"),
        (b"0\n1\na -1 5\n", "unusable line"),
        (b"0\n1\na 0 -5\n", "unusable line"),
        (b"0\n1\na 0 9223372036854775808\n", "unusable line"),
        (b"\xff", "not text"),
    ] {
        assert!(parse(content).unwrap_err().contains(reason), "{reason}");
    }
}

proptest! {
    #[test]
    fn files_round_trip(offsets in proptest::collection::btree_map("[a-zA-Z0-9._-]{1,20}-[1-9][0-9]{0,8}", 0..i64::MAX, 0..20)) {
        prop_assert_eq!(parse(encode(&offsets).as_bytes()), Ok(offsets));
    }

    #[test]
    fn arbitrary_bytes_never_panic(content in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&content);
    }
}

#[test]
fn what_was_written_is_remembered_after_a_power_cut() {
    let (disk, health) = setup();
    let checkpoints = load(&disk, &health);
    let stamp = checkpoints.begin_round();
    checkpoints.propose("t-0", stamp, values(10));
    checkpoints.propose("gone-0", stamp, values(10));
    checkpoints.write().unwrap();
    let written = disk.counters().writes;
    checkpoints.write().unwrap();
    assert_eq!(disk.counters().writes, written, "nothing changed, nothing is written");
    let after = load(&disk.crash(), &health);
    assert_eq!(after.remembered("t-0"), values(10));
    assert_eq!(after.remembered("gone-0"), values(0), "its directory is not there");
}

#[test]
fn a_lowered_point_is_durable_at_once_and_beats_reports_from_before() {
    let (disk, health) = setup();
    let checkpoints = load(&disk, &health);
    checkpoints.propose("t-0", checkpoints.begin_round(), values(10));
    checkpoints.write().unwrap();
    let stamp = checkpoints.begin_round();
    checkpoints.lower_recovery_point("t-0", 4).unwrap();
    assert_eq!(load(&disk.crash_image(), &health).remembered("t-0").recovery_point, Some(4));
    // A report that was on its way when the log was truncated.
    checkpoints.propose("t-0", stamp, values(10));
    checkpoints.write().unwrap();
    assert_eq!(load(&disk.crash_image(), &health).remembered("t-0").recovery_point, Some(4));
    checkpoints.propose("t-0", checkpoints.begin_round(), values(6));
    checkpoints.write().unwrap();
    checkpoints.lower_recovery_point("t-0", 8).unwrap();
    assert_eq!(load(&disk.crash(), &health).remembered("t-0").recovery_point, Some(6), "lowering never raises");
}

#[test]
fn a_successor_of_the_same_name_inherits_nothing() {
    let (disk, health) = setup();
    let checkpoints = load(&disk, &health);
    let stamp = checkpoints.begin_round();
    checkpoints.propose("t-0", stamp, values(10));
    checkpoints.write().unwrap();
    let stamp = checkpoints.begin_round();
    checkpoints.forget("t-0");
    checkpoints.propose("t-0", stamp, values(12));
    assert_eq!(
        load(&disk.crash_image(), &health).remembered("t-0"),
        values(10),
        "only the next write takes it off the disk"
    );
    checkpoints.make_unknown(&["t-0".to_owned(), "u-0".to_owned()]).unwrap();
    assert_eq!(load(&disk.crash(), &health).remembered("t-0"), values(0));
}

#[test]
fn a_failing_disk_is_noticed() {
    let (disk, health) = setup();
    let checkpoints = load(&disk, &health);
    checkpoints.propose("t-0", checkpoints.begin_round(), values(10));
    disk.set_capacity(0);
    checkpoints.write().unwrap_err();
    assert!(!health.is_poisoned(), "full is not broken");
    disk.set_capacity(1 << 30);
    disk.inject(Fault::FailSync(RECOVERY_POINTS.to_owned()));
    checkpoints.write().unwrap_err();
    assert!(health.is_poisoned());
}

#[test]
fn points_that_were_lost_stay_unknown_until_each_log_is_proven() {
    let (disk, health) = setup();
    let file = Path::new(DIR).join(RECOVERY_POINTS);
    for damage in [Some("0\n7\n"), None] {
        match damage {
            Some(content) => replace_file(&disk, &file, content.as_bytes()).unwrap(),
            None => disk.remove_file(&file).unwrap(),
        }
        disk.sync_dir(Path::new(DIR)).unwrap();
        let checkpoints = load(&disk, &health);
        assert_eq!(checkpoints.remembered("t-0").recovery_point, None);
        checkpoints.propose("t-0", checkpoints.begin_round(), values(10));
        checkpoints.write().unwrap();
        let again = load(&disk.crash_image(), &health);
        assert_eq!(again.remembered("u-0").recovery_point, None, "u-0 must not pass for a new log");
        checkpoints.propose("u-0", checkpoints.begin_round(), values(0));
        checkpoints.write().unwrap();
        let again = load(&disk.crash_image(), &health);
        assert_eq!((again.remembered("t-0"), again.remembered("u-0")), (values(10), values(0)));
    }
}
