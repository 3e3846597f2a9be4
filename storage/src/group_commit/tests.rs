//! Single turns and the poison; interleavings are the model test in `storage/tests/group_commit_model.rs`.

use std::{future::Future, io::IoSlice, path::Path, pin::Pin, task::Poll};

use super::*;
use crate::{
    io::{
        Disk, OpenMode,
        sim::{Fault, SimDisk},
    },
    log_dir::health::{POISON_MARKER, Reserve},
};

/// A log of one file whose offsets are its bytes.
struct ByteLog {
    file: Arc<dyn DiskFile>,
    mark: DirtyMark,
    state: Mutex<ByteLogState>,
}

#[derive(Default)]
struct ByteLogState {
    end: i64,
    durable: i64,
    completions: Vec<i64>,
    poisoned: Vec<String>,
}

impl Syncable for ByteLog {
    fn begin_sync(&self) -> Option<SyncBatch> {
        let state = self.state.lock();
        (state.durable < state.end).then(|| SyncBatch {
            files: vec![self.file.clone()],
            whole: true,
            end: state.end,
            generation: 0,
            staged: Vec::new(),
        })
    }

    fn complete_sync(&self, batch: &SyncBatch) {
        let mut state = self.state.lock();
        state.durable = batch.end;
        state.completions.push(batch.end);
    }

    fn poisoned(&self, reason: &str) {
        self.state.lock().poisoned.push(reason.to_owned());
    }
}

impl ByteLog {
    fn append(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        self.file.write_at(&[IoSlice::new(bytes)], state.end as u64).unwrap();
        state.end += bytes.len() as i64;
        drop(state);
        self.mark.mark();
    }

    fn completions(&self) -> Vec<i64> {
        self.state.lock().completions.clone()
    }
}

struct Setup {
    disk: SimDisk,
    commit: GroupCommit,
}

impl Setup {
    fn new() -> Setup {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/d")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let health = DirHealth::new(Arc::new(disk.clone()), Path::new("/d"), Reserve::default());
        Setup { disk, commit: GroupCommit::new(health) }
    }

    fn log(&self, name: &str) -> Arc<ByteLog> {
        let file = self.disk.open(&Path::new("/d").join(name), OpenMode::Create).unwrap();
        Arc::new_cyclic(|me: &Weak<ByteLog>| ByteLog {
            file,
            mark: self.commit.register(me.clone()),
            state: Mutex::default(),
        })
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[test]
fn a_turn_takes_every_dirty_log_once_and_syncs_each_once() {
    let setup = Setup::new();
    let (a, b, idle) = (setup.log("a"), setup.log("b"), setup.log("idle"));
    (0..100).for_each(|_| a.append(b"1234"));
    b.append(b"x");
    assert_eq!(block_on(setup.commit.turn()), 2);
    assert_eq!((a.completions(), b.completions(), idle.completions()), (vec![400], vec![1], vec![]));
    assert_eq!(setup.commit.stats(), CommitStats { turns: 1, syncs: 2, commits: 2, ..CommitStats::default() });
    assert_eq!(block_on(setup.commit.turn()), 0, "nothing is dirty");
    a.append(b"5");
    drop(b);
    assert_eq!(block_on(setup.commit.turn()), 1);
    assert_eq!(a.completions(), [400, 401]);
    assert_eq!(setup.disk.counters().syncs, 3);
}

#[test]
fn a_log_that_is_gone_is_left_out() {
    let setup = Setup::new();
    let (a, b) = (setup.log("a"), setup.log("b"));
    a.append(b"1");
    b.append(b"1");
    drop(a);
    assert_eq!(block_on(setup.commit.turn()), 1);
    assert_eq!(setup.commit.shared.queue.lock().logs.len(), 1);
}

#[test]
fn one_failed_sync_ends_acknowledgements_for_every_log_of_the_directory() {
    let setup = Setup::new();
    let (a, b, idle) = (setup.log("a"), setup.log("b"), setup.log("idle"));
    a.append(b"1");
    b.append(b"1");
    setup.disk.inject(Fault::FailSync("/d/b".to_owned()));
    assert_eq!(block_on(setup.commit.turn()), 0);
    // The disk would now say that all is well.
    a.append(b"2");
    b.append(b"2");
    assert_eq!(block_on(setup.commit.turn()), 0);
    for log in [&a, &b, &idle] {
        assert_eq!(log.completions(), Vec::<i64>::new());
        assert_eq!(log.state.lock().poisoned.len(), 1, "told once");
    }
    assert!(setup.commit.health().poison_reason().unwrap().contains("a sync failed"));
    let after = setup.disk.crash();
    assert!(after.exists(&Path::new("/d").join(POISON_MARKER)).unwrap());
}

#[test]
fn a_write_that_failed_during_a_turn_voids_the_turn() {
    let setup = Setup::new();
    setup.disk.set_slowness(5);
    let a = setup.log("a");
    let b = setup.log("b");
    a.append(b"1");
    block_on(async {
        let turn = setup.commit.turn();
        let mut turn = std::pin::pin!(turn);
        assert!(poll_once(turn.as_mut()).await.is_pending(), "this seed takes a few polls");
        setup.commit.health().poison("a write failed");
        setup.commit.health().poison("and another");
        assert_eq!(turn.await, 0);
    });
    assert_eq!(setup.disk.counters().syncs, 2, "the log's and the marker's");
    assert_eq!(a.completions(), Vec::<i64>::new());
    assert_eq!(b.state.lock().poisoned, ["a write failed"]);
}

#[test]
fn the_loop_sleeps_wakes_ends_and_tells_of_poison() {
    let setup = Setup::new();
    let (a, commit) = (setup.log("a"), setup.commit.clone());
    block_on(async {
        let run = setup.commit.run();
        let mut run = std::pin::pin!(run);
        assert!(poll_once(run.as_mut()).await.is_pending());
        a.append(b"1");
        assert!(poll_once(run.as_mut()).await.is_pending());
        assert_eq!(a.completions(), [1]);
        a.append(b"2");
        commit.close();
        run.await;
    });
    assert_eq!(a.completions(), [1, 2], "closing waits for the last turn");

    let setup = Setup::new();
    let a = setup.log("a");
    block_on(async {
        let run = setup.commit.run();
        let mut run = std::pin::pin!(run);
        assert!(poll_once(run.as_mut()).await.is_pending());
        setup.commit.health().poison("a write failed");
        assert!(poll_once(run.as_mut()).await.is_pending(), "it goes on, for logs that still mark themselves");
        assert_eq!(a.state.lock().poisoned, ["a write failed"]);
        a.append(b"1");
        setup.commit.close();
        run.await;
    });
    assert_eq!(a.completions(), Vec::<i64>::new());
}

#[test]
fn a_disk_too_broken_for_the_marker_does_not_hide_the_poison() {
    let setup = Setup::new();
    let a = setup.log("a");
    a.append(b"1");
    setup.disk.inject(Fault::FailSync("/d/a".to_owned()));
    setup.disk.inject(Fault::FailNames(POISON_MARKER.to_owned()));
    assert_eq!(block_on(setup.commit.turn()), 0);
    assert!(!setup.disk.exists(&Path::new("/d").join(POISON_MARKER)).unwrap());
    assert_eq!(a.state.lock().poisoned.len(), 1);
}

#[test]
fn a_failure_met_by_a_turn_that_was_dropped_is_not_forgotten() {
    for polls in 1..8 {
        let setup = Setup::new();
        setup.disk.set_slowness(4);
        let (a, b) = (setup.log("a"), setup.log("b"));
        a.append(b"1");
        b.append(b"1");
        setup.disk.inject(Fault::FailSync("/d/a".to_owned()));
        block_on(async {
            let mut turn = Box::pin(setup.commit.turn());
            for _ in 0..polls {
                if poll_once(turn.as_mut()).await.is_ready() {
                    break;
                }
            }
            drop(turn);
            a.append(b"2");
            setup.commit.turn().await;
        });
        assert_eq!(a.completions(), Vec::<i64>::new(), "dropped after {polls} polls");
    }
}
