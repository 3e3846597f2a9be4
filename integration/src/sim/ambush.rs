//! A strike that waits for its moment: a follower loses what it had not synced just when its leader reports that it has caught up, and the
//! report arrives when the follower is back. Chance alone brings this about too seldom.
//!
//! 1. What a leader says to the active controller is held, while a follower of it is out of sync and comes back.
//! 2. It has caught up, and the leader reports so. The follower loses power, and is cut off from its leader when it returns.
//! 3. The controller lets the follower serve. Only now the report arrives, and a little later the follower reaches its leader.
//!
//! Pure: it sees what nodes have, and says what is to be done.

use std::time::Duration;

use super::invariants::Sight;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_millis(700);
/// How long a report may be under way.
const REPORT: Duration = Duration::from_millis(30);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// What is sent between two nodes is held.
    Hold(i32, i32),
    /// It arrives.
    Release(i32, i32),
    /// A node loses power, and starts again soon.
    Cut(i32),
}

/// Who plays which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cast {
    leader: i32,
    follower: i32,
    controller: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The follower is about to catch up.
    Waiting,
    /// It has.
    Reported,
    /// It has lost power.
    Lost { life: u32 },
    /// The report arrives.
    Arriving,
}

/// An ambush under way.
#[derive(Debug)]
pub struct Ambush {
    cast: Cast,
    step: Step,
    since: Duration,
}

impl Ambush {
    /// Begins one, where there is occasion.
    pub fn lay(nodes: &[Sight], now: Duration) -> Option<(Self, Move)> {
        let newest = nodes.iter().max_by_key(|sight| sight.node.image().applied_index)?;
        let image = newest.node.image();
        let controller = newest.node.controller().status().leader?;
        let runs = |id: i32| nodes.iter().any(|sight| sight.id == id);
        for partition in image.topics.iter().flat_map(|topic| &topic.partitions) {
            let leader = partition.leader;
            let mut outside = partition.replicas.iter().filter(|id| !partition.isr.contains(id));
            let follower = outside.find(|id| runs(**id) && **id != controller);
            if let Some(follower) = follower.filter(|_| runs(leader) && runs(controller) && leader != controller) {
                let cast = Cast { leader, follower: *follower, controller };
                return Some((Self { cast, step: Step::Waiting, since: now }, Move::Hold(leader, controller)));
            }
        }
        None
    }

    /// The next step, if its moment has come. Nothing more once [`Self::is_over`].
    pub fn next(&mut self, nodes: &[Sight], now: Duration) -> Vec<Move> {
        let Cast { leader, follower, controller } = self.cast;
        let waited = now.saturating_sub(self.since);
        let seen = |id: i32| nodes.iter().find(|sight| sight.id == id);
        let serves = || {
            let newest = nodes.iter().map(|sight| sight.node.image()).max_by_key(|image| image.applied_index);
            newest.is_some_and(|image| image.brokers.may_lead(follower))
        };
        let (next, moves) = match self.step {
            Step::Waiting if serves() && self.has_caught_up(nodes) => (Step::Reported, vec![]),
            Step::Reported if waited >= REPORT => {
                let Some(sight) = seen(follower) else { return self.give_up(now) };
                (Step::Lost { life: sight.life }, vec![Move::Cut(follower), Move::Hold(follower, leader)])
            }
            Step::Lost { life } if serves() && seen(follower).is_some_and(|sight| sight.life > life) => {
                (Step::Arriving, vec![Move::Release(leader, controller)])
            }
            Step::Arriving if waited >= REPORT * 5 => return self.give_up(now),
            _ if waited > PATIENCE => return self.give_up(now),
            _ => return Vec::new(),
        };
        (self.step, self.since) = (next, now);
        moves
    }

    /// Takes back whatever was done.
    pub fn give_up(&mut self, now: Duration) -> Vec<Move> {
        let Cast { leader, follower, controller } = self.cast;
        let moves = match self.step {
            Step::Waiting | Step::Reported => vec![Move::Release(leader, controller)],
            Step::Lost { .. } => vec![Move::Release(leader, controller), Move::Release(follower, leader)],
            Step::Arriving => vec![Move::Release(follower, leader)],
        };
        self.since = now;
        self.cast.leader = 0;
        moves
    }

    /// Whether all of it is done, or given up.
    pub fn is_over(&self) -> bool {
        self.cast.leader == 0
    }

    fn has_caught_up(&self, nodes: &[Sight]) -> bool {
        let Cast { leader, follower, .. } = self.cast;
        let of = |id: i32| nodes.iter().find(|sight| sight.id == id);
        let (Some(leading), Some(following)) = (of(leader), of(follower)) else { return false };
        let led = leading.node.partitions().all();
        let mut outside =
            led.iter().filter(|partition| partition.leader().0 == leader && partition.log_end_offset() > 0);
        outside.any(|partition| {
            let other = following.node.partitions().get_by_id(partition.topic_id(), partition.index());
            other.is_some_and(|other| other.log_end_offset() >= partition.high_watermark())
        })
    }
}
