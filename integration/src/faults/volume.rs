//! A file system of a node's own, in a file: it can lose power, fill up, lie and be replaced.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use super::site::Site;
use crate::crash_image::disk::{Kind, Mounted, run};

/// The smallest file system that mkfs.xfs makes has 300 MiB. The files are sparse.
const BYTES: u64 = 640 << 20;
/// In which pieces room is taken.
const PIECE: u64 = 16 << 20;
const SMALLEST_PIECE: u64 = 64 << 10;
/// What must be free in memory to hold them there.
const ROOM: u64 = 4 << 30;

/// A file system in a file, for the data of one node.
#[derive(Debug)]
pub struct Volume {
    /// The node.
    pub node: i32,
    file: PathBuf,
    place: PathBuf,
    kind: Kind,
    mounted: Option<Mounted>,
}

impl Volume {
    /// Makes a file system in `folder`, mounts it at the place of a node, and puts the node's data there.
    ///
    /// # Errors
    /// What the programs say.
    pub fn make(site: &mut Site, folder: &Path, kind: Kind) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let file = folder.join(format!("volume-{}", site.id));
        let mut volume = Self { node: site.id, file, place: site.folder.join("volume"), kind, mounted: None };
        volume.format()?;
        volume.mount()?;
        site.data = volume.place.join("data");
        Ok(volume)
    }

    /// For each node one: ext4 and XFS in turn.
    ///
    /// # Errors
    /// As above.
    pub fn for_all(sites: &mut [Site], folder: &Path) -> anyhow::Result<Vec<Self>> {
        let kinds = [Kind::Ext4, Kind::Xfs, Kind::Ext4Strict];
        let brokers = sites.iter_mut().filter(|site| site.is_broker());
        brokers.zip(kinds.into_iter().cycle()).map(|(site, kind)| Self::make(site, folder, kind)).collect()
    }

    /// Makes it anew, empty.
    ///
    /// # Errors
    /// As above.
    pub fn format(&mut self) -> anyhow::Result<()> {
        self.unmount();
        // What was there may have lost its end.
        let _ = std::fs::remove_file(&self.file);
        File::create(&self.file)?.set_len(BYTES)?;
        self.kind.make(&self.file)
    }

    /// Mounts it; journals are replayed.
    ///
    /// # Errors
    /// As above.
    pub fn mount(&mut self) -> anyhow::Result<()> {
        self.mounted = Some(Mounted::new(&self.file, &self.place, self.kind.options())?);
        Ok(())
    }

    /// Unmounts it, once nobody uses it any more.
    pub fn unmount(&mut self) {
        self.mounted = None;
    }

    /// Where it is mounted.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The file that holds it.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Power fails: what is not on the device is lost, and everything fails from now on.
    ///
    /// # Errors
    /// The file system does not know how.
    pub fn cut_power(&self) -> anyhow::Result<()> {
        run(Command::new("xfs_io").args(["-x", "-F", "-c", "shutdown"]).arg(&self.place)).map(drop)
    }

    /// Takes all room but so many bytes.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn fill(&self, but: u64) -> anyhow::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(self.place.join("ballast"))?;
        // Others take room meanwhile, and the file system itself: smaller pieces fit into what is left.
        let mut piece = PIECE;
        while piece >= SMALLEST_PIECE {
            let space = statvfs(&self.place)?;
            let left = (space.f_bavail * space.f_frsize).saturating_sub(but);
            if left < piece {
                piece /= 2;
                continue;
            }
            match fallocate(&file, FallocateFlags::empty(), file.metadata()?.len(), piece) {
                Ok(()) => {}
                Err(Errno::NOSPC) => piece /= 2,
                Err(error) => return Err(error).context("ballast"),
            }
        }
        Ok(())
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// The file system fails.
    pub fn clear(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(self.place.join("ballast")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Memory holds volumes where there is enough of it: whether a device is one is not what is tried here.
pub fn folder(sites: &[Site]) -> anyhow::Result<PathBuf> {
    let beside = sites.first().and_then(|site| site.folder.parent()).context("no nodes")?;
    let memory = PathBuf::from("/dev/shm");
    let room = statvfs(&memory).map_or(0, |space| space.f_bavail * space.f_frsize);
    let name = beside.file_name().context("a folder has a name")?;
    Ok(if room >= ROOM { memory.join(name) } else { beside.to_owned() })
}

/// Whether there can be any.
///
/// # Errors
/// What is missing.
pub fn needs() -> anyhow::Result<()> {
    let script = "command -v losetup mkfs.ext4 mkfs.xfs xfs_io mount >/dev/null && losetup --find >/dev/null";
    run(Command::new("sh").args(["-ec", script])).map(drop)
}
