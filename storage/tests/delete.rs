//! A log that is deleted while its checkpoint is being written.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

use bytes::Bytes;
use goatq_protocol::{
    Uuid,
    record::{BatchBuilder, BatchOptions, NewRecord},
};
use goatq_storage::{
    config::{CacheLimits, LogConfig},
    group_commit::NoListener,
    io::{Disk, DiskFile, Entry, FileLock, IoFuture, OpenMode, Space, sim::SimDisk},
    journal::JournalLimits,
    log::{AppendOptions, Origin},
    log_dir::{LogDir, LogDirConfig, LogRequest, health::Reserve},
};
use parking_lot::Mutex;

/// Whom a sync of a segment tells that it has begun, and whose word it then waits for.
type Gate = (mpsc::Sender<()>, mpsc::Receiver<()>);

/// A simulated disk whose next sync of a `.log` file waits at a gate.
#[derive(Clone, Debug)]
struct GatedDisk {
    sim: SimDisk,
    gate: Arc<Mutex<Option<Gate>>>,
}

#[derive(Debug)]
struct GatedFile {
    disk: GatedDisk,
    is_log: bool,
    file: Arc<dyn DiskFile>,
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        let file = self.sim.open(path, mode)?;
        Ok(Arc::new(GatedFile { disk: self.clone(), is_log, file }))
    }
    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.sim.open_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.sim.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.sim.remove_file(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.sim.create_dir_all(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.sim.remove_dir_all(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.sim.list(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.sim.exists(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.sim.sync_dir(dir)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.sim.space(path)
    }
    fn lock_file(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        self.sim.lock_file(path)
    }
}

impl DiskFile for GatedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn write_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.file.write_at(slices, offset)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn read(&self, offset: u64, len: usize) -> IoFuture<Bytes> {
        self.file.read(offset, len)
    }
    fn sync(&self) -> IoFuture<()> {
        self.file.sync()
    }
    fn sync_now(&self) -> io::Result<()> {
        let gate = if self.is_log { self.disk.gate.lock().take() } else { None };
        if let Some((begun, go_on)) = gate {
            begun.send(()).unwrap();
            go_on.recv().unwrap();
        }
        self.file.sync_now()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)
    }
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[test]
fn a_deletion_waits_for_a_checkpoint_and_never_takes_its_files_away() {
    let disk = GatedDisk { sim: SimDisk::new(1), gate: Arc::default() };
    let config = LogDirConfig {
        cluster_id: "cluster".to_owned(),
        node_id: 1,
        fresh_directory_id: Uuid([7; 16]),
        reserve: Reserve::default(),
        caches: CacheLimits::default(),
        recovery_threads: 1,
        journal: JournalLimits::default(),
    };
    let dir = LogDir::open(Arc::new(disk.clone()), Path::new("/data"), config).unwrap();
    let request = LogRequest {
        topic: "t".to_owned(),
        partition: 0,
        topic_id: Some(Uuid([9; 16])),
        config: LogConfig::default(),
        listener: Arc::new(NoListener),
    };
    let log = dir.open_log(request, 0).unwrap();
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(NewRecord { value: Some(b"value"), ..NewRecord::default() }).unwrap();
    let options = AppendOptions { leader_epoch: 0, origin: Origin::Client, now_ms: 0 };
    log.append(vec![builder.build_batch().unwrap()], options).unwrap();

    let (begun, has_begun) = mpsc::channel();
    let (go_on, gate) = mpsc::channel();
    *disk.gate.lock() = Some((begun, gate));
    std::thread::scope(|scope| {
        scope.spawn(|| dir.checkpoint(0));
        has_begun.recv().unwrap();
        let (deleted, is_deleted) = mpsc::channel();
        let dir = &dir;
        scope.spawn(move || {
            dir.delete_logs(&[("t", 0)], 0, || Uuid([1; 16])).unwrap();
            deleted.send(()).unwrap();
        });
        // Long enough for a deletion that does not wait to be over.
        is_deleted.recv_timeout(Duration::from_millis(100)).unwrap_err();
        go_on.send(()).unwrap();
        is_deleted.recv().unwrap();
    });
    assert_eq!(dir.health().poison_reason(), None);
    dir.checkpoint(0).unwrap();
}
