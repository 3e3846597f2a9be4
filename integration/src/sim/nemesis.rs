//! Chooses faults, by seed: what strikes, whom, when, and for how long.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::machine::{Disks, End};

/// What is kept free for what clients do not write (`log.dir.reserve.bytes`).
pub const RESERVE: u64 = 256 << 10;

/// How often a node ends without order soon after its bits have flipped.
const ENDS_ROTTEN: f64 = 0.7;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A node ends and starts again after a while.
    End(i32, End),
    /// All nodes end at once.
    EndAll(End),
    /// A node is asked to stop, and starts again after a while.
    Stop(i32),
    /// Whatever is sent between a node and all others, clients included, is lost.
    Isolate(i32),
    /// Whatever is sent between two nodes is lost; others reach both of them.
    Cut(i32, i32),
    /// Whatever one node sends to another is lost.
    OneWay(i32, i32),
    /// Whatever is sent between two nodes arrives later.
    Hold(i32, i32),
    /// Everything sent to or by a node arrives later: as others see it, the node is paused.
    HoldAll(i32),
    /// The network is slow.
    Slow(Duration),
    /// A wall clock is set, by so many milliseconds.
    Jump(i32, i64),
    /// Something is wrong with a node's disk.
    Disk(i32, Illness),
}

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Illness {
    /// There is room for so many bytes more.
    Full(u64),
    /// What is to be synced takes so many steps, or, if there are none, does not end at all.
    Slow(u32),
    /// The next sync fails, for good: the disk is replaced by an empty one.
    FailSync,
    /// The next write fails, for good.
    FailWrite,
    /// A bit of something old is another.
    Rot,
}

/// A fault, and how long it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strike {
    /// What it is.
    pub fault: Fault,
    /// For how long.
    pub lasts: Duration,
}

/// Nodes that matter more than others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles {
    /// The active controller.
    pub controller: Option<i32>,
    /// Leads a partition of the load.
    pub leader: Option<i32>,
}

/// Chooses.
#[derive(Debug)]
pub struct Nemesis {
    rng: StdRng,
    machines: i32,
    disks: Disks,
    /// Bits have just flipped here.
    rotted: Option<i32>,
}

impl Nemesis {
    /// Of a world.
    pub fn new(rng: StdRng, machines: i32, disks: Disks) -> Self {
        Self { rng, machines, disks, rotted: None }
    }

    /// There is one machine more.
    pub fn welcome(&mut self) {
        self.machines += 1;
    }

    /// The pause before the next fault.
    pub fn pause(&mut self) -> Duration {
        let longest = if self.rng.random_bool(0.25) { 3_000 } else { 900 };
        Duration::from_millis(self.rng.random_range(50..longest))
    }

    /// The next fault.
    pub fn choose(&mut self, roles: Roles) -> Strike {
        let any = self.rng.random_range(1..=self.machines);
        let node = match self.rng.random_range(0..4) {
            0 => roles.controller.unwrap_or(any),
            1 => roles.leader.unwrap_or(any),
            _ => any,
        };
        let other = (node + self.rng.random_range(1..self.machines) - 1) % self.machines + 1;
        let rotted = self.rotted.take().filter(|_| self.rng.random_bool(ENDS_ROTTEN));
        let fault = match self.rng.random_range(0..21) {
            // What it finds at its start is not what it had.
            kind if rotted.is_some() => {
                let how = if kind % 2 == 0 { End::Kill } else { End::PowerCut };
                Fault::End(rotted.unwrap_or(node), how)
            }
            0..=1 => Fault::End(node, End::Kill),
            2..=4 => Fault::End(node, End::PowerCut),
            5 => Fault::EndAll(End::PowerCut),
            6 => Fault::Stop(node),
            7..=8 => Fault::Isolate(node),
            9 => Fault::Cut(node, other),
            10..=11 => Fault::OneWay(node, other),
            12 => Fault::Hold(node, other),
            13..=14 => Fault::HoldAll(node),
            15 => Fault::Slow(Duration::from_millis(self.rng.random_range(20..150))),
            16 => Fault::Jump(node, self.rng.random_range(-10_000_000..10_000_000)),
            _ => self.illness(node),
        };
        if let Fault::Disk(rotten, Illness::Rot) = fault {
            self.rotted = Some(rotten);
        }
        let longest = if self.rng.random_bool(0.2) { 5_000 } else { 1_500 };
        Strike { fault, lasts: Duration::from_millis(self.rng.random_range(20..longest)) }
    }

    fn illness(&mut self, node: i32) -> Fault {
        match (self.disks, self.rng.random_range(0..4)) {
            (Disks::Lost, 0) => Fault::Disk(node, Illness::FailSync),
            (Disks::Lost, 1) => Fault::Disk(node, Illness::FailWrite),
            (Disks::Rotten(rotten), 0..=1) => Fault::Disk(rotten, Illness::Rot),
            (_, 0..=1) => Fault::Disk(node, Illness::Full(self.rng.random_range(0..2 * RESERVE))),
            (_, 2) => Fault::Disk(node, Illness::Slow(0)),
            _ => Fault::Disk(node, Illness::Slow(self.rng.random_range(2..40))),
        }
    }
}
