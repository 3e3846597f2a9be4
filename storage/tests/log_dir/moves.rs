//! A log moves to another directory: whatever moment a crash comes at, the log is whole in one of them.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use goatq_protocol::{Uuid, record::split};
use goatq_storage::{
    io::{Disk, sim::SimDisk},
    log::{AppendOptions, Log, Origin},
    log_dir::{LogDir, LogDirConfig},
};
use parking_lot::Mutex;

use super::{append_many, config, hooked_disk::HookedDisk, request};

const RECORDS: usize = 40;

fn open_both(disk: &Arc<dyn Disk>) -> [Arc<LogDir>; 2] {
    [("/a", 1), ("/b", 2)].map(|(path, id)| {
        let config = LogDirConfig { fresh_directory_id: Uuid([id; 16]), ..config() };
        LogDir::open(disk.clone(), Path::new(path), config).unwrap()
    })
}

fn bytes_of(log: &Arc<Log>) -> Vec<u8> {
    let (mut next, mut all) = (log.log_start_offset(), Vec::new());
    while next < log.log_end_offset() {
        let chunks = log.read(next, 4096, log.log_end_offset(), true).unwrap().load_now().unwrap();
        let bytes = chunks.concat();
        next = split(&bytes.clone().into()).map(|batch| batch.unwrap().header().next_offset()).last().unwrap();
        all.extend(bytes);
    }
    all
}

fn copy(from: &Arc<Log>, to: &Log) {
    let options = AppendOptions { leader_epoch: -1, origin: Origin::Replication, now_ms: 0 };
    let batches = split(&bytes_of(from).into()).collect::<Result<Vec<_>, _>>().unwrap();
    to.append(batches, options).unwrap();
}

/// Moves the log of `t-0` from one directory to the other; what it has then.
fn move_log(from: &LogDir, to: &LogDir) -> (Arc<Log>, Vec<u8>) {
    let log = from.log("t", 0).unwrap();
    let future = to.begin_future(request("t", 0), Uuid([5; 16]), 0).unwrap();
    copy(&log, future.log());
    let moved = to.take_over(&future, from.moves("t", 0) + 1, request("t", 0), 0).unwrap();
    from.delete_logs(&[("t", 0)], 0, || Uuid([6; 16])).unwrap();
    to.remember_arrivals().unwrap();
    let bytes = bytes_of(&moved);
    (moved, bytes)
}

/// The directory that counts for the log, by how often it has moved.
fn home(dirs: &[Arc<LogDir>; 2]) -> &Arc<LogDir> {
    let has = |dir: &&Arc<LogDir>| dir.found().iter().any(|found| found.topic == "t" && found.partition == 0);
    dirs.iter().filter(has).max_by_key(|dir| dir.moves("t", 0)).expect("the log is gone")
}

#[test]
fn a_crash_at_any_moment_leaves_the_log_whole() {
    let sim = SimDisk::new(11);
    let (images, armed) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let (taken, is_armed, camera) = (images.clone(), armed.clone(), sim.clone());
    let hook = move |_, _: &Path| {
        if is_armed.load(Ordering::Relaxed) {
            taken.lock().push(camera.crash_image());
        }
    };
    let disk: Arc<dyn Disk> = Arc::new(HookedDisk::new(sim, hook));
    let dirs = open_both(&disk);
    let log = dirs[0].open_log(request("t", 0), 0).unwrap();
    append_many(&log, RECORDS, b"before it moves");
    dirs[0].checkpoint(0).unwrap();
    let before = bytes_of(&log);
    armed.store(true, Ordering::Relaxed);
    let (_, there) = move_log(&dirs[0], &dirs[1]);
    let (log, back) = move_log(&dirs[1], &dirs[0]);
    armed.store(false, Ordering::Relaxed);
    assert!(there == before && back == before);
    append_many(&log, 1, b"where it is now");
    assert_eq!(log.log_end_offset(), i64::try_from(RECORDS).unwrap() + 1);

    let images = std::mem::take(&mut *images.lock());
    assert!(images.len() > 20, "{}", images.len());
    for (at, image) in images.into_iter().enumerate() {
        let disk: Arc<dyn Disk> = Arc::new(image);
        let dirs = open_both(&disk);
        let log = home(&dirs).open_log(request("t", 0), 0).unwrap();
        assert!(bytes_of(&log) == before, "crash {at}: {log:?}");
    }
}

#[test]
fn what_comes_after_a_move_is_never_lost_to_the_copy_it_left() {
    for seed in 0..50 {
        let sim = SimDisk::new(seed);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let dirs = open_both(&disk);
        append_many(&dirs[0].open_log(request("t", 0), 0).unwrap(), RECORDS, b"before it moves");
        let (log, _) = move_log(&dirs[0], &dirs[1]);
        append_many(&log, RECORDS, b"afterwards");
        dirs[1].checkpoint(0).unwrap();
        let all = bytes_of(&log);
        let disk: Arc<dyn Disk> = Arc::new(sim.crash());
        let dirs = open_both(&disk);
        assert!(dirs[0].found().is_empty(), "seed {seed}");
        assert!(bytes_of(&dirs[1].open_log(request("t", 0), 0).unwrap()) == all, "seed {seed}");
    }
}

#[test]
fn a_copy_that_is_not_finished_counts_for_nothing() {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let dirs = open_both(&disk);
    let log = dirs[0].open_log(request("t", 0), 0).unwrap();
    append_many(&log, RECORDS, b"it stays");
    dirs[0].checkpoint(0).unwrap();
    let future = dirs[1].begin_future(request("t", 0), Uuid([5; 16]), 0).unwrap();
    copy(&log, future.log());
    let disk: Arc<dyn Disk> = Arc::new(sim.crash());
    let dirs = open_both(&disk);
    assert!(dirs[1].found().is_empty());
    assert_eq!(dirs[1].found_futures(), [("t".to_owned(), 0)]);
    // It begins anew, and may be given up.
    let future = dirs[1].begin_future(request("t", 0), Uuid([4; 16]), 0).unwrap();
    assert_eq!(future.log().log_end_offset(), 0);
    dirs[1].discard_future(&future).unwrap();
    assert!(disk.list(Path::new("/b")).unwrap().iter().all(|entry| !entry.name.contains("future")));
}
