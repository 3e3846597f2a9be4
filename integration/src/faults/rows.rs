//! The table of rows.

use super::ground::Kind;
use super::row::clocks::Jump;
use super::row::cutting::{Cut, DropTo, Flap, OneWay, Reset};
use super::row::disks::{Broken, Failure, Full, Slow};
use super::row::ending::{Kill, Pause, Stop};
use super::row::files::{Derived, Wrong};
use super::row::limits::{Files, Memory, NoRing};
use super::row::members::Members;
use super::row::power::{Image, PowerCut};
use super::row::{Fault, clocks, disks, limits};
use super::volume;

/// A row of the fault matrix.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its number.
    pub number: u8,
    /// What strikes.
    pub name: &'static str,
    /// What is expected besides what is expected of all: nothing acknowledged is lost, nothing is there twice, replicas are equal, clients
    /// recover, writes go on within ten seconds of healing.
    pub expects: &'static str,
    /// How nodes are connected.
    pub ground: Kind,
    /// Brokers and controllers are processes of their own.
    pub split: bool,
    /// Whether this machine has what the fault is made with.
    pub needs: fn() -> anyhow::Result<()>,
    /// The fault.
    pub fault: fn() -> Box<dyn Fault>,
}

const fn row(number: u8, name: &'static str, expects: &'static str, fault: fn() -> Box<dyn Fault>) -> Row {
    Row { number, name, expects, ground: Kind::Bridge, split: false, needs: || Ok(()), fault }
}

/// All rows.
pub const ROWS: &[Row] = &[
    row(1, "kill -9: leader, follower, leader of the quorum, all", "", || Box::<Kill>::default()),
    row(2, "SIGTERM, rolling restart", "processes end in order", || Box::<Stop>::default()),
    row(3, "pause: 5, 14 and 60 s", "", || Box::<Pause>::default()),
    row(4, "partitions: isolated, ring, all", "", || Box::<Cut>::default()),
    row(5, "one-way partitions", "at most 3 terms of the quorum each", || Box::<OneWay>::default()),
    Row { ground: Kind::Loopback, ..row(6, "an address that leads nowhere", "", || Box::<DropTo>::default()) },
    row(7, "connections reset and refused", "", || Box::<Reset>::default()),
    row(10, "link flaps", "", || Box::<Flap>::default()),
    Row {
        needs: volume::needs,
        ..row(11, "power cuts: shutdown ioctl, ext4 and XFS", "", || Box::<PowerCut>::default())
    },
    Row { needs: volume::needs, ..row(12, "power cuts: images of running nodes", "", || Box::<Image>::default()) },
    Row {
        split: true,
        needs: volume::needs,
        ..row(14, "a device without room: syncs fail once", "the broker ends, others lead", || {
            Box::new(Broken::new(Failure::Thin))
        })
    },
    Row {
        split: true,
        needs: volume::needs,
        ..row(15, "what was written cannot be read", "", || Box::new(Broken::new(Failure::Read)))
    },
    Row {
        needs: volume::needs,
        ..row(16, "no room on the disk: one, all", "no process ends", || Box::<Full>::default())
    },
    Row {
        split: true,
        needs: volume::needs,
        ..row(17, "writes fail: limit on the size of files", "the broker ends, others lead", || {
            Box::new(Broken::new(Failure::Limit))
        })
    },
    Row {
        needs: || volume::needs().and_then(|()| disks::can_be_slow()),
        ..row(18, "a slow disk: 256 KiB/s", "who is held up by it hands over within 30 s", || Box::<Slow>::default())
    },
    row(20, "indexes and checkpoints gone, too long, old", "", || Box::<Derived>::default()),
    Row {
        split: true,
        ..row(21, "disks swapped, empty, older", "swapped ones are refused", || Box::<Wrong>::default())
    },
    Row {
        needs: clocks::can_jump,
        ..row(22, "wall clocks jump: an hour, back, a day", "no election", || Box::<Jump>::default())
    },
    Row {
        needs: limits::can_limit_memory,
        ..row(23, "192 MiB of memory, 500 slow consumers", "no process ends", || Box::<Memory>::default())
    },
    row(24, "512 open files, 1,000 connections", "no process ends", || Box::<Files>::default()),
    Row {
        needs: limits::can_refuse_calls,
        ..row(25, "no io_uring, with kill -9", "nodes say so", || Box::<NoRing>::default())
    },
    row(28, "membership: brokers and voters come, go, are replaced", "one change at a time", || {
        Box::<Members>::default()
    }),
];

/// The row of a number.
pub fn numbered(number: u8) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.number == number)
}
