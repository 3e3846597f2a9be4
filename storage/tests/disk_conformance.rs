//! One suite, three disks: what holds for the simulated disk holds for the real ones, and the other way round.

use std::path::Path;

use goatq_storage::io::{Disk, blocking::BlockingDisk, conformance, default_disk, sim::SimDisk, uring::UringDisk};

fn run(disk: &dyn Disk, dir: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    runtime.block_on(conformance::all(disk, dir)).expect("the suite meets no error");
}

#[test]
fn blocking_disk() {
    for threads in [1, 8] {
        run(&BlockingDisk::new(threads), tempfile::tempdir().unwrap().path());
    }
}

#[test]
fn uring_disk() {
    // Where ring set-up is refused the broker runs on the other disk; `default_disk` below is then that one.
    if let Ok(disk) = UringDisk::open() {
        run(&disk, tempfile::tempdir().unwrap().path());
    }
}

#[test]
fn default_disk_of_this_machine() {
    run(&*default_disk(), tempfile::tempdir().unwrap().path());
}

#[test]
fn simulated_disk() {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        disk.set_slowness((seed % 4) as u32);
        disk.create_dir_all(Path::new("/data")).unwrap();
        run(&disk, Path::new("/data"));
    }
}
