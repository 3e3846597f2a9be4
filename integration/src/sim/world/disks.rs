//! Which disk is ill, and which one was lost.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::super::machine::{Disks, Machine};
use super::super::nemesis::Illness;
use super::super::worn::Worn;
use super::World;

/// How long a node may take to notice that its disk has failed.
const NOTICE: Duration = Duration::from_millis(2_500);

/// The disks that are not well.
#[derive(Debug)]
pub(super) struct Ward {
    kind: Disks,
    /// Who is ill, of what, and until when.
    ill: Option<(i32, Illness, Duration)>,
    /// Whose disk was lost since everything was whole: with two replicas that are needed in sync, no other may be.
    lost: Option<i32>,
    /// A node that goes on after its disk has failed, and since when.
    spared: Option<(i32, Duration)>,
    /// Steps so far.
    steps: u32,
    /// Bits have flipped.
    has_rotted: bool,
}

impl Ward {
    pub(super) fn of(kind: Disks) -> Self {
        Self { kind, ill: None, lost: None, spared: None, steps: 0, has_rotted: false }
    }

    /// Whose disk may hold what cannot be read.
    pub(super) fn rotten(&self) -> Option<i32> {
        match self.kind {
            Disks::Rotten(id) if self.has_rotted => Some(id),
            _ => None,
        }
    }

    /// Whether somebody who reads may have to wait.
    pub(super) fn is_any_slow(&self) -> bool {
        matches!(self.ill, Some((_, Illness::Slow(_), _)))
    }

    pub(super) fn has_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Every replica is in sync.
    pub(super) fn whole(&mut self) {
        self.lost = None;
    }
}

impl World {
    /// Whether a disk falls ill.
    pub(super) fn fall_ill(&mut self, id: i32, illness: Illness, until: Duration) -> bool {
        let fails = matches!(illness, Illness::FailSync | Illness::FailWrite);
        if self.disks.ill.is_some() || (fails && !self.may_lose(id)) {
            return false;
        }
        if self.is_down(id) || !self.machine(id).fall_ill(illness, &mut self.rng) {
            return false;
        }
        self.note(&format!("the disk of {id}: {illness:?}"));
        if illness == Illness::Rot {
            self.disks.has_rotted = true;
            return true;
        }
        if fails {
            self.disks.lost = Some(id);
            self.worn = if self.page_cache { Worn::Torn(id) } else { self.worn };
        }
        self.disks.ill = Some((id, illness, until));
        true
    }

    /// What page caches have is promised while fewer are lost than are needed in sync; who was killed may have lost its own.
    fn may_lose(&self, id: i32) -> bool {
        self.disks.lost.is_none_or(|lost| lost == id) && (!self.page_cache || self.worn == Worn::Not)
    }

    /// Goes on with an illness, or ends it.
    pub(super) fn visit_disks(&mut self, now: Duration) {
        self.spare(now);
        let Some((id, illness, until)) = self.disks.ill else { return };
        if now >= until {
            return self.cure();
        }
        self.disks.steps += 1;
        if let Illness::Slow(steps) = illness
            && self.disks.steps.checked_rem(steps) == Some(0)
        {
            self.machine(id).drag();
        }
    }

    /// A node whose disk failed where nothing relied on it goes on. What it made durable since then is held against it like anybody's.
    fn spare(&mut self, now: Duration) {
        let goes_on = |machine: &Machine| machine.has_failed_disk() && machine.is_serving() && !machine.is_marked();
        let Some(machine) = self.machines.iter().find(|machine| goes_on(machine)).cloned() else {
            self.disks.spared = None;
            return;
        };
        let (id, since) = *self.disks.spared.get_or_insert((machine.id, now));
        if id == machine.id && now >= since + NOTICE {
            self.note(&format!("{} goes on: nothing relied on what failed", machine.host));
            machine.forgive();
            self.disks.spared = None;
        }
    }

    /// All disks are well again, or have failed.
    pub(super) fn cure(&mut self) {
        if let Some((id, illness, _)) = self.disks.ill.take() {
            self.note(&format!("over: {illness:?} of {id}"));
            self.machine(id).recover();
        }
    }

    /// A machine whose disk has failed gets another one, sometimes after it was tried once more.
    pub(super) fn look_after_failed_disk(&mut self, machine: &Arc<Machine>) {
        if !machine.has_failed_disk() || (machine.is_marked() && self.rng.random_bool(0.3)) {
            return;
        }
        self.note(&format!("{} gets an empty disk", machine.host));
        machine.replace_disk();
        self.disks.lost = Some(machine.id);
    }
}
