//! Compaction against a naive model, and through a power cut at each of its disk operations.

#[path = "compaction/checks.rs"]
mod checks;
#[path = "compaction/model.rs"]
mod model;
#[path = "compaction/trip_disk.rs"]
mod trip_disk;
#[path = "compaction/world.rs"]
mod world;

use goatq_storage::{
    config::{CleanupPolicy, LogConfig},
    log::Log,
};
use proptest::prelude::*;

use super::bench::End;
use world::{Step, World};

fn config() -> LogConfig {
    LogConfig {
        cleanup_policy: CleanupPolicy::COMPACT,
        segment_bytes: 400,
        index_interval_bytes: 150,
        delete_retention_ms: 50,
        producer_id_expiration_ms: i64::MAX,
        file_delete_delay_ms: 20,
        ..LogConfig::default()
    }
}

fn records() -> impl Strategy<Value = Vec<(Option<u8>, Option<u8>)>> {
    let key = prop_oneof![12 => (0..6_u8).prop_map(Some), 1 => Just(None)];
    let value = prop_oneof![3 => any::<u8>().prop_map(Some), 1 => Just(None)];
    proptest::collection::vec((key, value), 1..6)
}

fn step() -> impl Strategy<Value = Step> {
    let skew = -30..30_i64;
    prop_oneof![
        6 => (records(), 0..3_u8, skew.clone()).prop_map(|(records, codec, skew)| Step::Append { records, codec, skew }),
        5 => (0..3_i64, records(), any::<bool>(), skew)
            .prop_map(|(id, records, txn, skew)| Step::Produce { id, records, txn, skew }),
        4 => (0..3_i64, any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(id, commit, bump)| Step::End { id, commit, bump }),
        4 => Just(Step::Sync),
        1 => Just(Step::Checkpoint),
        2 => (1..60_i64).prop_map(Step::Wait),
        6 => (prop_oneof![Just(1 << 16), Just(0)], proptest::option::weighted(0.15, 0..6_u32))
            .prop_map(|(map_bytes, stop_after)| Step::Compact { map_bytes, stop_after }),
        1 => (0..100_u8).prop_map(Step::AdvanceStart),
        1 => Just(Step::Retain),
        1 => (prop_oneof![Just(End::Clean), Just(End::Kill), Just(End::Crash)], any::<bool>())
            .prop_map(|(end, lose)| Step::Reopen { end, lose_snapshots: lose }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_compacted_log_says_what_the_whole_log_said(seed: u64, steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World::new(seed, config());
        for step in steps {
            world.step(step);
        }
        world.step(Step::Sync);
        world.step(Step::Compact { map_bytes: 1 << 16, stop_after: None });
        world.step(Step::Reopen { end: End::Crash, lose_snapshots: true });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_power_cut_at_any_operation_loses_nothing(seed: u64, steps in proptest::collection::vec(step(), 20..60)) {
        let mut world = World::new(seed, config());
        for step in steps {
            world.step(step);
        }
        world.step(Step::Sync);
        let images = world.compact_with_crashes();
        for image in images {
            world.fork(image).check();
        }
    }
}

#[test]
fn a_deleted_log_ends_its_compaction() {
    let mut world = World::new(1, config());
    for value in 0..60 {
        world.step(Step::Append { records: vec![(Some(1), Some(value))], codec: 0, skew: 0 });
    }
    world.step(Step::Sync);
    let log = world.log().clone();
    let mut calls = 0;
    let outcome = world.compact_raw(1 << 16, &mut |_| {
        calls += 1;
        // Only this once: another thread would wait here for the run to end.
        if calls == 1 {
            std::thread::scope(|scope| {
                scope.spawn(|| close(&log));
            })
        }
        true
    });
    assert!(matches!(outcome, Err(goatq_storage::error::LogError::Closed)), "{outcome:?}");
}

fn close(log: &Log) {
    log.close(1_000).unwrap();
}

/// Found by the first test above: the header of a batch that begins before the start of the log speaks of what is gone, too.
#[test]
fn the_newest_record_is_one_that_the_log_still_has() {
    let mut world = World::new(0, config());
    let record = |key, value| (Some(key), Some(value));
    let first = vec![record(2, 3), (Some(0), None), record(5, 10), record(0, 110)];
    let second = vec![record(5, 0), record(0, 0), record(0, 10), record(0, 0), record(0, 0)];
    let third = vec![record(0, 0), record(0, 0), record(0, 10)];
    for (records, skew) in [(first, 0), (second, -5), (third, -4)] {
        world.step(Step::Append { records, codec: 0, skew });
    }
    world.step(Step::Compact { map_bytes: 1 << 16, stop_after: None });
    world.step(Step::AdvanceStart(25));
    world.step(Step::Sync);
    world.step(Step::Compact { map_bytes: 1 << 16, stop_after: None });
    world.step(Step::Reopen { end: End::Crash, lose_snapshots: true });
}

/// Found by the first test above: a marker whose record compaction removed still tells of its producer.
#[test]
fn an_emptied_marker_tells_of_its_producer() {
    let mut world = World::new(0, config());
    let record = |value| vec![(Some(0), Some(value))];
    world.step(Step::Produce { id: 0, records: record(0), txn: false, skew: 0 });
    world.step(Step::End { id: 0, commit: false, bump: true });
    for value in 0..6 {
        world.step(Step::Append { records: vec![(Some(0), Some(value)); 5], codec: 0, skew: 0 });
        world.step(Step::Sync);
        world.step(Step::Wait(30));
        world.step(Step::Compact { map_bytes: 1 << 16, stop_after: None });
        world.step(Step::Checkpoint);
    }
    world.step(Step::Reopen { end: End::Crash, lose_snapshots: true });
}

/// Found by the first test above: putting the producers together from the batches wrote the entries of aborted transactions anew,
/// and a power cut took them.
#[test]
fn an_aborted_transaction_stays_aborted_when_snapshots_are_lost_twice() {
    for seed in 0..30 {
        let mut world = World::new(seed, config());
        let record = |key| vec![(Some(key), Some(0))];
        world.step(Step::Produce { id: 2, records: record(1), txn: true, skew: 0 });
        world.step(Step::End { id: 2, commit: false, bump: false });
        world.step(Step::Append { records: record(3), codec: 0, skew: 0 });
        world.step(Step::Reopen { end: End::Clean, lose_snapshots: true });
        world.step(Step::Reopen { end: End::Crash, lose_snapshots: true });
    }
}
