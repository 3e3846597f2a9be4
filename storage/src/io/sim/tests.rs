use std::{
    collections::BTreeSet,
    future::Future,
    io::IoSlice,
    path::Path,
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::*;
use crate::io::IoFuture;

/// Polls a future to its end: on this disk nothing waits for anything outside.
fn drive<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

fn write(file: &dyn DiskFile, offset: u64, data: &[u8]) {
    file.write_at(&[IoSlice::new(data)], offset).unwrap();
}

fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path), OpenMode::Read).ok()?;
    let mut buffer = vec![0; file.len().unwrap() as usize];
    let read = file.read_at(&mut buffer, 0).unwrap();
    assert_eq!(read, buffer.len());
    Some(buffer)
}

/// A disk with a directory `/d` whose name is durable.
fn disk_with_dir(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

#[test]
fn synced_bytes_survive_and_every_fate_of_unsynced_ones_occurs() {
    let mut fates = BTreeSet::new();
    for seed in 0..2_000 {
        let disk = disk_with_dir(seed);
        let file = disk.open(Path::new("/d/log"), OpenMode::CreateNew).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        write(&*file, 0, &[1; 700]);
        file.sync_now().unwrap();
        write(&*file, 700, &[2; 1_500]);
        write(&*file, 2_200, &[3; 300]);
        let after = content(&disk.crash(), "/d/log").expect("its name was synced");
        assert_eq!(after[..700], [1; 700], "seed {seed}");
        let whole =
            |from: usize, to: usize, byte: u8| after.get(from..to).is_some_and(|part| part.iter().all(|b| *b == byte));
        fates.insert(match (whole(700, 2_200, 2), whole(2_200, 2_500, 3)) {
            (true, true) => "both kept",
            (true, false) => "second lost",
            (false, true) if whole(700, 2_200, 0) => "first lost",
            (false, true) => "first torn",
            _ if after.len() == 700 => "both lost",
            _ if after.len() == 2_500 && whole(700, 2_500, 0) => "length without data",
            _ => "both torn",
        });
    }
    assert_eq!(fates.len(), 7, "{fates:?}");
}

#[test]
fn a_torn_sector_never_reaches_into_synced_bytes_that_share_it() {
    for seed in 0..500 {
        let disk = disk_with_dir(seed);
        let file = disk.open(Path::new("/d/log"), OpenMode::CreateNew).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        for step in 0..20u64 {
            write(&*file, step * 100, &[step as u8 + 1; 100]);
            file.sync_now().unwrap();
        }
        write(&*file, 2_000, &[99; 5_000]);
        let after = content(&disk.crash(), "/d/log").expect("its name was synced");
        for step in 0..20 {
            assert!(after[step * 100..][..100].iter().all(|byte| *byte == step as u8 + 1), "seed {seed} step {step}");
        }
    }
}

#[test]
fn a_name_is_durable_only_after_its_directory_was_synced() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..200 {
        let disk = disk_with_dir(seed);
        let file = disk.open(Path::new("/d/new"), OpenMode::CreateNew).unwrap();
        write(&*file, 0, b"x");
        file.sync_now().unwrap();
        if content(&disk.crash_image(), "/d/new").is_some() {
            kept += 1
        } else {
            lost += 1
        }
        drive(disk.open_dir(Path::new("/d")).unwrap().sync()).unwrap();
        assert_eq!(content(&disk.crash(), "/d/new").as_deref(), Some(&b"x"[..]), "seed {seed}");
    }
    assert!(kept > 20 && lost > 20, "{kept} kept, {lost} lost");
}

#[test]
fn replacing_a_file_leaves_the_old_or_the_new_content_after_any_crash() {
    let mut seen = BTreeSet::new();
    for seed in 0..300 {
        let disk = disk_with_dir(seed);
        let path = Path::new("/d/checkpoint");
        super::super::replace_file(&disk, path, b"old").unwrap();
        // The steps of a second replacement, with a power cut after each.
        let file = disk.open(Path::new("/d/checkpoint.tmp"), OpenMode::Create).unwrap();
        let mut images = vec![disk.crash_image()];
        write(&*file, 0, b"new!");
        images.push(disk.crash_image());
        file.sync_now().unwrap();
        images.push(disk.crash_image());
        disk.rename(Path::new("/d/checkpoint.tmp"), path).unwrap();
        images.push(disk.crash_image());
        disk.sync_dir(Path::new("/d")).unwrap();
        for image in images {
            let after = content(&image, "/d/checkpoint").expect("one of the two");
            assert!(after == b"old" || after == b"new!", "seed {seed}: {after:?}");
            seen.insert(after);
        }
        assert_eq!(content(&disk.crash(), "/d/checkpoint").as_deref(), Some(&b"new!"[..]));
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn after_a_failed_sync_readers_see_data_that_no_later_sync_keeps() {
    let disk = disk_with_dir(7);
    let file = disk.open(Path::new("/d/log"), OpenMode::CreateNew).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    write(&*file, 0, b"kept");
    file.sync_now().unwrap();
    write(&*file, 4, b"gone");
    disk.inject(Fault::FailSync("log".to_owned()));
    drive(file.sync()).unwrap_err();
    drive(file.sync()).unwrap();
    assert_eq!(content(&disk, "/d/log").as_deref(), Some(&b"keptgone"[..]));
    assert_eq!(content(&disk.crash(), "/d/log").as_deref(), Some(&b"kept"[..]));
    file.sync_now().unwrap_err();
}

#[test]
fn a_sync_covers_what_was_written_before_its_first_poll() {
    for seed in 0..50 {
        let disk = disk_with_dir(seed);
        disk.set_slowness(3);
        let file = disk.open(Path::new("/d/log"), OpenMode::CreateNew).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        let mut sync = file.sync();
        write(&*file, 0, b"first");
        let began = sync.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        write(&*file, 5, b"later");
        if began.is_pending() {
            drive(sync).unwrap();
        }
        let after = content(&disk.crash(), "/d/log").expect("its name was synced");
        assert_eq!(&after[..5], b"first", "seed {seed}");
    }
}

#[test]
fn equal_seeds_give_equal_images() {
    let run = |seed| {
        let disk = disk_with_dir(seed);
        let file = disk.open(Path::new("/d/log"), OpenMode::CreateNew).unwrap();
        (0..40).for_each(|step| write(&*file, step * 700, &[step as u8; 700]));
        content(&disk.crash(), "/d/log")
    };
    assert!((0..100).all(|seed| run(seed) == run(seed)));
    assert!((0..100).map(run).collect::<BTreeSet<_>>().len() > 20);
}

#[test]
fn a_killed_process_leaves_its_page_cache_and_loses_its_locks() {
    let disk = disk_with_dir(1);
    let file = disk.open(Path::new("/d/log"), OpenMode::Create).unwrap();
    write(&*file, 0, b"cached");
    let _lock = disk.lock_file(Path::new("/d/.lock")).unwrap();
    let next = disk.restart();
    file.len().unwrap_err();
    disk.list(Path::new("/d")).unwrap_err();
    assert_eq!(content(&next, "/d/log").as_deref(), Some(&b"cached"[..]));
    let _again = next.lock_file(Path::new("/d/.lock")).unwrap();
    assert_eq!(next.lock_file(Path::new("/d/.lock")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_full_disk_takes_what_fits_and_frees_what_is_removed() {
    let disk = disk_with_dir(1);
    disk.set_capacity(3 * 4096);
    let file = disk.open(Path::new("/d/a"), OpenMode::Create).unwrap();
    let error = file.write_at(&[IoSlice::new(&[1; 20_000])], 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 3 * 4096);
    assert_eq!(disk.space(Path::new("/d")).unwrap().available, 0);
    file.truncate(4096).unwrap();
    assert_eq!(disk.space(Path::new("/d")).unwrap().available, 2 * 4096);
    file.preallocate(8192).unwrap();
    assert_eq!(disk.space(Path::new("/d")).unwrap().available, 4096);
    write(&*file, 4096, &[2; 4096]);
    assert_eq!(disk.crash_image().space(Path::new("/")).unwrap().total, 3 * 4096);
    disk.remove_file(Path::new("/d/a")).unwrap();
    assert_eq!(disk.space(Path::new("/d")).unwrap().available, 3 * 4096);
}

#[test]
fn planned_faults_strike_and_counters_count() {
    let disk = disk_with_dir(1);
    let file = disk.open(Path::new("/d/log"), OpenMode::Create).unwrap();
    disk.inject(Fault::FailWrite("log".to_owned()));
    file.write_at(&[IoSlice::new(b"12345678")], 0).unwrap_err();
    assert_eq!(file.len().unwrap(), 4);
    disk.inject(Fault::FailReads("/d/".to_owned()));
    drive(file.read(0, 4)).unwrap_err();
    disk.heal();
    assert_eq!(drive(file.read(0, 100)).unwrap(), &b"1234"[..]);
    disk.flip_bit(Path::new("/d/log"), 3, 0).unwrap();
    assert_eq!(content(&disk, "/d/log").as_deref(), Some(&b"1235"[..]));
    disk.inject(Fault::FailNames("log".to_owned()));
    disk.rename(Path::new("/d/log"), Path::new("/d/old")).unwrap_err();
    disk.rename(Path::new("/d/log"), Path::new("/d/old")).unwrap();
    let counters = disk.counters();
    assert_eq!((counters.reads, counters.writes, counters.written_bytes, counters.opens), (2, 1, 4, 2));
}

#[test]
fn sparse_content_reads_zeros_in_holes_and_behind_a_cut() {
    let disk = disk_with_dir(1);
    let file = disk.open(Path::new("/d/log"), OpenMode::Create).unwrap();
    write(&*file, 1 << 30, b"far");
    let mut buffer = [9; 6];
    assert_eq!(file.read_at(&mut buffer, (1 << 30) - 3).unwrap(), 6);
    assert_eq!(&buffer, b"\0\0\0far");
    file.truncate((1 << 30) + 1).unwrap();
    file.truncate((1 << 30) + 3).unwrap();
    assert_eq!(file.read_at(&mut buffer, (1 << 30) - 3).unwrap(), 6);
    assert_eq!(&buffer, b"\0\0\0f\0\0");
}

#[test]
fn a_slow_disk_ends_nothing_until_it_goes_on() {
    let disk = disk_with_dir(1);
    let file = disk.open(Path::new("/d/log"), OpenMode::CreateNew).unwrap();
    let waits = |sync: &mut IoFuture<()>| sync.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
    disk.stall("log");
    let (mut first, mut second) = (file.sync(), file.sync());
    assert!(waits(&mut first));
    disk.stall("log");
    assert!(waits(&mut second), "it began after the disk was told to be slow once more");
    assert!(!waits(&mut first), "it began before");
    disk.go_on();
    assert!(!waits(&mut second));
}
