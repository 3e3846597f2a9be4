//! Disks that are full, slow, rotten, or fail and are replaced.

use std::path::{Path, PathBuf};

use goatq_storage::io::Disk;
use goatq_storage::io::sim::Fault;
use goatq_storage::log_dir::health::POISON_MARKER;
use rand::RngExt;
use rand::rngs::StdRng;

use super::machine::{DATA, Machine, State};
use super::nemesis::Illness;
use crate::traffic::LOAD;

/// The size of disks where there is room.
const ROOM: u64 = 1 << 40;
/// Files that are slow: what all acknowledgements wait for.
const SLOW: &str = ".goatq-journal";
/// Bits that flip at once.
const FLIPS: u32 = 2;

/// What is wrong with a machine's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing that a node does not bear.
    None,
    /// There is no room.
    Full,
    /// It is about to fail.
    Failing,
    /// It has failed: whatever it says from now on is not true. It has to be replaced.
    Failed,
}

impl Trouble {
    /// Whether a node need not start.
    pub(super) fn excuses_start(self) -> bool {
        self != Self::None
    }

    /// Whether a node need not go on.
    pub(super) fn excuses_end(self) -> bool {
        matches!(self, Self::Failing | Self::Failed)
    }
}

impl State {
    /// Finds out whether a fault has struck by now. To be called before a disk loses its faults.
    pub(super) fn look(&mut self) {
        if self.trouble == Trouble::Failing {
            self.trouble = if self.disk.planned() == 0 { Trouble::Failed } else { Trouble::Failing };
        }
    }
}

impl Machine {
    /// What is wrong with its disk now.
    pub(super) fn trouble(&self) -> Trouble {
        let mut state = self.state.lock();
        state.look();
        state.trouble
    }

    /// Its disk falls ill; whether it could.
    pub(super) fn fall_ill(&self, illness: Illness, rng: &mut StdRng) -> bool {
        let mut state = self.state.lock();
        state.look();
        if state.trouble != Trouble::None {
            return false;
        }
        match illness {
            Illness::Full(left) => {
                state.disk.set_capacity(state.disk.used() + left);
                (state.trouble, state.has_been_full) = (Trouble::Full, true);
            }
            Illness::Slow(_) => state.disk.stall(SLOW),
            Illness::FailSync | Illness::FailWrite => {
                let part = DATA.to_owned();
                let sync = illness == Illness::FailSync;
                state.disk.inject(if sync { Fault::FailSync(part) } else { Fault::FailWrite(part) });
                state.trouble = Trouble::Failing;
            }
            Illness::Rot => return flip(&state, rng),
        }
        true
    }

    /// Whether a node need not go on for this reason: on a disk that was full only when not even the reserve was left for its metadata log.
    pub(super) fn excuses(&self, reason: &str) -> bool {
        let without_room = reason.ends_with("metadata log: there is no room on the disk");
        self.trouble().excuses_end() || (without_room && self.state.lock().has_been_full)
    }

    /// What has passed through a slow disk by now has done so; what comes now waits.
    pub(super) fn drag(&self) {
        self.state.lock().disk.stall(SLOW);
    }

    /// An illness is over, but for a disk that has failed.
    pub(super) fn recover(&self) {
        let mut state = self.state.lock();
        state.look();
        state.disk.go_on();
        state.disk.set_capacity(ROOM);
        if state.trouble != Trouble::Failed {
            state.disk.heal();
            state.trouble = Trouble::None;
        }
    }

    /// Whether its disk has failed.
    pub(super) fn has_failed_disk(&self) -> bool {
        self.trouble() == Trouble::Failed
    }

    /// Its disk may be trusted again.
    pub(super) fn forgive(&self) {
        self.state.lock().trouble = Trouble::None;
    }

    /// Whether the folder of its partitions says that it has failed.
    pub(super) fn is_marked(&self) -> bool {
        self.state.lock().disk.exists(&Path::new(DATA).join(POISON_MARKER)).unwrap_or(false)
    }

    /// An empty disk takes the place of that of the partitions.
    pub(super) fn replace_disk(&self) {
        let mut state = self.state.lock();
        // Only a life that has ended uses the old one.
        state.disk = state.disk.restart();
        let replaced = state.disk.remove_dir_all(Path::new(DATA)).and_then(|()| state.disk.sync_dir(Path::new("/")));
        replaced.expect("a disk that is on has its folders");
        state.trouble = Trouble::None;
    }
}

/// Flips bits in a segment of the load that does not grow any more; whether there is one.
fn flip(state: &State, rng: &mut StdRng) -> bool {
    let data = Path::new(DATA);
    let list = |path: &Path| state.disk.list(path).unwrap_or_default();
    let mut sealed: Vec<(PathBuf, u64)> = Vec::new();
    for dir in list(data).iter().filter(|entry| entry.is_dir && entry.name.starts_with(LOAD)) {
        let dir = data.join(&dir.name);
        let mut segments = list(&dir);
        segments.retain(|entry| entry.name.ends_with(".log") && entry.len > 0);
        segments.pop();
        sealed.extend(segments.into_iter().map(|entry| (dir.join(entry.name), entry.len)));
    }
    if sealed.is_empty() {
        return false;
    }
    let (path, len) = &sealed[rng.random_range(0..sealed.len())];
    (0..FLIPS).all(|_| {
        let (offset, bit) = (rng.random_range(0..*len), rng.random_range(0..8));
        state.disk.flip_bit(path, offset, bit).is_ok()
    })
}
