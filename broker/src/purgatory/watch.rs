//! Places that are kept: for somebody who comes back again and again for what has moved among many.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{OffsetGate, Place, Purgatory, Signal, Waiter};

/// Places at many gates, each under a mark. Those whose offset was reached are named once and are then given up; the others stay,
/// however often somebody asks. What that costs follows from what moved, not from how many places there are.
#[derive(Debug, Default)]
pub struct Watch {
    signal: Signal,
    places: BTreeMap<u64, Place>,
}

/// What became of a wish for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// There is a place now: the mark will be named.
    Placed,
    /// The offset is reached already.
    Reached,
    /// The gate is closed or the purgatory full: there is nothing to wait for, or no room to.
    Refused,
}

impl Watch {
    /// What the watcher sleeps on. It may wake although nothing moved.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Takes a place under `mark`, in place of the one that it has if that is another.
    pub fn place(&mut self, mark: u64, gate: &Arc<OffsetGate>, target: i64, purgatory: &Arc<Purgatory>) -> Watched {
        let same = |place: &Place| Arc::ptr_eq(&place.gate, gate) && place.key.0 == target;
        if self.places.get(&mark).is_some_and(same) {
            return Watched::Placed;
        }
        self.leave(mark);
        let waiter = Waiter { signal: self.signal.clone(), mark: Some(mark) };
        match gate.stand(target, waiter, purgatory) {
            Some(place) => {
                self.places.insert(mark, place);
                Watched::Placed
            }
            None if gate.reached() >= target => Watched::Reached,
            None => Watched::Refused,
        }
    }

    /// Gives the place under `mark` up.
    pub fn leave(&mut self, mark: u64) {
        self.places.remove(&mark);
    }

    /// Places held.
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// The marks of the places whose time has come, which are given up with this. A mark may be among them whose place was
    /// given up, or taken anew, before it was named.
    pub fn take_woken(&mut self) -> Vec<u64> {
        let marks = self.signal.take_marks();
        for mark in &marks {
            self.places.remove(mark);
        }
        marks
    }
}
