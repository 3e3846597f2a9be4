//! The whole node in a world that is made from a seed: several of them in one thread, on a simulated network, disks and clocks.
//!
//! Equal seeds give equal worlds, to the last event, in a process that does nothing else: what neither turmoil nor the world draws
//! (the keys of hash maps, tokio's and Raft's chances) comes from the process's own source of randomness, which the binary
//! `goatq-sim` seeds before it begins. So that is the way to run one.
//!
//! - [`world`]: phases, and what strikes when. [`nemesis`]: which faults there are.
//! - [`machine`]: a disk, clocks and the node on it; [`net`], [`clock`]: the node's seams.
//! - [`workload`]: clients; [`client`]: how they reach nodes; [`history`]: what they were told and saw; [`trace`]: all that happened.
//! - [`invariants`]: what must be true, one file each. [`defect`]: what is broken on purpose, to see that they notice.

pub mod client;
pub mod clock;
pub mod defect;
pub mod history;
pub mod invariants;
pub mod machine;
pub mod nemesis;
pub mod net;
pub mod trace;
pub mod workload;
pub mod world;
