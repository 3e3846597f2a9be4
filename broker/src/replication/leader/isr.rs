//! The in-sync replicas as a leader sees them: what the controller decided, and what was proposed to it and may be true already
//! (KIP-497).
//!
//! One proposal is under way at a time. A replica that it adds counts for the high watermark from the moment it is made; one that it
//! removes counts until the controller has agreed. A proposal carries the partition epoch it was made under, so that the
//! controller refuses it once anything else has been decided.
//!
//! A proposal that was sent more than once and is then refused may still be taken: an earlier copy can be late. Going back to
//! the decided ISR would let the high watermark pass a replica that is about to be made eligible to lead. So the decided ISR
//! itself is proposed then: the new partition epoch outdates every copy.

/// What a leader asks of the controller (AlterPartition).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IsrProposal {
    /// The epoch it leads under.
    pub leader_epoch: i32,
    /// The partition epoch that the ISR was decided under which this is to replace.
    pub partition_epoch: i32,
    /// In-sync replicas, each with the broker epoch it fetched under, -1 if it has not.
    pub isr: Vec<(i32, i64)>,
    /// 1 for the first time it is sent.
    pub attempt: u32,
}

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IsrAnswer {
    /// The controller did it.
    Altered {
        /// The new partition epoch.
        partition_epoch: i32,
        /// The new ISR.
        isr: Vec<i32>,
    },
    /// A replica may not be in sync now (INELIGIBLE_REPLICA), or the controller did not try (OPERATION_NOT_ATTEMPTED).
    Ineligible,
    /// The controller has decided something newer (INVALID_UPDATE_VERSION, FENCED_LEADER_EPOCH, no such topic): it is on its way.
    Superseded,
    /// No answer, or one that says nothing about the proposal: it is sent again.
    Unanswered,
}

/// A proposal under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Pending {
    pub(super) isr: Vec<(i32, i64)>,
    /// A replica that is not in the decided ISR and may be in the controller's.
    pub(super) added: Option<i32>,
    pub(super) attempt: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct IsrState {
    partition_epoch: i32,
    committed: Vec<i32>,
    pending: Option<Pending>,
}

impl IsrState {
    pub(super) fn new(partition_epoch: i32, isr: &[i32]) -> Self {
        Self { partition_epoch, committed: isr.to_vec(), pending: None }
    }

    /// What the controller decided.
    pub(super) fn committed(&self) -> &[i32] {
        &self.committed
    }

    pub(super) fn contains(&self, id: i32) -> bool {
        self.committed.contains(&id)
    }

    /// Whether a replica is in the maximal ISR.
    pub(super) fn may_contain(&self, id: i32) -> bool {
        self.contains(id) || self.pending.as_ref().is_some_and(|pending| pending.added == Some(id))
    }

    pub(super) fn maximal_len(&self) -> usize {
        let added = self.pending.as_ref().and_then(|pending| pending.added);
        self.committed.len() + usize::from(added.is_some())
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    pub(super) fn propose(&mut self, leader_epoch: i32, pending: Pending) -> IsrProposal {
        let partition_epoch = self.partition_epoch;
        let proposal =
            IsrProposal { leader_epoch, partition_epoch, isr: pending.isr.clone(), attempt: pending.attempt };
        self.pending = Some(pending);
        proposal
    }

    /// Whether the decision was news. What was proposed under an older one is outdated by it.
    pub(super) fn decided(&mut self, partition_epoch: i32, isr: &[i32]) -> bool {
        if partition_epoch <= self.partition_epoch {
            return false;
        }
        *self = Self::new(partition_epoch, isr);
        true
    }

    /// What is to be proposed next.
    pub(super) fn answered(
        &mut self,
        leader_epoch: i32,
        asked: &IsrProposal,
        answer: IsrAnswer,
    ) -> Option<IsrProposal> {
        if let IsrAnswer::Altered { partition_epoch, isr } = &answer {
            self.decided(*partition_epoch, isr);
            return None;
        }
        let pending = self.pending.clone()?;
        let is_about_it = asked.partition_epoch == self.partition_epoch && asked.isr == pending.isr;
        if !is_about_it || asked.attempt != pending.attempt {
            return None;
        }
        let again = |isr| Pending { isr, attempt: pending.attempt.saturating_add(1), added: pending.added };
        match answer {
            IsrAnswer::Unanswered => Some(self.propose(leader_epoch, again(pending.isr.clone()))),
            IsrAnswer::Ineligible if pending.attempt > 1 => {
                let decided = self.committed.iter().map(|id| (*id, super::UNKNOWN_EPOCH)).collect();
                Some(self.propose(leader_epoch, again(decided)))
            }
            IsrAnswer::Ineligible => {
                self.pending = None;
                None
            }
            IsrAnswer::Superseded | IsrAnswer::Altered { .. } => None,
        }
    }
}
