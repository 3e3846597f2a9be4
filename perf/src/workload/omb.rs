//! Workloads of OpenMessaging Benchmark: its yaml, and its well-known names. Numbers that its files leave to the driver are
//! those of its throughput preset: acks=all, linger 1 ms, batches up to 1 MB.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::workload::{Durability, Rate, Task, Workload};

/// How the names are put together.
pub(super) const NAMES: &str = "
OpenMessaging Benchmark's: a .yaml file of it, or a name such as simple-workload, 1-topic-16-partitions-1kb,
1-topic-100-partitions-1kb-4p-4c-500k[-backlog], 1-topic-3-partition-100b-3producers, 1m-10-topics-9-partitions-100b,
100-topics-1-partitions-1kb, 1k-topic-1kb-4p-4c-500k, max-rate-1-topic-16-partitions-16p-16c-1kb,
backlog-1-topic-16-partitions-1kb
";
/// From this rate on a workload means: as fast as possible.
const AS_FAST_AS_POSSIBLE: f64 = 1e7;
/// Bytes of values that fill a batch.
const BATCH_BYTES: usize = 1000 << 10;
const GB: f64 = 1e9;

/// A workload file, field by field. `name` and the payload file are not used: values are made up.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct File {
    name: Option<String>,
    topics: usize,
    partitions_per_topic: i32,
    key_distributor: KeyDistributor,
    message_size: usize,
    use_randomized_payloads: bool,
    random_bytes_ratio: f64,
    randomized_payload_pool_size: u32,
    payload_file: Option<String>,
    subscriptions_per_topic: usize,
    producers_per_topic: usize,
    consumer_per_subscription: usize,
    producer_rate: f64,
    #[serde(rename = "consumerBacklogSizeGB")]
    consumer_backlog_size_gb: f64,
    backlog_drain_ratio: f64,
    test_duration_minutes: f64,
    warmup_duration_minutes: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum KeyDistributor {
    NoKey,
    KeyRoundRobin,
    RandomNano,
}

impl Default for File {
    fn default() -> Self {
        Self {
            name: None,
            topics: 1,
            partitions_per_topic: 1,
            key_distributor: KeyDistributor::NoKey,
            message_size: 1024,
            use_randomized_payloads: false,
            random_bytes_ratio: 0.0,
            randomized_payload_pool_size: 0,
            payload_file: None,
            subscriptions_per_topic: 1,
            producers_per_topic: 1,
            consumer_per_subscription: 1,
            producer_rate: 50_000.0,
            consumer_backlog_size_gb: 0.0,
            backlog_drain_ratio: 1.0,
            test_duration_minutes: 15.0,
            warmup_duration_minutes: 1.0,
        }
    }
}

impl File {
    fn workload(self, name: &str) -> Result<Workload> {
        let positive = [self.topics, self.producers_per_topic, self.message_size].iter().all(|number| *number > 0);
        ensure!(positive && self.partitions_per_topic > 0, "topics, partitions, producers and sizes must be above 0");
        let keyed = self.key_distributor != KeyDistributor::NoKey;
        let full = self.producer_rate <= 0.0 || self.producer_rate >= AS_FAST_AS_POSSIBLE;
        let backlog_bytes = (self.consumer_backlog_size_gb * GB) as u64;
        let rate = if full { Rate::Full } else { Rate::PerSecond(self.producer_rate) };
        Ok(Workload {
            name: name.to_owned(),
            about: self.name.unwrap_or_else(|| "OpenMessaging Benchmark".to_owned()),
            task: if backlog_bytes > 0 { Task::Drain } else { Task::Produce },
            topics: self.topics,
            partitions: self.partitions_per_topic,
            replicas: -1,
            configs: BTreeMap::new(),
            value_size: self.message_size,
            keys: if keyed { 10_000 } else { 0 },
            scatter: keyed,
            random_share: if self.use_randomized_payloads { self.random_bytes_ratio } else { 1.0 },
            producers: self.producers_per_topic,
            subscriptions: self.subscriptions_per_topic,
            consumers: self.consumer_per_subscription,
            rate,
            batch_records: (BATCH_BYTES / self.message_size).clamp(1, 10_000),
            linger_ms: 1.0,
            in_flight: 5,
            backlog_bytes,
            durabilities: vec![Durability::PageCache, Durability::Synced],
            duration_s: self.test_duration_minutes * 60.0,
            warm_up_s: if backlog_bytes > 0 { 0.0 } else { self.warmup_duration_minutes * 60.0 },
            floor: Vec::new(),
        })
    }
}

/// Reads a workload file; `stem` names the workload.
pub(super) fn from_yaml(stem: &str, text: &str) -> Result<Workload> {
    let file: File = serde_saphyr::from_str(text).context("not a workload of OpenMessaging Benchmark")?;
    file.workload(stem)
}

/// One of the well-known names, taken apart; `None` if it is not one.
pub(super) fn from_name(name: &str) -> Option<Workload> {
    if name == "simple-workload" {
        let minutes = 5.0;
        let simple = File {
            partitions_per_topic: 10,
            producer_rate: 10_000.0,
            test_duration_minutes: minutes,
            ..File::default()
        };
        return simple.workload(name).ok();
    }
    let mut file = File::default();
    let mut rest = name;
    if let Some(after) = rest.strip_prefix("max-rate-") {
        (file.producer_rate, file.test_duration_minutes, rest) = (AS_FAST_AS_POSSIBLE, 5.0, after);
    } else if let Some(after) = rest.strip_prefix("backlog-") {
        (file.producer_rate, file.consumer_backlog_size_gb, file.test_duration_minutes, rest) =
            (1e5, 100.0, 5.0, after);
    }
    let parts: Vec<&str> = rest.split('-').collect();
    let mut parts = &parts[..];
    let mut sized = false;
    let mut topics = false;
    while let [part, after @ ..] = parts {
        let follows = after.first().copied().unwrap_or_default();
        if matches!(follows, "topic" | "topics") {
            (file.topics, topics, parts) = (count(part)?, true, &after[1..]);
            continue;
        }
        if matches!(follows, "partition" | "partitions") {
            (file.partitions_per_topic, parts) = (count(part)?.try_into().ok()?, &after[1..]);
            continue;
        }
        match *part {
            "backlog" => file.consumer_backlog_size_gb = 512.0,
            part => sized |= file.part(part)?,
        }
        parts = after;
    }
    if file.topics == 100 && name == "100-topics-1-partitions-1kb" {
        (file.subscriptions_per_topic, file.producer_rate) = (3, 150_000.0);
    }
    (sized && topics).then(|| file.workload(name).ok())?
}

impl File {
    /// Takes in one part of a name. Whether it is the size of records; `None` if it means nothing.
    fn part(&mut self, part: &str) -> Option<bool> {
        if let Some(size) = part.strip_suffix("kb") {
            self.message_size = size.parse::<usize>().ok()?.checked_mul(1024)?;
            return Some(true);
        }
        if let Some(size) = part.strip_suffix('b') {
            self.message_size = size.parse().ok()?;
            return Some(true);
        }
        if let Some(producers) = part.strip_suffix("producers") {
            (self.producers_per_topic, self.producer_rate) = (producers.parse().ok()?, 0.0);
        } else if let Some(producers) = part.strip_suffix('p') {
            self.producers_per_topic = producers.parse().ok()?;
            self.test_duration_minutes = 5.0;
        } else if let Some(consumers) = part.strip_suffix('c') {
            self.consumer_per_subscription = consumers.parse().ok()?;
        } else {
            // Records per second have a unit.
            part.ends_with(['k', 'm']).then_some(())?;
            self.producer_rate = count(part)? as f64;
        }
        Some(false)
    }
}

/// A number that may end with k or m for thousands or millions.
fn count(text: &str) -> Option<usize> {
    let (digits, factor) = match text.strip_suffix(['k', 'm']) {
        Some(digits) if text.ends_with('k') => (digits, 1000),
        Some(digits) => (digits, 1_000_000),
        None => (text, 1),
    };
    let number: usize = digits.parse().ok()?;
    number.checked_mul(factor).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Topics, partitions, size, producers, consumers, rate (0: full), minutes.
    fn shape(name: &str) -> Option<(usize, i32, usize, usize, usize, f64, f64)> {
        let workload = from_name(name)?;
        let rate = if let Rate::PerSecond(rate) = workload.rate { rate } else { 0.0 };
        let Workload { topics, partitions, value_size, producers, consumers, .. } = workload;
        Some((topics, partitions, value_size, producers, consumers, rate, workload.duration_s / 60.0))
    }

    #[test]
    fn well_known_names() {
        for (name, expected) in [
            ("simple-workload", (1, 10, 1024, 1, 1, 10_000.0, 5.0)),
            ("1-topic-1-partition-100b", (1, 1, 100, 1, 1, 50_000.0, 15.0)),
            ("1-topic-16-partitions-1kb", (1, 16, 1024, 1, 1, 50_000.0, 15.0)),
            ("1-topic-100-partitions-1kb-4p-4c-2000k", (1, 100, 1024, 4, 4, 2_000_000.0, 5.0)),
            ("1-topic-3-partition-100b-3producers", (1, 3, 100, 3, 1, 0.0, 15.0)),
            ("1m-10-topics-16-partitions-100b", (10, 16, 100, 1, 1, 1_000_000.0, 15.0)),
            ("100-topics-1-partitions-1kb", (100, 1, 1024, 1, 1, 150_000.0, 15.0)),
            ("10k-topic-1kb-4p-4c-500k", (10_000, 1, 1024, 4, 4, 500_000.0, 5.0)),
            ("max-rate-1-topic-16-partitions-16p-16c-64kb", (1, 16, 65_536, 16, 16, 0.0, 5.0)),
            ("max-rate-10-topics-1-partition-1kb", (10, 1, 1024, 1, 1, 0.0, 5.0)),
            ("backlog-1-topic-16-partitions-1kb", (1, 16, 1024, 1, 1, 100_000.0, 5.0)),
        ] {
            assert_eq!(shape(name), Some(expected), "{name}");
        }
        assert_eq!(from_name("100-topics-1-partitions-1kb").unwrap().subscriptions, 3);
        let backlog = from_name("1-topic-100-partitions-1kb-4p-4c-200k-backlog").unwrap();
        assert_eq!((backlog.task, backlog.backlog_bytes), (Task::Drain, 512_000_000_000));
        for name in
            ["", "x", "1-topic", "1kb", "1-topic-0-partitions-1kb", "produce-1kb", "1-topic-1-partition-1kb-7", "-"]
        {
            assert_eq!(from_name(name), None, "{name}");
        }
    }

    #[test]
    fn yaml() {
        let text = "name: 1 producer / 1 consumers on 1 topic\n\ntopics: 2\npartitionsPerTopic: 16\n\
                    keyDistributor: \"KEY_ROUND_ROBIN\"\nmessageSize: 1024\nuseRandomizedPayloads: true\n\
                    randomBytesRatio: 0.5\nrandomizedPayloadPoolSize: 1000\nsubscriptionsPerTopic: 1\n\
                    consumerPerSubscription: 4\nproducersPerTopic: 4\nproducerRate: 500000\n\
                    consumerBacklogSizeGB: 0\ntestDurationMinutes: 5\n# a comment\n";
        let workload = from_yaml("x", text).unwrap();
        assert_eq!((&workload.name[..], &workload.about[..]), ("x", "1 producer / 1 consumers on 1 topic"));
        assert_eq!((workload.topics, workload.partitions, workload.producers, workload.consumers), (2, 16, 4, 4));
        assert_eq!((workload.scatter, workload.random_share, workload.duration_s), (true, 0.5, 300.0));
        assert_eq!((workload.rate, workload.batch_records), (Rate::PerSecond(500_000.0), 1000));
        for bad in ["topics: 0", "topics: many", "topicz: 1", "- 1", "topics: [", "keyDistributor: SOME"] {
            assert!(from_yaml("x", bad).is_err(), "{bad}");
        }
        let full = from_yaml("x", "producerRate: 0\nconsumerBacklogSizeGB: 0.5").unwrap();
        assert_eq!((full.rate, full.task, full.backlog_bytes), (Rate::Full, Task::Drain, 500_000_000));
    }

    proptest::proptest! {
        #[test]
        fn any_name_is_taken_or_refused(name in "(max-rate-|backlog-)?[0-9kmbpc-]{0,12}(topics?|partitions?|-|1kb){0,4}") {
            if let Some(workload) = from_name(&name) {
                assert!(workload.topics > 0 && workload.partitions > 0 && workload.batch_records > 0);
            }
        }
    }
}
