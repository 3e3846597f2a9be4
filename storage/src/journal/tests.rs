//! The journal alone; with logs and crashes it is in `storage/tests/crash.rs`, `journal.rs` and `group_commit_model.rs`.

use super::*;
use crate::{
    block_on::block_on,
    io::{
        OpenMode,
        sim::{Fault, SimDisk},
    },
};

const DIR: &str = "/d";
const SEGMENT: &str = "00000000000000000000.log";
const LIMITS: JournalLimits = JournalLimits {
    slot_bytes: 8192,
    slots: 2,
    small_bytes: 1000,
    large_bytes: 2000,
    late_bytes: 0,
    direct_bytes: 0,
    frame_bytes: 4096,
    files: 100,
    patience: 2,
};

fn disk_with_logs(names: &[&str]) -> SimDisk {
    let disk = SimDisk::new(1);
    for name in names {
        let dir = Path::new(DIR).join(name);
        disk.create_dir_all(&dir).unwrap();
        disk.open(&dir.join(SEGMENT), OpenMode::CreateNew).unwrap();
        disk.sync_dir(&dir).unwrap();
    }
    disk.sync_dir(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn open(disk: &SimDisk) -> (Arc<Journal>, Replayed) {
    Journal::open(Arc::new(disk.clone()), Path::new(DIR), LIMITS, false, 1).unwrap()
}

/// A journal with so many slots.
fn ready(disk: &SimDisk, slots: usize) -> Arc<Journal> {
    let (journal, _) = open(disk);
    for _ in 0..slots {
        (0..LIMITS.patience).for_each(|_| journal.missed());
        journal.prepare().unwrap();
    }
    journal
}

fn recent(disk: &SimDisk, name: &str, history: u64, position: u64, data: &[u8]) -> Recent {
    let file = disk.open(&Path::new(DIR).join(name).join(SEGMENT), OpenMode::Write).unwrap();
    Recent { name: name.into(), history, segment: 0, position, data: vec![Bytes::copy_from_slice(data)], file }
}

/// Writes one frame; whether the journal took it.
fn commit(journal: &Journal, recent: &Recent) -> bool {
    let (ways, frame) = journal.admit(&[Offer { owner: 7, staged: std::slice::from_ref(recent) }]);
    let Some(frame) = frame else { return false };
    journal.written(block_on(frame.write()).unwrap());
    ways == [Way::Frame]
}

/// The segment of a log after the machine went down and the journal was played back.
fn after_crash(disk: &SimDisk, name: &str) -> Vec<u8> {
    let disk = disk.crash_image();
    open(&disk);
    let file = disk.crash().open(&Path::new(DIR).join(name).join(SEGMENT), OpenMode::Read).unwrap();
    let mut content = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut content, 0).unwrap();
    content
}

fn names(disk: &SimDisk) -> Vec<String> {
    let entries = disk.list(Path::new(DIR)).unwrap();
    entries.into_iter().map(|entry| entry.name).filter(|name| name.contains("goatq")).collect()
}

#[test]
fn a_directory_gets_a_journal_only_once_it_is_worth_it() {
    let disk = disk_with_logs(&["a-0"]);
    let (journal, replayed) = open(&disk);
    journal.missed();
    journal.prepare().unwrap();
    assert_eq!((names(&disk), journal.stages(500), replayed), (vec![], false, Replayed::default()));
    journal.missed();
    journal.prepare().unwrap();
    assert_eq!(names(&disk), [".goatq-journal", ".goatq-journal-0"]);
    assert!(journal.stages(500) && journal.stages(2000) && !journal.stages(2001));
}

#[test]
fn what_a_crash_took_is_written_again() {
    let disk = disk_with_logs(&["a-0", "b-0"]);
    let journal = ready(&disk, 1);
    assert!(commit(&journal, &recent(&disk, "a-0", 0, 0, b"first ")));
    assert!(commit(&journal, &recent(&disk, "a-0", 0, 6, b"second")));
    assert_eq!(after_crash(&disk, "a-0"), b"first second");
    assert_eq!(after_crash(&disk, "b-0"), b"");
    disk.remove_dir_all(&Path::new(DIR).join("a-0")).unwrap();
    assert_eq!(after_crash(&disk, "b-0"), b"", "a log that is gone is passed over");
}

#[test]
fn an_earlier_lap_is_never_read() {
    let disk = disk_with_logs(&["a-0", "b-0"]);
    let journal = ready(&disk, 2);
    for round in 0..20u8 {
        // Frames of one page: two to a slot. The second one of each lap is left behind by the next lap's first.
        let data = [round; 10];
        assert!(commit(&journal, &recent(&disk, "a-0", 0, 0, &data)), "round {round}");
        assert_eq!(after_crash(&disk, "a-0"), data, "the newest wins");
        while let Some(due) = journal.due() {
            journal.release(&due);
        }
    }
    // Another life, whose frames have the sequences that frames of the life before had at their places.
    let disk = disk.restart();
    let journal = ready(&disk, 1);
    assert!(commit(&journal, &recent(&disk, "b-0", 0, 0, b"new")));
    assert_eq!((after_crash(&disk, "b-0"), after_crash(&disk, "a-0")), (b"new".to_vec(), [19; 10].to_vec()));
}

#[test]
fn a_history_that_ended_does_not_come_back() {
    let disk = disk_with_logs(&["a-0", "b-0"]);
    let journal = ready(&disk, 1);
    assert!(commit(&journal, &recent(&disk, "a-0", 3, 0, b"old")));
    assert!(commit(&journal, &recent(&disk, "b-0", 4, 0, b"kept")));
    journal.void(["a-0"], 5).unwrap();
    assert_eq!((after_crash(&disk, "a-0"), after_crash(&disk, "b-0")), (b"".to_vec(), b"kept".to_vec()));
    let disk = disk_with_logs(&["a-0"]);
    let journal = ready(&disk, 1);
    journal.void(["a-0"], 5).unwrap();
    // A turn that was under way then, and one that began afterwards.
    assert!(commit(&journal, &recent(&disk, "a-0", 4, 0, b"old")));
    assert!(commit(&journal, &recent(&disk, "a-0", 5, 0, b"new")));
    assert_eq!(after_crash(&disk, "a-0"), b"new");
}

#[test]
fn notes_of_histories_go_when_no_frame_is_old_enough() {
    let disk = disk_with_logs(&["a-0", "b-0"]);
    let journal = ready(&disk, 2);
    assert!(commit(&journal, &recent(&disk, "a-0", 1, 0, b"x")));
    journal.void(["a-0"], 5).unwrap();
    for lap in 0..8 {
        assert!(commit(&journal, &recent(&disk, "b-0", 4, lap, b"y")));
        while let Some(due) = journal.due() {
            journal.release(&due);
        }
        journal.void(["b-0"], 2).unwrap();
    }
    let head = Head::read(&disk, Path::new(DIR)).unwrap().unwrap();
    assert_eq!(head.voids.into_iter().collect::<Vec<_>>(), [("b-0".to_owned(), 2)]);
}

#[test]
fn a_full_journal_takes_nothing_until_its_files_are_synced() {
    let disk = disk_with_logs(&["a-0"]);
    let journal = ready(&disk, 2);
    (0..4).for_each(|at| assert!(commit(&journal, &recent(&disk, "a-0", 0, at, b"x"))));
    assert!(!commit(&journal, &recent(&disk, "a-0", 0, 4, b"x")));
    let due = journal.due().unwrap();
    assert_eq!((due.slots.len(), &due.owners, journal.release(&due)), (2, &BTreeSet::from([7]), 2));
    assert!(commit(&journal, &recent(&disk, "a-0", 0, 4, b"x")));
}

#[test]
fn a_clean_end_leaves_it_empty_and_an_end_by_another_program_counts() {
    let disk = disk_with_logs(&["a-0"]);
    let journal = ready(&disk, 1);
    let bytes = recent(&disk, "a-0", 0, 0, b"bytes");
    bytes.file.write_at(&[io::IoSlice::new(b"bytes")], 0).unwrap();
    assert!(commit(&journal, &bytes));
    let crashed = disk.crash_image();
    journal.close().unwrap();
    assert!(!commit(&journal, &bytes), "no frames after the end");
    let disk = disk.crash();
    assert_eq!(open(&disk).1, Replayed::default());
    assert_eq!(after_crash(&disk, "a-0"), b"bytes", "it was synced");
    let in_order = Journal::open(Arc::new(crashed.clone()), Path::new(DIR), LIMITS, true, 1).unwrap();
    assert_eq!(in_order.1, Replayed::default());
    assert_eq!(open(&crashed).1, Replayed::default());
}

#[test]
fn a_damaged_head_is_told_and_not_passed_over() {
    let disk = disk_with_logs(&["a-0"]);
    ready(&disk, 1);
    disk.flip_bit(&Path::new(DIR).join(head::FILE_NAME), 3, 1).unwrap();
    let error = Journal::open(Arc::new(disk.restart()), Path::new(DIR), LIMITS, false, 1).unwrap_err();
    assert!(error.to_string().contains("Restore"), "{error}");
}

#[test]
fn a_disk_without_room_means_a_smaller_journal() {
    let disk = disk_with_logs(&["a-0"]);
    disk.set_capacity(9000);
    let journal = ready(&disk, 1);
    assert!(!journal.is_ready());
    disk.set_capacity(1 << 20);
    disk.inject(Fault::FailNames("goatq-journal-0".to_owned()));
    (0..LIMITS.patience).for_each(|_| journal.missed());
    assert!(journal.prepare().is_err());
    (0..LIMITS.patience).for_each(|_| journal.missed());
    journal.prepare().unwrap();
    assert!(commit(&journal, &recent(&disk, "a-0", 0, 0, b"x")));
}
