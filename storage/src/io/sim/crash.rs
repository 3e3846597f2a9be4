//! What a power cut leaves of a simulated disk.

use std::{path::Path, sync::Arc};

use parking_lot::Mutex;
use rand::{Rng, RngExt};

use super::{
    node::{Change, DirNode, FileNode, NameChange, Names, Node},
    sparse::SparseBytes,
};

/// What a disk writes whole or not at all, in bytes.
pub const SECTOR: u64 = 512;

/// How one power cut treats what was not synced. Drawn per crash, so that seeds cover the pure cases too.
#[derive(Clone, Copy, Debug)]
enum Mood {
    /// Nothing unsynced survives.
    LoseAll,
    /// All of it does, as if the kernel had just written everything back.
    KeepAll,
    /// Each change for itself: kept, lost or torn.
    Mixed { keep: f64, tear: f64 },
}

/// The tree as found at the next start.
pub(super) fn image(root: &DirNode, rng: &mut impl Rng) -> DirNode {
    let mood = match rng.random_range(0..8u8) {
        0 => Mood::LoseAll,
        1 => Mood::KeepAll,
        _ => Mood::Mixed { keep: rng.random_range(0.0..1.0), tear: rng.random_range(0.0..0.7) },
    };
    image_of_dir(root, Path::new("/"), mood, rng)
}

fn image_of_dir(dir: &DirNode, path: &Path, mood: Mood, rng: &mut impl Rng) -> DirNode {
    let mut names = Names::new();
    for (name, node) in surviving_names(dir, mood, rng) {
        let path = path.join(&name);
        let survivor = match node {
            Node::Dir(inner) => Node::Dir(Arc::new(Mutex::new(image_of_dir(&inner.lock(), &path, mood, rng)))),
            Node::File(file) => {
                let content = surviving_content(&file.lock(), mood, rng);
                Node::File(Arc::new(Mutex::new(FileNode::settled(path, content))))
            }
        };
        names.insert(name, survivor);
    }
    DirNode::settled(names)
}

/// Half of the mixed crashes keep a prefix of the changes of names, as a journal does, the others any subset, which POSIX allows.
fn surviving_names(dir: &DirNode, mood: Mood, rng: &mut impl Rng) -> Names {
    let mut names = dir.durable.clone();
    let pending: Vec<&NameChange> = dir.pending().iter().collect();
    match mood {
        Mood::LoseAll => {}
        Mood::KeepAll => pending.iter().for_each(|change| change.apply(&mut names)),
        Mood::Mixed { .. } if rng.random_bool(0.5) => {
            let kept = rng.random_range(0..=pending.len());
            pending[..kept].iter().for_each(|change| change.apply(&mut names));
        }
        Mood::Mixed { keep, .. } => {
            pending.iter().filter(|_| rng.random_bool(keep)).for_each(|change| change.apply(&mut names));
        }
    }
    names
}

fn surviving_content(file: &FileNode, mood: Mood, rng: &mut impl Rng) -> SparseBytes {
    let mut content = file.durable.clone();
    match mood {
        Mood::LoseAll => {}
        Mood::KeepAll => file.pending().for_each(|change| change.apply(&mut content)),
        Mood::Mixed { keep, tear } => {
            let synced_len = file.durable.len();
            for change in file.pending() {
                match change {
                    Change::Write { offset, data } if rng.random_bool(tear) => {
                        write_torn(&mut content, synced_len, *offset, data, rng);
                    }
                    change if rng.random_bool(keep) => change.apply(&mut content),
                    _ => {}
                }
            }
            // The length is metadata and may arrive before the data: the tail then reads as zeros.
            if content.len() < file.live.len() && rng.random_ratio(1, 4) {
                content.set_len(file.live.len());
            }
        }
    }
    content
}

/// Writes some of the sectors of a write. A sector that never held synced bytes may also come out as garbage: whatever the
/// newly allocated block held before.
fn write_torn(content: &mut SparseBytes, synced_len: u64, offset: u64, data: &[u8], rng: &mut impl Rng) {
    let prefix_only = rng.random_bool(0.5);
    let garbage = rng.random_ratio(1, 4);
    let end = offset + data.len() as u64;
    let cut = rng.random_range(offset..=end);
    let mut at = offset;
    while at < end {
        let sector_end = ((at / SECTOR + 1) * SECTOR).min(end);
        let kept = if prefix_only { sector_end <= cut } else { rng.random_bool(0.5) };
        let part = &data[(at - offset) as usize..(sector_end - offset) as usize];
        if kept {
            content.write(at, part);
        } else if garbage && at / SECTOR * SECTOR >= synced_len && rng.random_bool(0.3) {
            let mut noise = vec![0; part.len()];
            rng.fill_bytes(&mut noise);
            content.write(at, &noise);
        }
        at = sector_end;
    }
}
