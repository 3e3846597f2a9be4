//! Counts what shards load together, so that the log has one line for all of them.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::load::Loaded;
use crate::clock::Clock;

/// Loads that overlap in time. Clones share them.
#[derive(Clone)]
pub(super) struct LoadRound {
    name: &'static str,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    loading: usize,
    since: Duration,
    sums: Sums,
}

/// What a round has loaded.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    partitions: u64,
    records: u64,
    damaged: u64,
}

/// A shard that loads; dropping it without [`Self::done`] says that it did not get to the end.
pub(super) struct Loading {
    round: LoadRound,
    loaded: Option<(u64, u64)>,
}

impl LoadRound {
    pub(super) fn new(name: &'static str, clock: Arc<dyn Clock>) -> Self {
        Self { name, clock, state: Arc::default() }
    }

    /// One more shard begins to load.
    pub(super) fn begin(&self) -> Loading {
        self.state.lock().begin(self.clock.monotonic());
        Loading { round: self.clone(), loaded: None }
    }
}

impl State {
    fn begin(&mut self, now: Duration) {
        if self.loading == 0 {
            self.since = now;
        }
        self.loading += 1;
    }

    /// One of them has loaded `(records, damaged)`, or failed. What all have, and how long it took, if it was the last.
    fn end(&mut self, loaded: Option<(u64, u64)>, now: Duration) -> Option<(Sums, Duration)> {
        if let Some((records, damaged)) = loaded {
            self.sums.partitions += 1;
            self.sums.records = self.sums.records.saturating_add(records);
            self.sums.damaged = self.sums.damaged.saturating_add(damaged);
        }
        self.loading = self.loading.saturating_sub(1);
        if self.loading > 0 {
            return None;
        }
        let sums = std::mem::take(&mut self.sums);
        (sums.partitions > 0).then(|| (sums, now.saturating_sub(self.since)))
    }
}

impl Loading {
    pub(super) fn done(mut self, loaded: &Loaded) {
        self.loaded = Some((loaded.records, loaded.damaged));
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        let LoadRound { name, clock, state } = &self.round;
        let ended = state.lock().end(self.loaded, clock.monotonic());
        if let Some((Sums { partitions, records, damaged }, took)) = ended {
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(name, partitions, records, damaged, took_ms, "coordinator loaded");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_that_overlap_are_summed_up_by_the_last() {
        let mut state = State::default();
        let at = Duration::from_millis;
        state.begin(at(10));
        state.begin(at(20));
        assert_eq!(state.end(Some((5, 1)), at(30)), None);
        state.begin(at(35));
        assert_eq!(state.end(None, at(40)), None);
        let sums = Sums { partitions: 2, records: 12, damaged: 1 };
        assert_eq!(state.end(Some((7, 0)), at(60)), Some((sums, at(50))));
        state.begin(at(70));
        assert_eq!(state.end(None, at(80)), None);
        state.begin(at(90));
        assert_eq!(state.end(Some((1, 0)), at(95)), Some((Sums { partitions: 1, records: 1, damaged: 0 }, at(5))));
    }
}
