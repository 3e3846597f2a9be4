//! Both drivers below the disk: what the page cache usually hides from the suite of [`crate::io::conformance`].

use std::{
    future::Future,
    io::Write as _,
    pin::Pin,
    sync::Weak,
    task::{Context, Waker},
};

use super::*;
use crate::io::{
    blocking::{BlockingDisk, MAX_WAITING},
    uring::UringDisk,
};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Polls an operation once; whether it goes on.
fn start<T>(future: &mut IoFuture<T>) -> bool {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 7) as u8 ^ at as u8).collect()
}

fn opened(file: File) -> Arc<OpenFile> {
    OpenFile::new(file, &Arc::default())
}

fn temporary_file(content: &[u8]) -> Arc<OpenFile> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    opened(file)
}

fn partial(offset: u64, len: usize, already: &[u8]) -> PartialRead {
    let mut buffer = vec![0; len];
    buffer[..already.len()].copy_from_slice(already);
    PartialRead { offset, buffer, filled: already.len() }
}

fn suite<D: Driver>(disk: OsDisk<D>) {
    let content = pattern(300_000);
    let file = temporary_file(&content);
    let driver = &disk.driver;
    let read = |offset: u64, len, already: &[u8]| block_on(driver.read(file.clone(), partial(offset, len, already)));

    assert_eq!(read(0, 300_000, &[]).unwrap(), content);
    assert_eq!(read(1_000, 5_000, &content[1_000..1_777]).unwrap(), content[1_000..6_000]);
    assert_eq!(read(299_000, 5_000, &[]).unwrap(), content[299_000..], "cut at the end of the file");
    assert_eq!(read(400_000, 10, &[]).unwrap(), &b""[..]);
    block_on(driver.sync(file.clone(), SyncKind::Data)).unwrap();
    block_on(driver.sync(file.clone(), SyncKind::All)).unwrap();

    // Errors of the kernel arrive as such.
    let pipe = opened(File::from(std::os::fd::OwnedFd::from(std::io::pipe().unwrap().1)));
    let error = block_on(driver.sync(pipe, SyncKind::Data)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::INVAL.raw_os_error()));
    let dir = opened(OpenOptions::new().read(true).open(std::env::temp_dir()).unwrap());
    let error = block_on(driver.read(dir, partial(0, 10, &[]))).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::ISDIR.raw_os_error()));

    // More at once than there are slots; then as many whose callers go away at once.
    let many = (0..MAX_WAITING as u64 + 100).map(|at| driver.read(file.clone(), partial(at * 100, 100, &[])));
    for (at, part) in block_on(futures_util::future::join_all(many)).into_iter().enumerate() {
        assert_eq!(part.unwrap(), content[at * 100..][..100]);
    }
    for at in 0..MAX_WAITING as u64 + 100 {
        start(&mut driver.read(file.clone(), partial(at * 10, 50_000, &[])));
        start(&mut driver.sync(file.clone(), SyncKind::Data));
    }
    assert_eq!(read(7, 9, &[]).unwrap(), content[7..16]);

    // Dropping the disk waits for what is under way: afterwards nobody holds the file any more but this test.
    let mut late = driver.sync(file.clone(), SyncKind::Data);
    let under_way: Vec<_> = (0..50)
        .filter_map(|_| {
            let mut operation = driver.sync(file.clone(), SyncKind::Data);
            start(&mut operation).then_some(operation)
        })
        .collect();
    let driver: Weak<D> = Arc::downgrade(driver);
    drop(disk);
    assert!(driver.upgrade().is_none());
    // What nobody waits for any more may still have most slots: who waits for one finds the disk closed.
    let (ended, refused): (Vec<_>, Vec<_>) = under_way.into_iter().map(block_on).partition(Result::is_ok);
    assert!(refused.is_empty() || !ended.is_empty());
    assert!(refused.into_iter().filter_map(Result::err).all(|error| error.kind() == io::ErrorKind::NotConnected));
    assert_eq!(block_on(&mut late).unwrap_err().kind(), io::ErrorKind::NotConnected);
    drop(late);
    assert_eq!(Arc::strong_count(&file), 1);
}

#[test]
fn threads_carry_operations_and_end_with_the_disk() {
    suite(BlockingDisk::new(3));
}

#[test]
fn a_ring_carries_operations_and_ends_with_the_disk() {
    match UringDisk::open() {
        Ok(disk) => suite(disk),
        // The one environment where this cannot run is the one that falls back; that path is tested in any case.
        Err(error) => assert!(
            [Errno::PERM, Errno::NOSYS].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())),
            "unexpected refusal: {error}"
        ),
    }
}

#[test]
fn writes_of_many_slices_survive_being_written_in_parts() {
    let disk = BlockingDisk::new(1);
    let dir = tempfile::tempdir().unwrap();
    let file = disk.open(&dir.path().join("f"), OpenMode::Create).unwrap();
    let content = pattern(9_000);
    // More slices than one call takes, empty ones among them.
    let slices: Vec<IoSlice<'_>> = content.chunks(3).flat_map(|part| [IoSlice::new(part), IoSlice::new(&[])]).collect();
    file.write_at(&slices, 11).unwrap();
    let mut read = vec![0; 9_011];
    assert_eq!(file.read_at(&mut read, 0).unwrap(), 9_011);
    assert_eq!((&read[..11], &read[11..]), (&[0; 11][..], &content[..]));
}
