//! File systems in files, and copies of them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::fs::ioctl_ficlone;

/// The smallest file system that mkfs.xfs makes has 300 MiB. The files are sparse.
const IMAGE_BYTES: u64 = 640 << 20;
const SHELF_BYTES: u64 = 12 << 30;
/// Direct I/O on files with reflinks is by blocks of the file system: all sectors are as large.
const SECTORS: [&str; 2] = ["-s", "size=4096"];
/// How often an unmount is tried: a process that was just killed may hold the mount for a moment.
const UNMOUNTS: usize = 100;

/// A file system that a broker's data may lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ext4, made and mounted as usual.
    Ext4,
    /// ext4 that does not sync by itself what is renamed over another file (`noauto_da_alloc`).
    Ext4Strict,
    /// XFS.
    Xfs,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Ext4Strict => "ext4 without auto_da_alloc",
            Self::Xfs => "XFS",
        }
    }

    pub(crate) fn make(self, file: &Path) -> anyhow::Result<()> {
        let (program, sectors) = if self == Self::Xfs { ("mkfs.xfs", SECTORS) } else { ("mkfs.ext4", ["-b", "4096"]) };
        run(Command::new(program).arg("-q").args(sectors).arg(file)).map(drop)
    }

    /// A crash image has the identity of its original, which is mounted at the same time.
    pub(crate) fn options(self) -> &'static str {
        match self {
            Self::Ext4 => "noatime",
            Self::Ext4Strict => "noatime,noauto_da_alloc",
            Self::Xfs => "noatime,nouuid",
        }
    }
}

/// A mounted file; unmounted and detached when dropped.
#[derive(Debug)]
pub struct Mounted {
    place: PathBuf,
}

impl Mounted {
    /// Mounts `file` on the folder `place`, which is made if need be. Journals are replayed.
    ///
    /// # Errors
    /// What `losetup` or `mount` say.
    pub fn new(file: &Path, place: &Path, options: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(place)?;
        let attach = |direct: &str| {
            let direct = format!("--direct-io={direct}");
            run(Command::new("losetup").args(["--find", "--show", "--sector-size=4096", &direct]).arg(file))
        };
        // Not every file system under the shelf knows direct I/O.
        let device = attach("on").or_else(|_| attach("off"))?;
        let device = device.trim();
        let mounted = run(Command::new("mount").args(["-o", options, device]).arg(place));
        // From now on the kernel detaches it with the last use: also when this process is killed and its mounts with it.
        let detached = run(Command::new("losetup").args(["--detach", device]));
        mounted?;
        let mounted = Self { place: place.to_owned() };
        detached?;
        Ok(mounted)
    }

    /// Where it is mounted.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Hands everything that is dirty to the device, as the kernel does by itself now and then.
    ///
    /// # Errors
    /// The device fails.
    pub fn write_back(&self) -> anyhow::Result<()> {
        Ok(rustix::fs::syncfs(File::open(&self.place)?)?)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for _ in 0..UNMOUNTS {
            if run(Command::new("umount").arg(&self.place)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let last = run(Command::new("umount").arg("--lazy").arg(&self.place));
        eprintln!("{} stays busy; detached lazily: {last:?}", self.place.display());
    }
}

/// The file system that images lie on: it copies by reflink.
#[derive(Debug)]
pub struct Shelf {
    mounted: Mounted,
    /// Holds the mount points and is dropped after the mount.
    folder: tempfile::TempDir,
}

impl Shelf {
    /// Makes an empty one in `folder`, whose file has no name any more once it is mounted.
    ///
    /// # Errors
    /// No root, no loop devices, no room, no xfsprogs: what the programs say.
    pub fn make(folder: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("goatq-crash-").tempdir_in(folder)?;
        let file = folder.path().join("shelf");
        File::create(&file)?.set_len(SHELF_BYTES)?;
        run(Command::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]).args(SECTORS).arg(&file))?;
        let mounted = Mounted::new(&file, &folder.path().join("images"), "noatime,discard")?;
        std::fs::remove_file(file)?;
        Ok(Self { mounted, folder })
    }

    /// A new, empty file system.
    ///
    /// # Errors
    /// What the programs say.
    pub fn format(&self, name: &str, kind: Kind) -> anyhow::Result<Image> {
        let file = self.mounted.place().join(name);
        File::create(&file)?.set_len(IMAGE_BYTES)?;
        let image = Image { file, place: self.folder.path().join(format!("on-{name}")), kind };
        kind.make(&image.file)?;
        Ok(image)
    }

    /// A copy of `image` as its device is now: what a power cut would have left.
    ///
    /// # Errors
    /// The shelf is full.
    pub fn copy(&self, image: &Image, name: &str) -> anyhow::Result<Image> {
        let file = self.mounted.place().join(name);
        let copy = File::create(&file)?;
        let copied = Image { file, place: self.folder.path().join(format!("on-{name}")), kind: image.kind };
        ioctl_ficlone(&copy, File::open(&image.file)?).context("no reflink")?;
        Ok(copied)
    }
}

/// A file system in a file; the file is removed when this is dropped.
#[derive(Debug)]
pub struct Image {
    file: PathBuf,
    place: PathBuf,
    kind: Kind,
}

impl Image {
    /// Mounts it on a folder of its own.
    ///
    /// # Errors
    /// What the programs say: a crash image that no longer mounts is a finding.
    pub fn mount(&self) -> anyhow::Result<Mounted> {
        Mounted::new(&self.file, &self.place, self.kind.options())
    }

    /// Leaves a copy of it in `folder`, holes and all.
    ///
    /// # Errors
    /// No room.
    pub fn keep(&self, folder: &Path, name: &str) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        run(Command::new("cp").arg("--sparse=always").arg(&self.file).arg(folder.join(name))).map(drop)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
        let _ = std::fs::remove_dir(&self.place);
    }
}

/// Runs a program to its end; its standard output.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<String> {
    let name = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| name.clone())?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
