use std::path::Path;

use super::*;
use crate::io::{OpenMode, sim::SimDisk};

const MIB: u64 = 1 << 20;

#[test]
fn the_reserve_is_the_smaller_limit() {
    let reserve = Reserve::default();
    let space = |total| Space { total, available: 0 };
    assert_eq!(reserve.on(space(1 << 40)), 1 << 30);
    assert_eq!(reserve.on(space(100 * MIB)), 5 * MIB);
    assert_eq!(Reserve { bytes: u64::MAX, percent: 200 }.on(space(u64::MAX)), u64::MAX / 100 * 100);
    assert_eq!(Reserve { bytes: 0, percent: 5 }.on(space(1 << 40)), 0);
    // What may come between two looks is a small part of what is kept free, except on toys.
    assert_eq!(reserve.check_interval(space(1 << 40)), 16 * MIB);
    assert_eq!(reserve.check_interval(space(40 * MIB)), 40 * MIB / 100 * 5 / 8);
}

/// Fills and empties a disk of 100 MiB (reserve 5 MiB) and looks only as appends make it look.
#[test]
fn room_ends_below_the_reserve_and_returns_a_quarter_above_it() {
    let disk = SimDisk::new(1);
    disk.set_capacity(100 * MIB);
    disk.create_dir_all(Path::new("/d")).unwrap();
    let health = DirHealth::new(Arc::new(disk.clone()), Path::new("/d"), Reserve::default());
    let file = disk.open(Path::new("/d/log"), OpenMode::Create).unwrap();
    let chunk = vec![1; MIB as usize];
    let mut written = 0;
    while health.has_room() {
        file.write_at(&[io::IoSlice::new(&chunk)], written).unwrap();
        written += MIB;
        health.appended(MIB);
    }
    assert_eq!(written, 96 * MIB, "one step below 5 MiB");
    file.truncate(95 * MIB).unwrap();
    health.check_space().unwrap();
    assert!(!health.has_room(), "exactly the reserve is not enough to come back");
    file.truncate(93 * MIB).unwrap();
    assert!(!health.has_room(), "nobody looked yet");
    let space = health.check_space().unwrap();
    assert_eq!((health.has_room(), space.available), (true, 7 * MIB));
}

#[test]
fn a_directory_that_cannot_be_looked_at_keeps_its_state() {
    let disk = SimDisk::new(1);
    let health = DirHealth::new(Arc::new(disk), Path::new("/missing"), Reserve::default());
    health.appended(1 << 40);
    assert!(health.has_room());
    health.check_space().unwrap_err();
}
