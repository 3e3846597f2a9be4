//! Disks that fill up, fail, lie and are slow.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use rustix::fs::{Advice, fadvise};

use super::Fault;
use crate::crash_image::disk::{Kind, run};
use crate::faults::field::{Field, until};
use crate::faults::site::Site;
use crate::faults::volume::{Volume, folder};

/// How long a node may take to start.
const START: Duration = Duration::from_secs(60);
/// How long a node may take to notice that its disk fails: what is synced to the journal goes to its segments within a minute.
const NOTICE: Duration = Duration::from_secs(90);
/// What is kept free for what clients do not write.
const RESERVE: u64 = 64 << 20;

/// Of each node a volume, with or without room.
#[derive(Debug, Default)]
pub struct Full {
    volumes: Vec<Volume>,
    folder: PathBuf,
}

impl Fault for Full {
    fn prepare(&mut self, sites: &mut [Site]) -> anyhow::Result<()> {
        self.folder = folder(sites)?;
        self.volumes = Volume::for_all(sites, &self.folder)?;
        sites.iter_mut().for_each(|site| site.settings.push(format!("log.dir.reserve.bytes={RESERVE}")));
        Ok(())
    }

    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let full = if round % 3 == 2 { field.brokers() } else { vec![field.leader(0)?] };
        let left = [0, RESERVE / 2, 0][round % 3];
        for volume in self.volumes.iter().filter(|volume| full.contains(&volume.node)) {
            volume.fill(left)?;
        }
        field.hold(Duration::from_secs(10));
        for id in &full {
            anyhow::ensure!(field.site(*id).is_running(), "{id} ended on a full disk:\n{}", field.site(*id).log());
        }
        Ok(format!("the disks of {full:?} have {left} bytes left"))
    }

    fn heal(&mut self, _: &mut Field) -> anyhow::Result<()> {
        self.volumes.iter().try_for_each(Volume::clear)
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        self.volumes.clear();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// How a disk fails for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Writes succeed, and the sync that should bring them to the device fails, once: a thin device without room.
    Thin,
    /// Old data cannot be read.
    Read,
    /// Writes beyond a length fail: the limit on the size of files.
    Limit,
}

/// A broker's disk fails. It has to end, or to go on without it; then the disk is replaced by an empty one.
#[derive(Debug)]
pub struct Broken {
    failure: Failure,
    volumes: Vec<Volume>,
    /// A file system in memory for each, whose size can be changed.
    thin: Vec<(i32, PathBuf)>,
    folder: PathBuf,
    broken: Option<i32>,
}

impl Broken {
    /// Disks that fail in this way.
    pub fn new(failure: Failure) -> Self {
        Self { failure, volumes: Vec::new(), thin: Vec::new(), folder: PathBuf::new(), broken: None }
    }

    fn volume(&mut self, id: i32) -> anyhow::Result<&mut Volume> {
        self.volumes.iter_mut().find(|volume| volume.node == id).context("no volume")
    }

    fn resize(&self, id: i32, size: &str) -> anyhow::Result<()> {
        let (_, place) = self.thin.iter().find(|(node, _)| *node == id).context("no device")?;
        run(Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(place)).map(drop)
    }

    /// The size of the thin device is that of what it holds, and a little.
    fn shrink(&self, id: i32) -> anyhow::Result<()> {
        let (_, place) = self.thin.iter().find(|(node, _)| *node == id).context("no device")?;
        let space = rustix::fs::statvfs(place)?;
        let used = (space.f_blocks - space.f_bfree) * space.f_frsize;
        self.resize(id, &(used + (512 << 10)).to_string())
    }
}

impl Fault for Broken {
    fn prepare(&mut self, sites: &mut [Site]) -> anyhow::Result<()> {
        self.folder = folder(sites)?;
        for site in sites.iter_mut().filter(|site| site.is_broker()) {
            let place = self.folder.join(format!("thin-{}", site.id));
            std::fs::create_dir_all(&place)?;
            run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1g", "none"]).arg(&place))?;
            let kind = if site.id == 2 { Kind::Xfs } else { Kind::Ext4 };
            self.volumes.push(Volume::make(site, &place, kind)?);
            self.thin.push((site.id, place));
        }
        Ok(())
    }

    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let id = field.leader(0)?;
        self.broken = Some(id);
        match self.failure {
            Failure::Thin => self.shrink(id)?,
            Failure::Read => {
                let volume = self.volume(id)?;
                OpenOptions::new().write(true).open(volume.file())?.set_len(48 << 20)?;
                forget(volume.place())?;
                if !round.is_multiple_of(2) {
                    field.site(id).kill()?;
                    field.site(id).spawn()?;
                }
            }
            Failure::Limit => {
                let pid = field.site(id).pid().context("no process")?.as_raw_nonzero();
                run(Command::new("prlimit").args(["--pid", &pid.to_string(), "--fsize=1000000:1000000"]))?;
            }
        }
        if self.failure == Failure::Read {
            field.hold(Duration::from_secs(10));
        } else {
            field.site(id).until_ended(NOTICE).context("it goes on with a disk that fails")?;
            // Others lead by now.
            let since = field.watch.now();
            field.until_acked(since, NOTICE).context("others take over")?;
        }
        Ok(format!("the disk of {id} fails"))
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        let Some(id) = self.broken.take() else { return Ok(()) };
        if field.site(id).pid().is_some() {
            field.site(id).kill()?;
        }
        if self.failure == Failure::Limit && self.volume(id)?.place().join("data/.goatq-poisoned").exists() {
            field.site(id).spawn()?;
            field.site(id).until_ended(NOTICE).context("a poisoned directory is used")?;
        }
        self.resize(id, "1g")?;
        let volume = self.volume(id)?;
        volume.format()?;
        volume.mount()?;
        field.start_again(&[id], START)
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.volumes.clear();
        for (_, place) in &self.thin {
            let _ = run(Command::new("umount").arg(place));
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Drops all files below from the page cache, so that they are read again.
fn forget(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            forget(&entry.path())?;
        } else if let Ok(file) = File::open(entry.path()) {
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// Bytes that a slow disk takes in a second.
const SLOW: u64 = 256 << 10;
/// In this time a leader whose disk is slow leaves it to others.
const GIVES_UP: Duration = Duration::from_secs(30);
/// Before that it is not looked whether it does.
const SEEN: Duration = Duration::from_secs(10);

/// A disk that takes little.
#[derive(Debug, Default)]
pub struct Slow {
    volumes: Vec<Volume>,
    folder: PathBuf,
    group: Option<(PathBuf, String)>,
}

/// Where groups for the throttling of disks are.
const BLKIO: &str = "/sys/fs/cgroup/blkio";

impl Slow {
    fn set(&self, bytes: u64) -> anyhow::Result<()> {
        let Some((group, device)) = &self.group else { return Ok(()) };
        Ok(std::fs::write(group.join("blkio.throttle.write_bps_device"), format!("{device} {bytes}"))?)
    }
}

impl Fault for Slow {
    fn prepare(&mut self, sites: &mut [Site]) -> anyhow::Result<()> {
        self.folder = folder(sites)?;
        self.volumes = Volume::for_all(sites, &self.folder)?;
        Ok(())
    }

    fn strike(&mut self, field: &mut Field, _: usize) -> anyhow::Result<String> {
        let id = field.leader(0)?;
        let volume = self.volumes.iter().find(|volume| volume.node == id).context("no volume")?;
        let device = std::fs::metadata(volume.place())?.dev();
        let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        let group =
            Path::new(BLKIO).join(format!("goatq-faults-{}", self.folder.file_name().unwrap_or_default().display()));
        std::fs::create_dir_all(&group)?;
        let pid = field.site(id).pid().context("no process")?.as_raw_nonzero();
        std::fs::write(group.join("cgroup.procs"), pid.to_string())?;
        self.group = Some((group, device));
        self.set(SLOW)?;
        std::thread::sleep(SEEN);
        until("another one leads what the node with the slow disk led, or it is not held up", GIVES_UP - SEEN, || {
            let goes_on = field.acked_within(0, Duration::from_secs(1));
            (goes_on || field.leader(0).is_ok_and(|leader| leader != id)).then_some(())
        })?;
        field.hold(Duration::from_secs(5));
        Ok(format!("the disk of {id} is slow"))
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        self.set(0)?;
        let pids = field.sites.iter().filter_map(Site::pid);
        for pid in pids.filter(|_| self.group.is_some()) {
            std::fs::write(Path::new(BLKIO).join("cgroup.procs"), pid.as_raw_nonzero().to_string())?;
        }
        Ok(())
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.volumes.clear();
        if let Some((group, _)) = &self.group {
            let _ = std::fs::remove_dir(group);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Whether disks can be slowed down.
///
/// # Errors
/// There are no such groups.
pub fn can_be_slow() -> anyhow::Result<()> {
    anyhow::ensure!(
        Path::new(BLKIO).join("blkio.throttle.write_bps_device").exists()
            || Path::new(BLKIO).join("cgroup.procs").exists(),
        "no blkio cgroup"
    );
    Ok(())
}
