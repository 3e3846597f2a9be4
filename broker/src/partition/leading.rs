//! The partition under its leader: assignments, what followers fetch, who is in sync.

use std::sync::atomic::Ordering;
use std::time::Duration;

use goatq_controller::planted::Planted;
use goatq_protocol::Uuid;
use parking_lot::MutexGuard;

use super::{Assignment, Partition};
use crate::replication::follower::Follower;
use crate::replication::leader::{
    Effects, FollowerFetch, FollowerRefusal, FollowerState, IsrAnswer, IsrProposal, Leader, LeaderStart, Replicas,
    Standing,
};

/// What the leader of a partition asks of the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionProposal {
    /// Id of the topic.
    pub topic_id: Uuid,
    /// Index of the partition.
    pub index: i32,
    /// The in-sync replicas that it shall have.
    pub proposal: IsrProposal,
}

impl Partition {
    /// Takes the controller's decision about leadership and replicas. Older epochs are ignored (invariant 3).
    pub fn assign(&self, assignment: Assignment<'_>, now: Duration) {
        let mut follower = self.follower.lock();
        let mut leader = self.leader.lock();
        let known = self.leader_epoch();
        if assignment.leader_epoch < known {
            return;
        }
        let Assignment { partition_epoch, replicas, isr, adding, .. } = assignment;
        self.moves.store(!adding.is_empty(), Ordering::Release);
        self.arrives.store(adding.contains(&self.context.node_id), Ordering::Release);
        self.replicated.store(replicas.len() > 1, Ordering::Release);
        let replicas = Replicas { partition_epoch, replicas, isr };
        let effects = if assignment.leader_epoch == known {
            self.lead_on(&mut leader, |leader| leader.on_replicas(replicas, now))
        } else {
            let leads = assignment.leader == self.context.node_id;
            self.leader_id.store(assignment.leader, Ordering::Release);
            self.leader_epoch.store(assignment.leader_epoch, Ordering::Release);
            self.is_leader.store(leads, Ordering::Release);
            let high_watermark = self.high_watermark.reached();
            let followed = !leads && assignment.leader >= 0;
            if followed && self.context.planted.is_some_and(Planted::cuts_to_high_watermark) {
                let _ = self.log().truncate_to(high_watermark);
            }
            let pause = self.context.fetch_backoff;
            let new = Follower::new(assignment.leader_epoch, high_watermark, pause);
            *follower = followed.then(|| new.after_unclean(assignment.unclean_epoch));
            let begun = leads.then(|| Leader::new(self.leader_start(assignment.leader_epoch), replicas, now));
            if leads && assignment.unclean_epoch == assignment.leader_epoch {
                let end = self.log().log_end_offset();
                tracing::warn!(partition = ?self, end, "elected unclean: what others have beyond that is lost");
            }
            let (new, effects) = begun.unzip();
            *leader = new;
            // Nobody waits on in an epoch that is over.
            self.log_end.restart(self.log().log_end_offset());
            self.durable.restart(self.log().durable_end());
            self.high_watermark.restart(high_watermark);
            effects
        };
        self.take(leader, effects);
        if assignment.leader_epoch > known {
            self.nudge_readers();
        }
    }

    fn leader_start(&self, epoch: i32) -> LeaderStart {
        LeaderStart {
            node: self.context.node_id,
            epoch,
            log_end: self.log().log_end_offset(),
            durable_end: self.log().durable_end(),
            high_watermark: self.high_watermark.reached(),
            min_insync: self.config().min_insync_replicas,
            max_lag: self.context.max_lag,
        }
    }

    /// Carries out what the leader's state asks for, without its lock.
    pub(super) fn take(&self, leader: MutexGuard<'_, Option<Leader>>, effects: Option<Effects>) {
        drop(leader);
        let Some(Effects { high_watermark, proposal }) = effects else { return };
        self.publish(high_watermark);
        if let Some(proposal) = proposal {
            let proposal = PartitionProposal { topic_id: self.name.topic_id, index: self.name.index, proposal };
            // Nobody listens when the node stops.
            let _ = self.context.proposals.send(proposal);
        }
    }

    /// An event of the leader that may change who is in sync: if it does, people are told.
    fn lead_on(&self, leader: &mut Option<Leader>, event: impl FnOnce(&mut Leader) -> Effects) -> Option<Effects> {
        let leader = leader.as_mut()?;
        let before = leader.isr().to_vec();
        let effects = event(leader);
        let after = leader.isr();
        let without = |these: &[i32], those: &[i32]| these.iter().any(|id| !those.contains(id));
        let (shrinks, expands) = (without(&before, after), without(after, &before));
        self.context.counts.isr_shrinks.add(u64::from(shrinks));
        self.context.counts.isr_expands.add(u64::from(expands));
        if shrinks || expands {
            tracing::info!(partition = ?self, ?before, ?after, leader_epoch = leader.epoch(), "other replicas are in sync");
        }
        Some(effects)
    }

    /// Followers in sync that have everything below `offset`: a consumer may read from them (KIP-392).
    pub fn readable_followers(&self, offset: i64) -> Vec<FollowerState> {
        self.leader.lock().as_ref().map_or_else(Vec::new, |leader| leader.followers_with(offset).collect())
    }

    /// Whether a follower is in sync as far as this leader knows.
    pub fn is_in_sync(&self, node: i32) -> bool {
        self.leader.lock().as_ref().is_some_and(|leader| leader.isr().contains(&node))
    }

    /// Whether a replica is on its way to another broker.
    pub fn is_moving(&self) -> bool {
        self.moves.load(Ordering::Acquire)
    }

    /// Whether the replica here is on its way.
    pub fn is_arriving(&self) -> bool {
        self.arrives.load(Ordering::Acquire)
    }

    /// Replicas in sync as far as this leader knows; 0 when it does not lead.
    pub fn in_sync_replicas(&self) -> usize {
        self.leader.lock().as_ref().map_or(0, Leader::in_sync)
    }

    /// Whether this leader's high watermark has reached the begin of its epoch: until then more may have been committed than it
    /// knows of (KIP-207).
    pub fn knows_what_is_committed(&self) -> bool {
        self.leader.lock().as_ref().is_some_and(|leader| leader.high_watermark() >= leader.epoch_start())
    }

    /// A follower fetches; its position was found to be in this log. `standing` is what the metadata says of its broker.
    ///
    /// # Errors
    /// See [`FollowerRefusal`]; a node that does not lead knows no replicas.
    pub fn on_follower_fetch(
        &self,
        fetch: FollowerFetch,
        standing: Option<Standing>,
        now: Duration,
    ) -> Result<(), FollowerRefusal> {
        let mut leader = self.leader.lock();
        let Some(state) = leader.as_mut() else { return Err(FollowerRefusal::NotAReplica) };
        let effects = state.on_fetch(fetch, self.log().log_end_offset(), standing, now)?;
        self.take(leader, Some(effects));
        Ok(())
    }

    /// Time has passed: followers that lag leave the ISR.
    pub fn on_tick(&self, standing: impl Fn(i32) -> Option<Standing>, now: Duration) {
        let mut leader = self.leader.lock();
        let log_end = self.log().log_end_offset();
        let effects = leader.as_mut().map(|leader| leader.on_tick(log_end, standing, now));
        self.take(leader, effects);
    }

    /// The controller answered a proposal.
    pub fn on_isr_answer(&self, asked: &IsrProposal, answer: IsrAnswer) {
        let mut leader = self.leader.lock();
        if answer != IsrAnswer::Unanswered && !matches!(answer, IsrAnswer::Altered { .. }) {
            self.context.counts.failed_isr_updates.add(1);
        }
        let effects = self.lead_on(&mut leader, |leader| leader.on_isr_answer(asked, answer));
        self.take(leader, effects);
    }

    /// The log became durable further than before, or was cut.
    pub(super) fn on_durable(&self) {
        let mut leader = self.leader.lock();
        // Looked up under the lock: what a cut has undone is not news.
        let durable_end = self.log().durable_end();
        self.durable.advance(durable_end);
        let mut moved = leader.as_mut().and_then(|leader| leader.on_durable(durable_end));
        if leader.is_some() && self.context.planted.is_some_and(Planted::commits_alone) {
            moved = Some(durable_end);
        }
        drop(leader);
        self.publish(moved);
    }
}
