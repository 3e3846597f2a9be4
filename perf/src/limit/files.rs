//! Files that are written: new, written before, or past the page cache.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};

use crate::limit::MIB;

/// What direct writes are aligned to.
const ALIGN: usize = 4096;
/// Size of a file in a rotation, at most.
const FILE_BYTES: u64 = 256 << 20;
/// Files that are recycled.
const RECYCLED: u64 = 4;

/// Where received bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Through the page cache into files that grow.
    NewFiles,
    /// Through the page cache over what is there already, and still in the page cache.
    RecycledFiles,
    /// Past the page cache over what is there already.
    RecycledDirect,
}

/// Bytes at an address that direct writes accept.
#[derive(Debug)]
pub(crate) struct Aligned {
    bytes: Vec<u8>,
    from: usize,
    len: usize,
}

impl Aligned {
    /// Not zeros, which some storage treats in a special way.
    pub(crate) fn new(len: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let bytes: Vec<u8> = (0..len + ALIGN)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        let from = bytes.as_ptr().align_offset(ALIGN);
        Self { bytes, from, len }
    }

    pub(crate) fn slice(&self) -> &[u8] {
        &self.bytes[self.from..self.from + self.len]
    }

    pub(crate) fn slice_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.from..self.from + self.len]
    }
}

/// Opens a file for writing, creating it if need be.
pub(crate) fn open(path: &Path, flags: OFlags) -> Result<File> {
    let flags = i32::try_from(flags.bits())?;
    Ok(OpenOptions::new().read(true).write(true).create(true).truncate(false).custom_flags(flags).open(path)?)
}

/// A file of `bytes`, all of them written and synced; what it holds is in the page cache.
pub(crate) fn written(path: &Path, bytes: u64) -> Result<File> {
    let file = open(path, OFlags::empty())?;
    let block = Aligned::new(MIB);
    let mut position = 0;
    while position < bytes {
        let part = (bytes - position).min(MIB as u64) as usize;
        file.write_all_at(&block.slice()[..part], position)?;
        position += part as u64;
    }
    file.sync_all()?;
    Ok(file)
}

/// Files that are written one after the other.
#[derive(Debug)]
pub(crate) struct Rotation {
    target: Target,
    folder: PathBuf,
    file_bytes: u64,
    files: Vec<File>,
    current: usize,
    position: u64,
}

impl Rotation {
    /// `bytes` is what all files may hold together.
    pub(crate) fn new(folder: &Path, target: Target, bytes: u64) -> Result<Self> {
        let file_bytes = (bytes / RECYCLED).clamp(MIB as u64, FILE_BYTES) / MIB as u64 * MIB as u64;
        let mut files = Vec::new();
        if target == Target::NewFiles {
            files.push(open(&folder.join("0"), OFlags::empty())?);
        } else {
            for index in 0..RECYCLED {
                let path = folder.join(index.to_string());
                let file = written(&path, file_bytes)?;
                let direct = target == Target::RecycledDirect;
                files.push(if direct { open(&path, OFlags::DIRECT)? } else { file });
            }
        }
        Ok(Self { target, folder: folder.to_owned(), file_bytes, files, current: 0, position: 0 })
    }

    /// Writes one part, a whole number of which make a file.
    pub(crate) fn write(&mut self, part: &[u8]) -> Result<()> {
        if self.position + part.len() as u64 > self.file_bytes {
            self.position = 0;
            self.current += 1;
            if self.target == Target::NewFiles {
                self.files.push(open(&self.folder.join(self.current.to_string()), OFlags::empty())?);
            }
            self.current %= self.files.len();
        }
        self.files[self.current].write_all_at(part, self.position)?;
        self.position += part.len() as u64;
        Ok(())
    }
}

/// Brings everything to the device that the file system of `dir` still holds back, so that nobody pays for another's writes.
pub(crate) fn sync_all(dir: &Path) -> Result<()> {
    let dir = rustix::fs::open(dir, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).context("--dir")?;
    Ok(rustix::fs::syncfs(dir)?)
}

/// The type of the file system that a folder is on.
pub(crate) fn file_system(dir: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    file_system_in(&mounts, dir).unwrap_or_else(|| "unknown".to_owned())
}

fn file_system_in(mounts: &str, dir: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((Path::new(fields.next()?), fields.next()?))
    });
    // Of several mounts on one place the last one is seen.
    let best =
        mounts.filter(|(place, _)| dir.starts_with(place)).max_by_key(|(place, _)| place.components().count())?;
    Some(best.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\nproc /proc proc rw 0 0\n";
        let of = |dir: &str| file_system_in(mounts, Path::new(dir));
        assert_eq!(of("/var/lib").as_deref(), Some("ext4"));
        assert_eq!(of("/tmp/x").as_deref(), Some("tmpfs"));
        assert_eq!(of("/tmpx").as_deref(), Some("ext4"));
        assert_eq!(file_system_in("", Path::new("/")), None);
    }

    #[test]
    fn buffers_are_aligned() {
        for len in [ALIGN, 3 * ALIGN] {
            let mut aligned = Aligned::new(len);
            assert_eq!((aligned.slice().as_ptr().align_offset(ALIGN), aligned.slice().len()), (0, len));
            assert_eq!(aligned.slice_mut().len(), len);
        }
    }

    #[test]
    fn new_files_grow_and_recycled_ones_stay() {
        for (target, count) in [(Target::NewFiles, 3), (Target::RecycledFiles, 4)] {
            let folder = tempfile::tempdir().unwrap();
            let mut rotation = Rotation::new(folder.path(), target, 4 * MIB as u64).unwrap();
            for _ in 0..5 {
                rotation.write(&[7; MIB / 2]).unwrap();
            }
            let sizes: Vec<u64> =
                std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).collect();
            assert_eq!(sizes.len(), count);
            assert!(sizes.iter().all(|size| *size <= MIB as u64));
        }
    }
}
