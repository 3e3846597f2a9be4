//! What it costs to make a turn's appends durable: a sync of each of so many growing files, or one direct write into a file that
//! was written before. The constants of the journal's choice come from here.
//!
//! `cargo bench -p goatq-storage --bench sync -- /path/on/the/disk` (a temporary folder there; the present directory otherwise).

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench may panic, and its business is time")]

use std::{
    io::IoSlice,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use goatq_storage::io::{
    AlignedBuffer, DirectFile, DirectMode, Disk, DiskFile, OpenMode, blocking::BlockingDisk, uring::UringDisk,
};

const ROUNDS: usize = 60;
const SLOT: u64 = 8 << 20;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn report(what: &str, bytes: usize, mut took: Vec<Duration>) {
    took.sort();
    let micros = |at: usize| took[at].as_secs_f64() * 1e6;
    let median = micros(took.len() / 2);
    println!(
        "{what:34} {:>8} KiB  median {median:>8.0} us  p90 {:>8.0} us  {:>6.0} MB/s",
        bytes / 1024,
        micros(took.len() * 9 / 10),
        bytes as f64 / median
    );
}

fn grow_and_sync(disk: &dyn Disk, dir: &Path, name: &str, files: usize, each: usize) {
    let open = |index| disk.open(&dir.join(format!("f-{index}")), OpenMode::CreateNew).unwrap();
    let handles: Vec<Arc<dyn DiskFile>> = (0..files).map(open).collect();
    let payload = vec![7; each];
    let rounds = ROUNDS.min(2048 / files).max(6);
    let took = (0..rounds).map(|round| {
        for file in &handles {
            file.write_at(&[IoSlice::new(&payload)], (round * each) as u64).unwrap();
        }
        let begin = Instant::now();
        block_on(join_all(handles.iter().map(|file| file.sync()))).into_iter().for_each(|synced| synced.unwrap());
        begin.elapsed()
    });
    report(&format!("{name}: sync of {files} files"), files * each, took.collect());
    (0..files).for_each(|index| disk.remove_file(&dir.join(format!("f-{index}"))).unwrap());
}

fn write_direct(file: &dyn DirectFile, name: &str, bytes: usize) {
    let mut buffer = AlignedBuffer::new(bytes);
    assert!(buffer.push(&vec![9; bytes]));
    let mut at = 0;
    let took = (0..ROUNDS).map(|_| {
        if at + bytes as u64 > SLOT {
            at = 0;
        }
        let begin = Instant::now();
        let given = std::mem::replace(&mut buffer, AlignedBuffer::new(0));
        buffer = block_on(file.write(given, at)).unwrap();
        at += bytes as u64;
        begin.elapsed()
    });
    report(&format!("{name}: direct write"), bytes, took.collect());
}

fn measure(disk: &dyn Disk, name: &str, dir: &Path) {
    let path = dir.join("journal");
    let file = disk.open_direct(&path, DirectMode::Durable).unwrap();
    for at in (0..SLOT).step_by(1 << 20) {
        let mut zeros = AlignedBuffer::new(1 << 20);
        assert!(zeros.push(&vec![0; 1 << 20]));
        block_on(file.write(zeros, at)).unwrap();
    }
    for kib in [4, 16, 64, 256, 1024, 4096] {
        write_direct(&*file, name, kib << 10);
    }
    for (files, kib) in [(1, 4), (1, 16), (1, 64), (1, 256), (1, 1024), (4, 4), (12, 4), (12, 64), (64, 4), (512, 1)] {
        grow_and_sync(disk, dir, name, files, kib << 10);
    }
    disk.remove_file(&path).unwrap();
}

fn main() {
    let base = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_else(|| ".".to_owned());
    let dir = tempfile::tempdir_in(base).unwrap();
    if let Ok(disk) = UringDisk::open() {
        measure(&disk, "ring", dir.path());
    }
    measure(&BlockingDisk::new(8), "threads", dir.path());
}
