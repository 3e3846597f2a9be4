//! Power cuts, kills and failing disks under a random workload, by seed.
//!
//! Each seed gives a log a life of several starts on a simulated disk that loses, tears and reorders what was not synced. After
//! every start, whatever was acknowledged must be there, once, at its offset; offsets must be dense (or as compaction left them);
//! indexes, epochs, aborted transactions and producers must equal what a full scan of the batches gives.
//!
//! `GOATQ_SEEDS=10000` runs so many seeds instead of the usual ones; `GOATQ_SEED=n` replays one and, with
//! `--nocapture`, prints its events.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "log/bench.rs"]
#[allow(dead_code, reason = "the scripts use what these lives do not")]
mod bench;
#[path = "crash/check.rs"]
mod check;
#[path = "crash/model.rs"]
mod model;
#[path = "crash/seeds.rs"]
mod seeds;
#[path = "crash/workload.rs"]
mod workload;

use std::panic::{AssertUnwindSafe, catch_unwind};

const SEEDS: u64 = 300;

/// Lives beyond the usual ones that found something once:
/// - a truncation into a batch, or behind a gap, at the log start; one that failed when all of the log was to go;
/// - a failed sync that a dropped turn of group commit had met;
/// - epochs and producers whose batches compaction or retention took before a crash took the recovery point;
/// - a time index full of garbage.
const FINDERS: [u64; 12] = [1281, 1508, 10_164, 3817, 4682, 6989, 2664, 2912, 8148, 14_016, 6521, 8192];

/// Three lives of four; those above met what they met without one.
fn has_journal(seed: u64) -> bool {
    !FINDERS.contains(&seed) && !seed.is_multiple_of(4)
}

/// Half of the lives have batches that are worth a write past the page cache.
fn has_big(seed: u64) -> bool {
    !FINDERS.contains(&seed) && seed % 8 >= 4
}

#[test]
fn whatever_was_acknowledged_survives() {
    let seeds = seeds::chosen(SEEDS);
    let finders = FINDERS.into_iter().filter(|seed| seeds::number("GOATQ_SEED").is_none() && !seeds.contains(seed));
    let mut seen = workload::Coverage::default();
    let mut failed = Vec::new();
    for seed in seeds.clone().chain(finders) {
        match catch_unwind(AssertUnwindSafe(|| {
            workload::live(seed, seeds::number("GOATQ_SEED").is_some(), (has_journal(seed), has_big(seed)), None)
        })) {
            Ok(coverage) => seen.add(&coverage),
            Err(_) => failed.push(seed),
        }
    }
    assert!(failed.is_empty(), "{failed:?}: replay with GOATQ_SEED=<n> cargo test -p goatq-storage --test crash");
    println!("{seen:?}");
    if seeds.end - seeds.start >= SEEDS {
        seen.must_be_complete();
    }
}

/// The tests can fail: an acknowledgement before the sync, of a segment or of the journal, is found by the usual seeds.
#[test]
fn an_acknowledgement_before_the_sync_is_caught() {
    // Without a journal, and with one.
    for path_part in ["t-0/0", "goatq-journal-"] {
        let caught = |seed: &u64| {
            catch_unwind(AssertUnwindSafe(|| {
                workload::live(*seed, false, (path_part != "t-0/0", has_big(*seed)), Some(path_part))
            }))
            .is_err()
        };
        let caught = (0..SEEDS).filter(caught).take(3).count();
        assert_eq!(caught, 3, "{path_part}: hardly any of {SEEDS} seeds notices");
    }
}
