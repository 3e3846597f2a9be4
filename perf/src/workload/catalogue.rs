//! The workloads that are ours: those with goals to meet, and those that vendors leave out.

use std::collections::BTreeMap;

use crate::workload::{Durability, Rate, Task, Workload};

const KIB: usize = 1024;
const GB: u64 = 1_000_000_000;
const PAGE_CACHE: &[Durability] = &[Durability::PageCache];
const SYNCED: &[Durability] = &[Durability::Synced];
const BOTH: &[Durability] = &[Durability::PageCache, Durability::Synced];
/// More requests than a connection ever has under way.
const UNLIMITED: u16 = 50_000;

/// Lines of `limit`.
const NEW_FILES: &str = "receive 64 KiB frames, CRC, page cache, new files";
const RECYCLED: &str = "receive 64 KiB frames, CRC, page cache, recycled files";
const DISK: &str = "sustained synced writes of 1 MiB, overwritten file, direct";
const DISK_TWO: &str = "sustained synced writes of 1 MiB, overwritten file, direct, 2 under way";
const SENDFILE: &str = "send from page cache, sendfile 1 MiB";
const ROUND_TRIP: &str = "round trips, 1 connection, tokio";
const ROUND_TRIPS: &str = "round trips, 50 connections, tokio";

/// Names of the workloads that goals speak of.
const WITH_GOALS: &[&str] = &[
    "produce-64k",
    "produce-64k-synced",
    "single-record-synced",
    "latency-1000",
    "latency-5000-unbatched",
    "latency-5000-unbatched-5-in-flight",
    "latency-20000-unbatched",
    "latency-20000-unbatched-5-in-flight",
    "fetch-big",
    "fetch-100-partitions",
    "thousand-partitions",
    "each-record-its-own-request",
    "half-load",
    "four-fifths-load",
    "ten-thousand-partitions",
    "tail-5000",
    "tail-with-cold-reader",
];

pub(super) fn has_goal(name: &str) -> bool {
    WITH_GOALS.contains(&name)
}

/// 1 KiB records in 64 KiB batches to 12 partitions over four connections, five requests in flight on each.
fn base(name: &str, about: &str, durabilities: &[Durability], floor: &[&str]) -> Workload {
    Workload {
        name: name.to_owned(),
        about: about.to_owned(),
        task: Task::Produce,
        topics: 1,
        partitions: 12,
        replicas: -1,
        configs: BTreeMap::new(),
        value_size: KIB,
        keys: 0,
        scatter: false,
        random_share: 1.0,
        producers: 4,
        subscriptions: 1,
        consumers: 0,
        rate: Rate::Full,
        batch_records: 64,
        linger_ms: 0.0,
        in_flight: 5,
        backlog_bytes: 0,
        durabilities: durabilities.to_vec(),
        duration_s: 10.0,
        warm_up_s: 3.0,
        floor: floor.iter().map(|line| (*line).to_owned()).collect(),
    }
}

/// One producer and one consumer of one partition, each record a request.
fn unbatched(name: &str, rate: f64, in_flight: u16, durabilities: &[Durability]) -> Workload {
    let requests = if in_flight == UNLIMITED { "any number of".to_owned() } else { in_flight.to_string() };
    let about = format!("{rate} records/s, each its own request, {requests} in flight; produced and consumed");
    Workload {
        partitions: 1,
        producers: 1,
        consumers: 1,
        rate: Rate::PerSecond(rate),
        batch_records: 1,
        in_flight,
        ..base(name, &about, durabilities, &[ROUND_TRIP])
    }
}

/// All of them.
pub(super) fn ours() -> Vec<Workload> {
    let mut all = throughput();
    all.extend(latency());
    all.extend(many());
    all.extend(replicated());
    all.extend(left_out());
    all
}

fn throughput() -> Vec<Workload> {
    let share = |name: &str, share: f64, about: &str| Workload {
        rate: Rate::ShareOf { workload: "produce-64k".to_owned(), share },
        batch_records: 1000,
        linger_ms: 5.0,
        ..base(name, about, BOTH, &[])
    };
    let fetch = |name: &str, about: &str, partitions: i32, consumers: usize| Workload {
        task: Task::Fetch,
        partitions,
        consumers,
        backlog_bytes: GB,
        ..base(name, about, PAGE_CACHE, &[SENDFILE])
    };
    vec![
        base("produce-64k", "64 KiB batches as fast as they are taken", PAGE_CACHE, &[NEW_FILES, RECYCLED]),
        base("produce-64k-synced", "the same, synced", SYNCED, &[NEW_FILES, RECYCLED, DISK, DISK_TWO]),
        Workload {
            producers: 50,
            batch_records: 1,
            ..base("single-record-synced", "batches of one record over 50 connections", SYNCED, &[ROUND_TRIPS])
        },
        share("half-load", 0.5, "half of what produce-64k reached, linger 5 ms"),
        share("four-fifths-load", 0.8, "four fifths of what produce-64k reached, linger 5 ms"),
        fetch("fetch-big", "1 GB in the page cache, 12 partitions, one consumer", 12, 1),
        fetch("fetch-100-partitions", "1 GB in the page cache, 100 partitions, one consumer", 100, 1),
    ]
}

fn latency() -> Vec<Workload> {
    let tail = |name: &str, about: &str| Workload {
        consumers: 1,
        producers: 1,
        rate: Rate::PerSecond(5000.0),
        ..base(name, about, PAGE_CACHE, &[])
    };
    vec![
        unbatched("latency-1000", 1000.0, 5, BOTH),
        unbatched("latency-5000-unbatched", 5000.0, UNLIMITED, BOTH),
        unbatched("latency-5000-unbatched-5-in-flight", 5000.0, 5, PAGE_CACHE),
        unbatched("latency-20000-unbatched", 20_000.0, UNLIMITED, PAGE_CACHE),
        unbatched("latency-20000-unbatched-5-in-flight", 20_000.0, 5, PAGE_CACHE),
        unbatched("each-record-its-own-request", 5000.0, UNLIMITED, PAGE_CACHE),
        tail("tail-5000", "5,000 records/s produced and consumed, 12 partitions"),
        Workload {
            task: Task::ColdRead,
            backlog_bytes: 10 * GB,
            duration_s: 120.0,
            ..tail(
                "tail-with-cold-reader",
                "tail-5000 while 10 GB that are not in memory are read (ends when they are)",
            )
        },
    ]
}

fn many() -> Vec<Workload> {
    vec![
        Workload {
            partitions: 1000,
            producers: 50,
            batch_records: 1,
            ..base("thousand-partitions", "batches of one record over 50 connections", BOTH, &[ROUND_TRIPS])
        },
        Workload {
            partitions: 10_000,
            producers: 5000,
            batch_records: 1,
            rate: Rate::PerSecond(1000.0),
            ..base("ten-thousand-partitions", "1,000 records/s over 5,000 open connections", BOTH, &[])
        },
        Workload {
            partitions: 1000,
            producers: 20,
            consumers: 4,
            keys: 1_000_000,
            scatter: true,
            rate: Rate::PerSecond(20_000.0),
            linger_ms: 5.0,
            ..base("many-partitions", "20,000 keyed records/s to 1,000 partitions, produced and consumed", BOTH, &[])
        },
        Workload {
            task: Task::Storm,
            producers: 2000,
            batch_records: 1,
            ..base("connection-storm", "2,000 connections open at once and send a record each", BOTH, &[])
        },
    ]
}

/// What needs three nodes.
fn replicated() -> Vec<Workload> {
    let three = |workload: Workload| Workload {
        replicas: 3,
        configs: [("min.insync.replicas".to_owned(), "2".to_owned())].into(),
        ..workload
    };
    vec![
        three(base("replicated-64k", "produce-64k with three replicas, acks=all", BOTH, &[NEW_FILES])),
        three(unbatched("replicated-latency-1000", 1000.0, 5, BOTH)),
    ]
}

fn left_out() -> Vec<Workload> {
    let retention = [("segment.bytes", "16777216"), ("retention.bytes", "33554432")];
    vec![
        Workload {
            keys: 1_000_000,
            scatter: true,
            producers: 8,
            consumers: 4,
            rate: Rate::PerSecond(50_000.0),
            batch_records: 1000,
            linger_ms: 1.0,
            ..base("keyed", "50,000 keyed records/s to 12 partitions, so in small batches", BOTH, &[])
        },
        Workload {
            partitions: 100,
            producers: 10,
            consumers: 4,
            value_size: 100,
            rate: Rate::PerSecond(10_000.0),
            batch_records: 1,
            ..base("small-batches", "10,000 records/s of 100 B to 100 partitions, each its own request", BOTH, &[])
        },
        Workload {
            task: Task::ColdRead,
            consumers: 1,
            rate: Rate::PerSecond(50_000.0),
            linger_ms: 1.0,
            backlog_bytes: 4 * GB,
            duration_s: 120.0,
            ..base(
                "cold-read-while-producing",
                "50 MB/s at the tail while 4 GB that are not in memory are read",
                BOTH,
                &[],
            )
        },
        Workload {
            task: Task::Drain,
            consumers: 2,
            rate: Rate::PerSecond(50_000.0),
            linger_ms: 1.0,
            backlog_bytes: 2 * GB,
            duration_s: 120.0,
            warm_up_s: 0.0,
            ..base("backlog-drain", "consumers catch up with 2 GB while 50 MB/s are produced", BOTH, &[])
        },
        Workload {
            configs: retention.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            duration_s: 60.0,
            ..base("retention-steady", "full speed into logs that are cut at 32 MiB all the time", PAGE_CACHE, &[])
        },
        Workload {
            consumers: 1,
            rate: Rate::PerSecond(20_000.0),
            linger_ms: 1.0,
            configs: retention.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            duration_s: 86_400.0,
            warm_up_s: 60.0,
            ..base("soak", "20,000 records/s produced and consumed for a day", BOTH, &[])
        },
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_goals_are_known() {
        let all = ours();
        let names: BTreeSet<&str> = all.iter().map(|workload| &workload.name[..]).collect();
        assert_eq!(names.len(), all.len());
        for name in WITH_GOALS {
            assert!(names.contains(name), "{name}");
        }
    }

    #[test]
    fn floors_are_lines_of_limit() {
        let lines = crate::limit::names();
        for workload in ours() {
            assert!(workload.floor.iter().all(|line| lines.contains(line)), "{:?}", workload.floor);
        }
    }
}
