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

/// Faults of a kind. A world has some kinds and lacks others: where all are drawn alike, none strikes often enough to meet another of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Ends,
    Network,
    Delays,
    Clocks,
    Disks,
}

impl Family {
    /// Each as often as it is drawn where all are.
    const WEIGHTED: [(Self, u32); 5] =
        [(Self::Ends, 7), (Self::Network, 5), (Self::Delays, 4), (Self::Clocks, 1), (Self::Disks, 4)];
    /// How often a world has a family.
    const PRESENT: f64 = 0.7;

    /// Those of a world, at least one that lets others fail over.
    fn draw(rng: &mut StdRng) -> Vec<(Self, u32)> {
        let mut drawn = Self::WEIGHTED.to_vec();
        drawn.retain(|_| rng.random_bool(Self::PRESENT));
        if !drawn.iter().any(|(family, _)| matches!(family, Self::Ends | Self::Network | Self::Delays)) {
            drawn.push(Self::WEIGHTED[rng.random_range(0..3)]);
        }
        drawn
    }
}

/// Chooses.
#[derive(Debug)]
pub struct Nemesis {
    rng: StdRng,
    machines: i32,
    disks: Disks,
    families: Vec<(Family, u32)>,
    /// Bits have just flipped here.
    rotted: Option<i32>,
}

impl Nemesis {
    /// Of a world.
    pub fn new(mut rng: StdRng, machines: i32, disks: Disks) -> Self {
        let families = Family::draw(&mut rng);
        Self { rng, machines, disks, families, rotted: None }
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
        let fault = match (rotted, self.family()) {
            // What it finds at its start is not what it had.
            (Some(rotted), _) => Fault::End(rotted, if self.rng.random_bool(0.5) { End::Kill } else { End::PowerCut }),
            (None, Family::Ends) => self.end(node),
            (None, Family::Network) => self.cut(node, other),
            (None, Family::Delays) => self.delay(node, other),
            (None, Family::Clocks) => Fault::Jump(node, self.rng.random_range(-10_000_000..10_000_000)),
            (None, Family::Disks) => self.illness(node),
        };
        if let Fault::Disk(rotten, Illness::Rot) = fault {
            self.rotted = Some(rotten);
        }
        let longest = if self.rng.random_bool(0.2) { 5_000 } else { 1_500 };
        Strike { fault, lasts: Duration::from_millis(self.rng.random_range(20..longest)) }
    }

    fn family(&mut self) -> Family {
        let mut drawn = self.rng.random_range(0..self.families.iter().map(|(_, weight)| weight).sum());
        let found = self.families.iter().find(|(_, weight)| {
            let is_it = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            is_it
        });
        found.map_or(Family::Ends, |(family, _)| *family)
    }

    fn end(&mut self, node: i32) -> Fault {
        match self.rng.random_range(0..7) {
            0..=1 => Fault::End(node, End::Kill),
            2..=4 => Fault::End(node, End::PowerCut),
            5 => Fault::EndAll(End::PowerCut),
            _ => Fault::Stop(node),
        }
    }

    fn cut(&mut self, node: i32, other: i32) -> Fault {
        match self.rng.random_range(0..5) {
            0..=1 => Fault::Isolate(node),
            2 => Fault::Cut(node, other),
            _ => Fault::OneWay(node, other),
        }
    }

    fn delay(&mut self, node: i32, other: i32) -> Fault {
        match self.rng.random_range(0..4) {
            0 => Fault::Hold(node, other),
            1..=2 => Fault::HoldAll(node),
            _ => Fault::Slow(Duration::from_millis(self.rng.random_range(20..150))),
        }
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
