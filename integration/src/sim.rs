//! The whole node in a world that is made from a seed: several of them in one thread, on a simulated network, disks and clocks.
//!
//! Equal seeds give equal worlds, to the last event, in a process that does nothing else: what neither turmoil nor the world draws
//! (the keys of hash maps, tokio's and Raft's chances) comes from the process's own source of randomness, which the binary
//! `goatq-sim` seeds before it begins. So that is the way to run one.
//!
//! - [`world`]: phases, and what strikes when. [`nemesis`]: which faults there are; [`ambush`]: one that waits for its moment; [`worn`]: what
//!   of it is borne.
//! - [`machine`]: a disk, clocks and the node on it; `illness`: what its disk goes through; [`net`], [`clock`]: the node's seams.
//! - Clients, what they are told and the verdict on it: [`crate::traffic`].
//! - [`invariants`]: what must be true, one file each. [`defect`]: what is broken on purpose, to see that they notice.

pub mod ambush;
pub mod clock;
pub mod defect;
mod illness;
pub mod invariants;
pub mod machine;
pub mod nemesis;
pub mod net;
pub mod world;
pub mod worn;
