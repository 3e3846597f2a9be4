//! Where requests wait for offsets: Kafka's purgatory.
//!
//! A [`OffsetGate`] publishes an offset that only grows (a high watermark, a last stable offset, a log end) and wakes whoever
//! waits for it to pass a target, each once. A waiter may stand at many gates with one [`Signal`] (a fetch of many
//! partitions) and leaves all of them when it is dropped, so nothing is left behind by a closed connection. Deadlines
//! are the waiter's business: it drops its places when its time is over. Who keeps its places for longer marks them, and is
//! told which of them its turn has come at ([`Watch`]).
//!
//! The number of places in a node is bounded by [`Purgatory`]; a request that would exceed it does not wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

mod watch;

pub use watch::{Watch, Watched};

/// Counts the places of a node.
#[derive(Debug)]
pub struct Purgatory {
    places: AtomicUsize,
    limit: usize,
    taken: AtomicU64,
}

/// What a waiter sleeps on. Keeps one wake-up that came before it slept.
#[derive(Debug, Clone, Default)]
pub struct Signal(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    notify: Notify,
    /// Marks of the places that woke it since somebody asked. At most one for each place.
    marks: Mutex<Vec<u64>>,
}

/// Who stands at a gate.
#[derive(Debug)]
struct Waiter {
    signal: Signal,
    mark: Option<u64>,
}

/// Publishes a growing offset.
#[derive(Debug)]
pub struct OffsetGate {
    reached: AtomicI64,
    /// There is nothing to wait for any more.
    closed: AtomicBool,
    waiters: Mutex<Waiters>,
}

/// All who stand at a gate.
#[derive(Debug, Default)]
struct Waiters {
    /// By target, then by number.
    places: BTreeMap<(i64, u64), Waiter>,
    /// Counted here: those who wait at a gate come from several purgatories.
    next_number: u64,
}

/// A place at a gate; dropping it leaves.
#[derive(Debug)]
#[must_use = "the place is left when this is dropped"]
pub struct Place {
    gate: Arc<OffsetGate>,
    purgatory: Arc<Purgatory>,
    key: (i64, u64),
}

impl Purgatory {
    /// At most `limit` places.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { places: AtomicUsize::new(0), limit, taken: AtomicU64::new(0) })
    }

    /// Places taken.
    pub fn places(&self) -> usize {
        self.places.load(Ordering::Relaxed)
    }

    /// Places ever taken.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Signal {
    /// Sleeps until woken. Cancel-safe.
    pub async fn woken(&self) {
        self.0.notify.notified().await;
    }

    /// The marks of the places that woke it since this was last asked.
    fn take_marks(&self) -> Vec<u64> {
        std::mem::take(&mut *self.0.marks.lock())
    }
}

impl Waiter {
    fn wake(&self) {
        if let Some(mark) = self.mark {
            self.signal.0.marks.lock().push(mark);
        }
        self.signal.0.notify.notify_one();
    }
}

impl OffsetGate {
    /// A gate that has reached `offset`.
    pub fn new(offset: i64) -> Arc<Self> {
        Arc::new(Self { reached: AtomicI64::new(offset), closed: AtomicBool::new(false), waiters: Mutex::default() })
    }

    /// The greatest offset published.
    pub fn reached(&self) -> i64 {
        self.reached.load(Ordering::Acquire)
    }

    /// Whether waiting makes no sense any more.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Publishes `offset` if it is greater than what was reached, and wakes those whose target it reaches.
    pub fn advance(&self, offset: i64) {
        if self.reached.fetch_max(offset, Ordering::AcqRel) < offset {
            self.wake_up_to(offset);
        }
    }

    /// Begins anew at `offset`, which may be lower: what was published above it is not so any more. Whoever calls this sees to it
    /// that nobody publishes old news at the same time. Wakes everybody, to look whether they still wait for the right thing.
    pub fn restart(&self, offset: i64) {
        self.reached.store(offset, Ordering::Release);
        self.wake_up_to(i64::MAX);
    }

    /// Wakes everybody: the partition is gone or its disk failed. Nobody waits here any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake_up_to(i64::MAX);
    }

    /// Wakes everybody who waits, without a reason that the offset tells: something else about the partition is not what it was.
    /// They have left then, and look.
    pub fn nudge(&self) {
        self.wake_up_to(i64::MAX);
    }

    fn wake_up_to(&self, offset: i64) {
        let woken = {
            let mut waiters = self.waiters.lock();
            match offset.checked_add(1) {
                // The common case: nobody, or nobody yet.
                Some(_) if waiters.places.first_key_value().is_none_or(|((target, _), _)| *target > offset) => return,
                Some(after) => {
                    let later = waiters.places.split_off(&(after, 0));
                    std::mem::replace(&mut waiters.places, later)
                }
                None => std::mem::take(&mut waiters.places),
            }
        };
        woken.values().for_each(Waiter::wake);
    }

    /// Takes a place to be woken when `target` is reached or the gate is closed. `None` when that is so already, or when the
    /// purgatory is full and the caller has to go without waiting.
    pub fn wait_for(self: &Arc<Self>, target: i64, signal: &Signal, purgatory: &Arc<Purgatory>) -> Option<Place> {
        self.stand(target, Waiter { signal: signal.clone(), mark: None }, purgatory)
    }

    fn stand(self: &Arc<Self>, target: i64, waiter: Waiter, purgatory: &Arc<Purgatory>) -> Option<Place> {
        if self.is_over(target) {
            return None;
        }
        if purgatory.places.fetch_add(1, Ordering::Relaxed) >= purgatory.limit {
            purgatory.places.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        purgatory.taken.fetch_add(1, Ordering::Relaxed);
        let place = {
            let mut waiters = self.waiters.lock();
            let key = (target, waiters.next_number);
            waiters.next_number += 1;
            waiters.places.insert(key, waiter);
            Place { gate: Arc::clone(self), purgatory: Arc::clone(purgatory), key }
        };
        // Reached before the entry was made: whoever moved the offset may not have seen it.
        (!self.is_over(target)).then_some(place)
    }

    fn is_over(&self, target: i64) -> bool {
        self.reached() >= target || self.is_closed()
    }

    /// Waits until `target` is reached; false when the gate was closed before, or the purgatory is full.
    pub async fn pass(self: &Arc<Self>, target: i64, purgatory: &Arc<Purgatory>) -> bool {
        let signal = Signal::default();
        while let Some(_place) = self.wait_for(target, &signal, purgatory) {
            signal.woken().await;
        }
        self.reached() >= target
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.waiters.lock().places.remove(&self.key);
        self.purgatory.places.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
