//! A bound on memory that several connections share.
//!
//! Requests in flight are charged to one budget and replies that wait for slow readers to another, so that memory
//! follows from configuration and not from what peers send (invariant 7).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that may be in use at a time. Clones share the budget.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    permits: Arc<Semaphore>,
    overdraft: Arc<Semaphore>,
    total: usize,
}

/// Bytes taken from a budget; dropping it gives them back.
#[derive(Debug)]
pub struct Charge {
    permit: OwnedSemaphorePermit,
    overdraft: Option<OwnedSemaphorePermit>,
}

impl MemoryBudget {
    /// A budget of `bytes` (at least 1, at most 2^32 - 1 in one charge).
    pub fn new(bytes: usize) -> Self {
        let total = bytes.clamp(1, Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(total)), overdraft: Arc::new(Semaphore::new(1)), total }
    }

    /// Size of the whole budget in bytes.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Bytes not in use at present.
    pub fn available(&self) -> usize {
        self.permits.available_permits()
    }

    fn clamp(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX)
    }

    /// Takes `bytes` if they are there now. More than the whole budget counts as the whole budget, so that a single
    /// large request can always be served.
    pub fn try_charge(&self, bytes: usize) -> Option<Charge> {
        let permit = Arc::clone(&self.permits).try_acquire_many_owned(self.clamp(bytes)).ok()?;
        Some(Charge { permit, overdraft: None })
    }

    /// Takes up to `most` bytes, whatever is there now, or nothing when less than `least` is there.
    pub fn try_charge_between(&self, least: usize, most: usize) -> Option<(usize, Charge)> {
        let mut bytes = most.min(self.total);
        let least = least.min(self.total);
        loop {
            if let Some(charge) = self.try_charge(bytes) {
                return Some((bytes, charge));
            }
            let available = self.available();
            if available < least || bytes == least {
                return None;
            }
            // Strictly smaller each turn, so the loop ends.
            bytes = available.min(bytes - 1).max(least);
        }
    }

    /// Waits, in order of arrival, until `bytes` are there. Cancel-safe.
    pub async fn charge(&self, bytes: usize) -> Charge {
        let permit = Arc::clone(&self.permits).acquire_many_owned(self.clamp(bytes)).await;
        Charge { permit: permit.expect("the semaphore is never closed"), overdraft: None }
    }

    /// Adds `bytes` to `charge`, waiting for them. While the budget is exhausted one charge at a time may overdraw it:
    /// without that, half-read frames that together hold the whole budget would wait for each other for ever.
    /// Cancel-safe: what was not added stays in the budget.
    pub async fn grow(&self, charge: &mut Charge, bytes: usize) {
        if charge.overdraft.is_some() || bytes == 0 {
            return;
        }
        let most = self.total.saturating_sub(charge.permit.num_permits());
        let bytes = bytes.min(most);
        if let Some(more) = self.try_charge(bytes) {
            charge.permit.merge(more.permit);
            return;
        }
        tokio::select! {
            biased;
            more = self.charge(bytes) => charge.permit.merge(more.permit),
            lease = Arc::clone(&self.overdraft).acquire_owned() => charge.overdraft = lease.ok(),
        }
    }
}

impl Charge {
    /// Bytes that this charge took from the budget.
    pub fn bytes(&self) -> usize {
        self.permit.num_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn gives_back_on_drop() {
        let budget = MemoryBudget::new(100);
        let charge = budget.try_charge(60).expect("60 of 100");
        assert_eq!(charge.bytes(), 60);
        assert!(budget.try_charge(41).is_none());
        drop(charge);
        assert_eq!(budget.available(), 100);
    }

    #[test]
    fn a_charge_above_the_total_takes_everything() {
        let budget = MemoryBudget::new(100);
        let charge = budget.try_charge(1_000_000).expect("clamped");
        assert_eq!(charge.bytes(), 100);
    }

    #[test]
    fn between_takes_what_is_left() {
        let budget = MemoryBudget::new(100);
        let first = budget.try_charge(70).expect("fits");
        let (bytes, second) = budget.try_charge_between(10, 90).expect("30 are left");
        assert_eq!((bytes, second.bytes()), (30, 30));
        assert!(budget.try_charge_between(1, 90).is_none());
        drop((first, second));
    }

    #[test]
    fn half_read_frames_do_not_wait_for_each_other() {
        let budget = MemoryBudget::new(100);
        let mut first = budget.try_charge(50).expect("fits");
        let mut second = budget.try_charge(50).expect("fits");
        // One may overdraw, the other waits until it is done.
        budget.grow(&mut first, 10).now_or_never().expect("overdraws");
        assert!(budget.grow(&mut second, 10).now_or_never().is_none());
        // It stays within its overdraft from then on.
        budget.grow(&mut first, 10).now_or_never().expect("keeps the lease");
        drop(first);
        budget.grow(&mut second, 10).now_or_never().expect("bytes came back");
        assert_eq!(second.bytes(), 60);
    }
}
