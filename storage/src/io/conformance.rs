//! What every [`Disk`] must do, as one suite; `storage/tests/disk_conformance.rs` runs it on all three.
//!
//! Each function works in a directory of its own, panics where a promise of [`crate::io`] is broken, and passes on errors that
//! no promise allows. What only a power cut shows is tested on the simulated disk.

use std::{
    fmt::Debug,
    future::Future,
    io::{self, ErrorKind, IoSlice},
    path::Path,
    pin::Pin,
    task::{Context, Waker},
};

use futures_util::future::{join_all, try_join_all};

use super::{
    AlignedBuffer, DirectMode, Disk, DiskFile, Entry, IoFuture, OpenMode, direct::ALIGNMENT, read_small_file,
    replace_file,
};

/// The whole suite, below `dir`, which must exist.
pub async fn all(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let fresh = |name: &str| -> io::Result<std::path::PathBuf> {
        let path = dir.join(name).join("inner");
        disk.create_dir_all(&path)?;
        Ok(path)
    };
    opening(disk, &fresh("opening")?)?;
    writing(disk, &fresh("writing")?).await?;
    reading(disk, &fresh("reading")?).await?;
    reading_from_memory(disk, &fresh("memory")?)?;
    lengths(disk, &fresh("lengths")?)?;
    names(disk, &fresh("names")?)?;
    removing(disk, &fresh("removing")?)?;
    syncing(disk, &fresh("syncing")?).await?;
    direct(disk, &fresh("direct")?).await?;
    many_at_once(disk, &fresh("many")?).await?;
    locking(disk, &fresh("locking")?)?;
    space(disk, &fresh("space")?)?;
    replacing(disk, &fresh("replacing")?)
}

#[track_caller]
fn refused<T: Debug>(result: io::Result<T>, kind: ErrorKind) {
    match result {
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
        Ok(value) => panic!("{kind:?} expected, got {value:?}"),
    }
}

fn write(file: &dyn DiskFile, offset: u64, data: &[u8]) -> io::Result<()> {
    file.write_at(&[IoSlice::new(data)], offset)
}

fn read(file: &dyn DiskFile, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0xEE; len];
    let count = file.read_at(&mut buffer, offset)?;
    buffer.truncate(count);
    Ok(buffer)
}

fn make(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    write(&*disk.open(path, OpenMode::CreateNew)?, 0, content)
}

fn opening(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let path = dir.join("file");
    refused(disk.open(&path, OpenMode::Read), ErrorKind::NotFound);
    refused(disk.open(&path, OpenMode::Write), ErrorKind::NotFound);
    refused(disk.open(&dir.join("no/file"), OpenMode::Create), ErrorKind::NotFound);
    refused(disk.open(dir, OpenMode::Read), ErrorKind::IsADirectory);
    assert!(disk.open(&path, OpenMode::Create)?.is_empty()?);
    refused(disk.open(&path, OpenMode::CreateNew), ErrorKind::AlreadyExists);
    write(&*disk.open(&path, OpenMode::Write)?, 0, b"content")?;
    assert_eq!(disk.open(&path, OpenMode::Create)?.len()?, 7, "an existing file is left as it is");
    let reader = disk.open(&path, OpenMode::Read)?;
    assert_eq!(read(&*reader, 0, 100)?, b"content");
    assert!(write(&*reader, 0, b"x").is_err(), "opened for reading");
    assert!(reader.truncate(0).is_err(), "opened for reading");
    refused(disk.open_dir(&path), ErrorKind::NotADirectory);
    refused(disk.open_dir(&dir.join("no")), ErrorKind::NotFound);
    Ok(())
}

async fn writing(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let file = disk.open(&dir.join("file"), OpenMode::CreateNew)?;
    let other = disk.open(&dir.join("file"), OpenMode::Read)?;
    file.write_at(&[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")], 0)?;
    assert_eq!(read(&*other, 0, 10)?, b"abcde", "every handle sees a write at once");
    file.write_at(&[], 100)?;
    file.write_at(&[IoSlice::new(b"")], 100)?;
    assert_eq!(file.len()?, 5, "nothing written is no growth");
    write(&*file, 3, b"XYZ")?;
    write(&*file, 10_000, b"far")?;
    assert_eq!(read(&*file, 0, 8)?, b"abcXYZ\0\0");
    assert_eq!(file.read(9_998, 10).await?, &b"\0\0far"[..], "holes read as zeros");
    let bytes: Vec<u8> = (0..=255).cycle().take(4_000).collect();
    let slices: Vec<IoSlice<'_>> = bytes.chunks(1).map(IoSlice::new).collect();
    file.write_at(&slices, 20_000)?;
    assert_eq!(read(&*other, 20_000, 5_000)?, bytes);
    Ok(())
}

async fn reading(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let file = disk.open(&dir.join("file"), OpenMode::CreateNew)?;
    assert_eq!(file.read(0, 10).await?, &b""[..]);
    let content: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
    write(&*file, 0, &content)?;
    for (offset, len) in [(0, 100_000), (0, 1), (99_999, 1), (50_000, 100_000), (4_095, 4_098), (7, 0)] {
        let end = content.len().min(offset + len);
        assert_eq!(file.read(offset as u64, len).await?, content[offset..end]);
        assert_eq!(read(&*file, offset as u64, len)?, content[offset..end]);
    }
    assert_eq!(file.read(0, usize::MAX).await?, content, "no more is allocated than there is");
    assert_eq!(file.read(100_000, 10).await?, &b""[..]);
    assert_eq!(file.read(1 << 40, 10).await?, &b""[..]);
    assert_eq!(read(&*file, 1 << 40, 10)?, b"");
    Ok(())
}

fn reading_from_memory(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let file = disk.open(&dir.join("file"), OpenMode::CreateNew)?;
    let content: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
    write(&*file, 0, &content)?;
    let mut buffer = b"kept".to_vec();
    // How much is there is not promised, what it is, is.
    let count = file.read_cached(&mut buffer, 5_000, 50_000)?;
    assert_eq!(buffer, [b"kept", &content[5_000..5_000 + count]].concat());
    let count = file.read_cached(&mut buffer, 90_000, usize::MAX >> 1)?;
    assert!(count <= 10_000 && buffer.ends_with(&content[90_000..90_000 + count]), "not behind the end");
    assert_eq!(file.read_cached(&mut buffer, 200_000, 10)?, 0);
    assert!(!file.is_cached(90_000, 20_000) || file.as_fd().is_none(), "what is not in the file is not in memory");
    file.is_cached(0, 0);
    file.is_cached(u64::MAX, u64::MAX);
    Ok(())
}

fn lengths(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let file = disk.open(&dir.join("file"), OpenMode::CreateNew)?;
    write(&*file, 0, &[7; 9_000])?;
    file.truncate(5_000)?;
    assert_eq!((file.len()?, read(&*file, 4_999, 10)?), (5_000, vec![7]));
    file.truncate(9_000)?;
    assert_eq!(read(&*file, 4_999, 4_001)?, [&[7][..], &[0; 4_000]].concat(), "what was cut off does not come back");
    file.preallocate(1 << 20)?;
    file.preallocate(0)?;
    file.preallocate(10)?;
    assert_eq!(file.len()?, 9_000, "room is not length");
    write(&*file, 9_000, b"end")?;
    file.truncate(0)?;
    assert!(file.is_empty()?);
    Ok(())
}

fn names(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let (a, b) = (dir.join("a"), dir.join("b"));
    make(disk, &a, b"first")?;
    make(disk, &b, b"second!")?;
    let replaced = disk.open(&b, OpenMode::Read)?;
    let moved = disk.open(&a, OpenMode::Write)?;
    disk.rename(&a, &b)?;
    assert_eq!((disk.exists(&a)?, disk.exists(&b)?), (false, true));
    write(&*moved, 5, b"+")?;
    assert_eq!(read(&*disk.open(&b, OpenMode::Read)?, 0, 10)?, b"first+", "handles follow the file");
    assert_eq!(read(&*replaced, 0, 10)?, b"second!", "what was replaced stays readable through its handles");
    refused(disk.rename(&a, &b), ErrorKind::NotFound);
    refused(disk.rename(&b, &dir.join("other/b")), ErrorKind::InvalidInput);
    disk.rename(&b, &b)?;
    disk.create_dir_all(&dir.join("d/e/f"))?;
    disk.create_dir_all(&dir.join("d/e/f"))?;
    refused(disk.create_dir_all(&b), ErrorKind::AlreadyExists);
    refused(disk.create_dir_all(&b.join("x")), ErrorKind::NotADirectory);
    make(disk, &dir.join("d/e/f/g"), b"123")?;
    assert!(disk.rename(&b, &dir.join("d")).is_err(), "a directory is not replaced");
    disk.rename(&dir.join("d"), &dir.join("c"))?;
    assert!(disk.exists(&dir.join("c/e/f/g"))?);
    assert!(!disk.exists(&b.join("x"))?, "below a file there is nothing");
    let entry = |name: &str, is_dir, len| Entry { name: name.to_owned(), is_dir, len };
    assert_eq!(disk.list(dir)?, [entry("b", false, 6), entry("c", true, 0)]);
    assert_eq!(disk.list(&dir.join("c/e/f"))?, [entry("g", false, 3)]);
    refused(disk.list(&dir.join("no")), ErrorKind::NotFound);
    refused(disk.list(&b), ErrorKind::NotADirectory);
    Ok(())
}

fn removing(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let path = dir.join("file");
    make(disk, &path, b"content")?;
    let file = disk.open(&path, OpenMode::Write)?;
    disk.remove_file(&path)?;
    assert!(!disk.exists(&path)?);
    write(&*file, 7, b"!")?;
    assert_eq!(read(&*file, 0, 10)?, b"content!", "open handles keep working");
    refused(disk.remove_file(&path), ErrorKind::NotFound);
    make(disk, &path, b"")?;
    assert!(disk.open(&path, OpenMode::Read)?.is_empty()?, "a new file of an old name is new");
    disk.create_dir_all(&dir.join("d/e"))?;
    make(disk, &dir.join("d/e/f"), b"x")?;
    make(disk, &dir.join("d/g"), b"x")?;
    assert!(disk.remove_file(&dir.join("d")).is_err(), "a directory is no file");
    disk.remove_dir_all(&dir.join("d"))?;
    assert!(!disk.exists(&dir.join("d"))?);
    refused(disk.remove_dir_all(&dir.join("d")), ErrorKind::NotFound);
    Ok(())
}

async fn syncing(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let file = disk.open(&dir.join("file"), OpenMode::CreateNew)?;
    file.sync().await?;
    write(&*file, 0, &[1; 10_000])?;
    file.sync().await?;
    file.sync_now()?;
    let handle = disk.open_dir(dir)?;
    handle.sync().await?;
    handle.sync_now()?;
    disk.sync_dir(dir)?;
    refused(disk.sync_dir(&dir.join("no")), ErrorKind::NotFound);
    assert!(handle.len().is_err(), "a directory has no length");
    assert!(handle.read(0, 1).await.is_err());
    assert!(write(&*handle, 0, b"x").is_err());
    disk.remove_file(&dir.join("file"))?;
    write(&*file, 0, &[2; 10_000])?;
    file.sync().await
}

fn filled(byte: u8, blocks: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::new(blocks * ALIGNMENT);
    assert!(buffer.push(&vec![byte; blocks * ALIGNMENT]), "it was made for so much");
    buffer
}

async fn direct(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let (path, block) = (dir.join("file"), ALIGNMENT as u64);
    refused(disk.open_direct(&dir.join("no/file"), DirectMode::Durable), ErrorKind::NotFound);
    refused(disk.open_direct(dir, DirectMode::Durable), ErrorKind::IsADirectory);
    let file = disk.open_direct(&path, DirectMode::Durable)?;
    assert!(file.is_empty()?);
    let buffer = file.write(filled(1, 4), 0).await?;
    assert_eq!(buffer.len(), 4 * ALIGNMENT, "the buffer comes back");
    file.write(filled(2, 1), block).await?;
    assert_eq!(file.len()?, 4 * block);
    let again = disk.open_direct(&path, DirectMode::Durable)?;
    assert_eq!(again.len()?, 4 * block, "an existing file is left as it is");
    let parts = [(0, 3), (2, 4), (4, 5)];
    let writes = parts.map(|(at, byte)| again.write(filled(byte, 1), at * block));
    join_all(writes).await.into_iter().try_for_each(|written| written.map(drop))?;
    // One that nobody waits for goes on.
    start(&mut file.write(filled(6, 1), 6 * block));
    file.write(filled(7, 1), 7 * block).await?;
    let content = read(&*disk.open(&path, OpenMode::Read)?, 0, 6 * ALIGNMENT)?;
    let bytes: Vec<u8> = content.chunks(ALIGNMENT).map(|part| part[0]).collect();
    assert_eq!(bytes, [3, 2, 4, 1, 5, 0]);
    assert!(content.chunks(ALIGNMENT).all(|part| part.iter().all(|byte| *byte == part[0])));
    direct_beside_cached(disk, &dir.join("plain")).await
}

/// Whole blocks past the page cache, between bytes that go through it, as appends are written.
async fn direct_beside_cached(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let block = ALIGNMENT as u64;
    refused(disk.open_direct(path, DirectMode::Plain), ErrorKind::NotFound);
    let cached = disk.open(path, OpenMode::CreateNew)?;
    let direct = disk.open_direct(path, DirectMode::Plain)?;
    write(&*cached, 0, &[1; 5000])?;
    write(&*cached, 5000, &vec![1; 2 * ALIGNMENT - 5000])?;
    direct.write(filled(2, 3), 2 * block).await?;
    write(&*cached, 5 * block, &[3; 100])?;
    cached.sync().await?;
    assert_eq!(cached.len()?, 5 * block + 100);
    let content = read(&*cached, 0, 5 * ALIGNMENT + 100)?;
    let expected = [vec![1; 2 * ALIGNMENT], vec![2; 3 * ALIGNMENT], vec![3; 100]].concat();
    assert!(content == expected, "each range has what was written to it");
    Ok(())
}

async fn many_at_once(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for index in 0..40u8 {
        let file = disk.open(&dir.join(index.to_string()), OpenMode::CreateNew)?;
        write(&*file, 0, &[index; 20_000])?;
        files.push(file);
    }
    try_join_all(files.iter().map(|file| file.sync())).await?;
    let reads = (0..1_000u64).map(|turn| files[(turn % 40) as usize].read(turn * 7, 1_000));
    for (turn, read) in join_all(reads).await.into_iter().enumerate() {
        assert!(read?.iter().all(|byte| usize::from(*byte) == turn % 40));
    }
    // Callers that go away in the middle disturb nobody.
    for file in &files {
        let (mut sync, mut read) = (file.sync(), file.read(0, 20_000));
        start(&mut sync);
        start(&mut read);
    }
    try_join_all(files.iter().map(|file| file.sync())).await?;
    let mut last = files[0].sync();
    let goes_on = start(&mut last);
    drop(files);
    if goes_on { last.await } else { Ok(()) }
}

/// Polls an operation once; whether it goes on.
fn start<T>(operation: &mut IoFuture<T>) -> bool {
    Pin::new(operation).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn locking(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let path = dir.join(".lock");
    let lock = disk.lock_file(&path)?;
    refused(disk.lock_file(&path), ErrorKind::WouldBlock);
    assert!(disk.exists(&path)?);
    drop(lock);
    let _again = disk.lock_file(&path)?;
    Ok(())
}

fn space(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let space = disk.space(dir)?;
    assert!(space.total > 0 && space.available <= space.total, "{space:?}");
    refused(disk.space(&dir.join("no")), ErrorKind::NotFound);
    Ok(())
}

fn replacing(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let path = dir.join("checkpoint");
    make(disk, &dir.join("checkpoint.tmp"), b"left over by a crash, and longer")?;
    replace_file(disk, &path, b"one")?;
    replace_file(disk, &path, b"two!")?;
    assert_eq!(read_small_file(disk, &path, 4)?, b"two!");
    refused(read_small_file(disk, &path, 3), ErrorKind::FileTooLarge);
    refused(read_small_file(disk, &dir.join("no"), 3), ErrorKind::NotFound);
    let left: Vec<String> = disk.list(dir)?.into_iter().map(|entry| entry.name).collect();
    assert_eq!(left, ["checkpoint"]);
    Ok(())
}
