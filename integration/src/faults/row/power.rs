//! Machines that lose power: what was not synced is gone. With page-cache durability one of them at a time, else all at once, too.

use std::path::PathBuf;
use std::time::Duration;

use rand::RngExt;
use rustix::fs::ioctl_ficlone;
use rustix::process::Signal;

use super::Fault;
use crate::crash_image::disk::Mounted;
use crate::faults::field::Field;
use crate::faults::site::Site;
use crate::faults::volume::{Volume, folder};

/// How long a node may take to start.
const START: Duration = Duration::from_secs(60);

/// Power cuts by the shutdown ioctl: I/O fails from then on, unsynced bytes and names are gone.
#[derive(Debug, Default)]
pub struct PowerCut {
    volumes: Vec<Volume>,
    folder: PathBuf,
    cut: Vec<i32>,
    paused: Option<i32>,
}

impl Fault for PowerCut {
    fn prepare(&mut self, sites: &mut [Site]) -> anyhow::Result<()> {
        self.folder = folder(sites)?;
        self.volumes = Volume::for_all(sites, &self.folder)?;
        Ok(())
    }

    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let leader = field.leader(0)?;
        let all = field.durability == "fsync" && round % 4 == 1;
        self.cut = if all { field.brokers() } else { vec![leader] };
        if round % 4 == 3 {
            // One sleeps while others write on; then another loses power and they go on together.
            let sleeper = field.follower(0)?;
            field.site(sleeper).signal(Signal::STOP)?;
            self.paused = Some(sleeper);
            field.hold(Duration::from_secs(15));
        } else if round % 4 == 2 {
            self.cut = vec![field.controller()?.0];
        }
        for volume in self.volumes.iter().filter(|volume| self.cut.contains(&volume.node)) {
            volume.cut_power()?;
        }
        self.cut.iter().try_for_each(|id| field.site(*id).kill())?;
        if let Some(sleeper) = self.paused.take() {
            field.site(sleeper).signal(Signal::CONT)?;
        }
        let lasts = Duration::from_millis(field.rng.random_range(100..3_000));
        field.hold(lasts);
        Ok(format!("power cut at {:?}", self.cut))
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        for volume in self.volumes.iter_mut().filter(|volume| self.cut.contains(&volume.node)) {
            volume.unmount();
            volume.mount()?;
        }
        field.start_again(&std::mem::take(&mut self.cut), START)
    }
}

impl Drop for PowerCut {
    fn drop(&mut self) {
        self.volumes.clear();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Power cuts that no file system is told of: its image is copied by reflink at a moment, and the copy takes its place.
#[derive(Debug, Default)]
pub struct Image {
    volumes: Vec<Volume>,
    shelf: Option<Mounted>,
    folder: PathBuf,
    cut: Vec<i32>,
}

/// What the images lie on.
const SHELF_BYTES: u64 = 6 << 30;

impl Fault for Image {
    fn prepare(&mut self, sites: &mut [Site]) -> anyhow::Result<()> {
        self.folder = folder(sites)?;
        std::fs::create_dir_all(&self.folder)?;
        let file = self.folder.join("shelf");
        std::fs::File::create(&file)?.set_len(SHELF_BYTES)?;
        crate::crash_image::disk::Kind::Xfs.make(&file)?;
        let shelf = Mounted::new(&file, &self.folder.join("images"), "noatime")?;
        std::fs::remove_file(file)?;
        self.volumes = Volume::for_all(sites, shelf.place())?;
        self.shelf = Some(shelf);
        Ok(())
    }

    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        self.cut = match field.durability {
            "fsync" if round.is_multiple_of(2) => field.brokers(),
            _ => vec![field.leader(0)?],
        };
        // All at one moment, as nobody says anything between the first copy and the last.
        self.cut.iter().try_for_each(|id| field.site(*id).signal(Signal::STOP))?;
        for volume in self.volumes.iter().filter(|volume| self.cut.contains(&volume.node)) {
            let copy = std::fs::File::create(volume.file().with_extension("copy"))?;
            ioctl_ficlone(&copy, std::fs::File::open(volume.file())?)?;
        }
        self.cut.iter().try_for_each(|id| field.site(*id).kill())?;
        field.hold(Duration::from_millis(500));
        Ok(format!("power cut, by an image, at {:?}", self.cut))
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        for volume in self.volumes.iter_mut().filter(|volume| self.cut.contains(&volume.node)) {
            volume.unmount();
            std::fs::rename(volume.file().with_extension("copy"), volume.file())?;
            volume.mount()?;
        }
        field.start_again(&std::mem::take(&mut self.cut), START)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.volumes.clear();
        self.shelf = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
