//! Chooses faults, by seed: what strikes, whom, when, and for how long.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::machine::End;

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
}

/// A fault, and how long it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strike {
    /// What it is.
    pub fault: Fault,
    /// For how long.
    pub lasts: Duration,
}

/// Chooses.
#[derive(Debug)]
pub struct Nemesis {
    rng: StdRng,
    machines: i32,
}

impl Nemesis {
    /// Of a world.
    pub fn new(rng: StdRng, machines: i32) -> Self {
        Self { rng, machines }
    }

    /// The pause before the next fault.
    pub fn pause(&mut self) -> Duration {
        let longest = if self.rng.random_bool(0.25) { 3_000 } else { 900 };
        Duration::from_millis(self.rng.random_range(50..longest))
    }

    /// The next fault.
    pub fn choose(&mut self) -> Strike {
        let node = self.rng.random_range(1..=self.machines);
        let other = (node + self.rng.random_range(1..self.machines) - 1) % self.machines + 1;
        let fault = match self.rng.random_range(0..16) {
            0..=1 => Fault::End(node, End::Kill),
            2..=4 => Fault::End(node, End::PowerCut),
            5 => Fault::EndAll(End::PowerCut),
            6 => Fault::Stop(node),
            7..=8 => Fault::Isolate(node),
            9..=10 => Fault::OneWay(node, other),
            11 => Fault::Hold(node, other),
            12..=13 => Fault::HoldAll(node),
            14 => Fault::Slow(Duration::from_millis(self.rng.random_range(20..150))),
            _ => Fault::Jump(node, self.rng.random_range(-10_000_000..10_000_000)),
        };
        let longest = if self.rng.random_bool(0.2) { 5_000 } else { 1_500 };
        Strike { fault, lasts: Duration::from_millis(self.rng.random_range(20..longest)) }
    }
}
