//! When the balancer has something to do: pure, time is an argument (monotonic, since any fixed moment).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{BalanceMode, BalanceSettings, Goals};
use crate::image::MetadataImage;

/// Between two looks at a cluster that is being put right.
const PACE: Duration = Duration::from_millis(250);
/// Between two looks at a cluster in which something is lost, where all that can be done is done.
const REST: Duration = Duration::from_secs(5);

/// What is to be done now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Brokers that have been away for too long.
    pub lost: BTreeSet<i32>,
    /// What a plan is to be made for.
    pub goals: Option<Goals>,
    /// Whether preferred leaders get back what they led.
    pub leaders: bool,
}

/// The leader's memory of when things happened. A new leader begins with a new one: whoever is away then has all of the delay.
#[derive(Debug, Default)]
pub struct Turns {
    away: BTreeMap<i32, Duration>,
    known: BTreeSet<i32>,
    /// When evenness is looked at next; `None` before the first look.
    next_even: Option<Duration>,
    next_leaders: Option<Duration>,
    /// Brokers are being made even until there is nothing left to do.
    evening: bool,
    /// Something may be on brokers that are not registered any more.
    left: bool,
    /// Not before.
    next_look: Duration,
    /// The metadata that was looked at last and who was lost, if nothing had to be done.
    idle_at: Option<(i64, BTreeSet<i32>)>,
    lost: BTreeSet<i32>,
    /// There is something to be done, now or at the next look.
    working: bool,
}

impl Turns {
    /// What there is to do now.
    pub fn look(&mut self, image: &MetadataImage, settings: &BalanceSettings, now: Duration) -> Look {
        let away = image.brokers.iter().filter(|broker| broker.fenced).map(|broker| broker.id);
        let before = std::mem::take(&mut self.away);
        self.away = away.map(|id| (id, before.get(&id).copied().unwrap_or(now))).collect();
        let known: BTreeSet<i32> = image.brokers.iter().map(|broker| broker.id).collect();
        self.left |= self.next_even.is_none() || !known.is_superset(&self.known);
        self.known = known;
        let next_even = *self.next_even.get_or_insert(now.saturating_add(settings.interval));
        // A shorter interval counts at once.
        let next_even = next_even.min(now.saturating_add(settings.interval));
        self.next_even = Some(next_even);
        self.evening |= next_even <= now;
        let next_leaders = *self.next_leaders.get_or_insert(now.saturating_add(settings.leader_interval));
        let leaders = settings.restore_leaders && next_leaders <= now;
        if next_leaders <= now {
            self.next_leaders = Some(now.saturating_add(settings.leader_interval));
        }
        let gone = self.away.iter().filter(|(_, since)| now.saturating_sub(**since) >= settings.repair_delay);
        let lost: BTreeSet<i32> = gone.map(|(id, _)| *id).collect();
        let repair = self.left || !lost.is_empty() || settings.drain.iter().any(|id| self.known.contains(id));
        let goals = match settings.mode {
            BalanceMode::Off => None,
            BalanceMode::Even if self.evening => Some(Goals::Even),
            BalanceMode::Even | BalanceMode::Repair => repair.then_some(Goals::Repair),
        };
        let idle = self.idle_at.as_ref().is_some_and(|(at, known)| *at == image.changed_index && *known == lost);
        self.working = goals.is_some_and(|goals| goals == Goals::Even || !idle);
        self.lost.clone_from(&lost);
        let goals = goals.filter(|_| now >= self.next_look && self.working);
        Look { lost, goals, leaders }
    }

    /// A plan was made, of so many changes, while replicas were being moved or not.
    pub fn planned(
        &mut self,
        image: &MetadataImage,
        settings: &BalanceSettings,
        changes: usize,
        moving: bool,
        now: Duration,
    ) {
        let busy = changes > 0 || moving;
        self.next_look = now.saturating_add(if busy { PACE } else { REST });
        self.idle_at = (!busy).then(|| (image.changed_index, self.lost.clone()));
        self.working = busy;
        if !busy {
            self.left = false;
            if self.evening {
                self.evening = false;
                self.next_even = Some(now.saturating_add(settings.interval));
            }
        }
    }

    /// When to look again if nothing changes until then. What changes in between can wait for [`Turns::PACE`].
    pub fn wake(&self, settings: &BalanceSettings, now: Duration) -> Duration {
        let ends = self.away.values().map(|since| since.saturating_add(settings.repair_delay));
        let lost = ends.filter(|end| *end > now).min();
        let working = self.working.then_some(self.next_look);
        let restored = self.next_leaders.filter(|_| settings.restore_leaders);
        let next = [lost, working, self.next_even, restored].into_iter().flatten().min();
        next.unwrap_or(now.saturating_add(settings.interval)).max(now.saturating_add(PACE))
    }

    /// How long a change of the metadata may wait before it is looked at.
    pub const PACE: Duration = PACE;
}
