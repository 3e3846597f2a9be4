//! Leaving the lead in order.
//!
//! A replica that has more than the next leader cuts its log, which takes a few syncs, and until that is done what producers sent next to the
//! next leader is not committed. So a broker that stops takes no more from clients first, and gives up the lead when all replicas in sync have
//! what it has.

use std::sync::atomic::Ordering;

use super::{NONE, Partition};

/// What a leader that takes no more has: to be committed before another one leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastAppend {
    /// Offset of the last record.
    pub offset: i64,
    /// The epoch that is about to end.
    pub leader_epoch: i32,
}

impl Partition {
    /// From now on this leader takes nothing from clients, until its epoch ends or [`Self::lead_on_after_all`]. `None` where there is nobody to
    /// take over: it leads on.
    pub fn hand_over(&self) -> Option<LastAppend> {
        let leader = self.leader.lock();
        let state = leader.as_ref().filter(|leader| leader.in_sync() > 1)?;
        self.handing_over.store(state.epoch(), Ordering::Release);
        Some(LastAppend { offset: self.log().log_end_offset().saturating_sub(1), leader_epoch: state.epoch() })
    }

    /// Nobody took over.
    pub fn lead_on_after_all(&self) {
        self.handing_over.store(NONE, Ordering::Release);
    }

    /// Whether the leader of this epoch takes nothing from clients. Under the leader's lock nothing is appended any more once it is so.
    pub(super) fn hands_over(&self, leader_epoch: i32) -> bool {
        self.handing_over.load(Ordering::Acquire) == leader_epoch
    }

    /// Waits until this leader's epoch is over, however it ends. Cancel-safe.
    pub async fn until_handed_over(&self, leader_epoch: i32) {
        // No offset is as high.
        let _ = self.wait_committed(i64::MAX, leader_epoch).await;
    }
}
