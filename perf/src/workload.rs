//! Named workloads: what is sent and read, how fast, and for how long, without saying to whom.

mod catalogue;
mod consumers;
mod execute;
mod omb;
mod storm;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

pub(crate) use crate::workload::consumers::{Progress, tail};
pub(crate) use crate::workload::execute::{Site, execute};

/// What makes a record count as acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Durability {
    /// It is in the page cache.
    PageCache,
    /// It is on the disk.
    Synced,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PageCache => "page cache",
            Self::Synced => "synced",
        })
    }
}

/// How fast records are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rate {
    /// As fast as answers come (closed loop).
    Full,
    /// So many records per second over all producers (open loop).
    PerSecond(f64),
    /// A share of what the same broker reached in page-cache mode in another workload of the same comparison (open loop).
    ShareOf { workload: String, share: f64 },
}

/// What is going on besides producing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Task {
    /// Producers, and consumers (if any) at the tail.
    Produce,
    /// Consumers read the backlog over and over; no producers.
    Fetch,
    /// Producers, and consumers that read the backlog until they have caught up with the producers.
    Drain,
    /// Producers and consumers at the tail, while others read the backlog, which is not in memory.
    ColdRead,
    /// Connections are opened, each of which sends one record; all of them stay open.
    Storm,
}

/// A workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) task: Task,
    pub(crate) topics: usize,
    /// Of each topic.
    pub(crate) partitions: i32,
    /// Of each partition; the broker's default (-1) in reports that are older than this field.
    #[serde(default = "brokers_default")]
    pub(crate) replicas: i16,
    /// Configs of the topics, besides those of the durability.
    pub(crate) configs: BTreeMap<String, String>,
    pub(crate) value_size: usize,
    /// Distinct keys; 0 sends none.
    pub(crate) keys: u32,
    /// Each record goes to a partition of its own chance.
    pub(crate) scatter: bool,
    pub(crate) random_share: f64,
    /// Connections that send, for each topic.
    pub(crate) producers: usize,
    pub(crate) subscriptions: usize,
    /// Connections that read, for each subscription and topic.
    pub(crate) consumers: usize,
    pub(crate) rate: Rate,
    /// Records of a request at most.
    pub(crate) batch_records: usize,
    pub(crate) linger_ms: f64,
    /// Requests under way on a connection at most.
    pub(crate) in_flight: u16,
    /// Bytes of values that are there before the run.
    pub(crate) backlog_bytes: u64,
    /// In which of these modes each broker is measured.
    pub(crate) durabilities: Vec<Durability>,
    pub(crate) duration_s: f64,
    pub(crate) warm_up_s: f64,
    /// Lines of `limit` that are the floor of this workload: what the broker must do, done without one.
    pub(crate) floor: Vec<String>,
}

/// The replication factor that leaves it to the broker.
const fn brokers_default() -> i16 {
    -1
}

/// What the command line puts in place of a workload's own values.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Overrides {
    pub(crate) duration: Option<Duration>,
    pub(crate) warm_up: Option<Duration>,
    pub(crate) rate: Option<f64>,
    pub(crate) partitions: Option<i32>,
    pub(crate) replicas: Option<i16>,
    pub(crate) value_size: Option<usize>,
    pub(crate) producers: Option<usize>,
    pub(crate) consumers: Option<usize>,
    pub(crate) batch_records: Option<usize>,
    pub(crate) linger: Option<Duration>,
    pub(crate) in_flight: Option<u16>,
    pub(crate) keys: Option<u32>,
    pub(crate) backlog_bytes: Option<u64>,
    pub(crate) durabilities: Vec<Durability>,
}

impl Overrides {
    pub(crate) fn apply(&self, workload: &mut Workload) {
        fn set<T: Clone>(value: &mut T, other: &Option<T>) {
            if let Some(other) = other {
                *value = other.clone();
            }
        }
        set(&mut workload.duration_s, &self.duration.map(|time| time.as_secs_f64()));
        set(&mut workload.warm_up_s, &self.warm_up.map(|time| time.as_secs_f64()));
        set(&mut workload.rate, &self.rate.map(Rate::PerSecond));
        set(&mut workload.partitions, &self.partitions);
        set(&mut workload.replicas, &self.replicas);
        set(&mut workload.value_size, &self.value_size);
        set(&mut workload.producers, &self.producers);
        set(&mut workload.consumers, &self.consumers);
        set(&mut workload.batch_records, &self.batch_records);
        set(&mut workload.linger_ms, &self.linger.map(|time| time.as_secs_f64() * 1e3));
        set(&mut workload.in_flight, &self.in_flight);
        set(&mut workload.keys, &self.keys);
        // Workloads without a backlog get none.
        if workload.backlog_bytes > 0 {
            set(&mut workload.backlog_bytes, &self.backlog_bytes);
        }
        if !self.durabilities.is_empty() {
            workload.durabilities.clone_from(&self.durabilities);
        }
    }
}

/// The workloads that `name` stands for: one of ours, one of OpenMessaging Benchmark's names, a file of its yaml, or `goals`
/// for all that one node has goals for, `cluster-goals` for those of three nodes.
///
/// # Errors
/// If it stands for none, or the file is not one.
pub(crate) fn named(name: &str) -> Result<Vec<Workload>> {
    let ours = catalogue::ours();
    if name == "goals" {
        return Ok(ours.into_iter().filter(|workload| catalogue::has_goal(&workload.name)).collect());
    }
    if name == "cluster-goals" {
        return Ok(ours.into_iter().filter(|workload| workload.replicas > 1).collect());
    }
    if let Some(found) = ours.into_iter().find(|workload| workload.name == name) {
        return Ok(vec![found]);
    }
    if name.ends_with(".yaml") || name.ends_with(".yml") {
        let text = std::fs::read_to_string(name).with_context(|| name.to_owned())?;
        let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
        return Ok(vec![omb::from_yaml(&stem, &text).with_context(|| name.to_owned())?]);
    }
    match omb::from_name(name) {
        Some(workload) => Ok(vec![workload]),
        None => bail!("no workload {name}; --list names them"),
    }
}

/// Names and descriptions of all of ours, and how those of OpenMessaging Benchmark are put together.
pub(crate) fn list() -> String {
    let ours = catalogue::ours();
    let width = ours.iter().map(|workload| workload.name.len()).max().unwrap_or(0);
    let line = |workload: &Workload| format!("{:width$}  {}\n", workload.name, workload.about);
    ours.iter().map(line).collect::<String>() + omb::NAMES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        assert_eq!(named("produce-64k").unwrap().len(), 1);
        assert!(named("goals").unwrap().len() > 10);
        assert!(named("goals").unwrap().iter().all(|workload| workload.replicas == -1));
        assert!(named("cluster-goals").unwrap().iter().all(|workload| workload.replicas == 3));
        assert_eq!(named("simple-workload").unwrap()[0].partitions, 10);
        assert!(named("nonsense").unwrap_err().to_string().contains("no workload nonsense"));
        assert!(named("/nowhere/x.yaml").unwrap_err().to_string().contains("x.yaml"));
        assert!(list().contains("backlog-drain"));
    }

    #[test]
    fn options_take_the_place_of_values() {
        let mut workload = named("produce-64k").unwrap().remove(0);
        Overrides::default().apply(&mut workload);
        assert_eq!(workload, named("produce-64k").unwrap()[0]);
        let overrides = Overrides {
            duration: Some(Duration::from_secs(1)),
            rate: Some(5.0),
            linger: Some(Duration::from_millis(2)),
            backlog_bytes: Some(7),
            durabilities: vec![Durability::Synced],
            ..Overrides::default()
        };
        overrides.apply(&mut workload);
        assert_eq!((workload.duration_s, workload.linger_ms, workload.backlog_bytes), (1.0, 2.0, 0));
        assert_eq!((workload.rate, workload.durabilities), (Rate::PerSecond(5.0), vec![Durability::Synced]));
    }
}
