//! The options of `compare`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::args::{parse_amount, parse_bytes, parse_millis, parse_rate, parse_seconds};
use crate::compare::{Running, Start};
use crate::workload::{Durability, Overrides};

/// Options of `compare`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompareArgs {
    /// A broker to start, as NAME=COMMAND with {port} and {dir} in the command, which is given to sh; may be repeated. A command
    /// that ends with status 0 must print the process ids of the broker or brokers that it leaves behind, on its last line
    #[arg(long)]
    pub(crate) start: Vec<Start>,
    /// A broker that runs, as name=NAME,bootstrap=HOST:PORT,pid=PID[,kind=goatq|kafka]; may be repeated
    #[arg(long)]
    pub(crate) system: Vec<Running>,
    /// Workloads, separated by commas: names, yaml files of OpenMessaging Benchmark, `goals` (of one node) or `cluster-goals` (of three)
    #[arg(long, value_delimiter = ',')]
    pub(crate) workload: Vec<String>,
    /// Lists the workloads
    #[arg(long)]
    pub(crate) list: bool,
    /// Runs of each system
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// The system that the others are held against
    #[arg(long, default_value = "kafka")]
    pub(crate) reference: String,
    /// Seconds of the first workload that everyone gets before anything is measured
    #[arg(long, default_value = "10", value_parser = parse_seconds)]
    pub(crate) prime: Duration,
    /// Seconds for which the disk has to be at rest before each run, with everything dirty written; 0 does without
    #[arg(long, default_value = "1.5", value_parser = parse_seconds)]
    pub(crate) settle: Duration,
    /// Seconds that a run may take beyond its duration, for topics, backlogs and late answers
    #[arg(long, default_value = "600", value_parser = parse_seconds)]
    pub(crate) patience: Duration,
    /// First port of brokers that are started
    #[arg(long, default_value_t = 31_900)]
    pub(crate) port_base: u16,
    /// Folder for the data of brokers that are started, and for the floor
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Leaves out the floor (see `limit`)
    #[arg(long)]
    pub(crate) no_floor: bool,
    /// Seconds of each line of the floor in each round; as long as the workload, at most 10, unless given
    #[arg(long, value_parser = parse_seconds)]
    pub(crate) floor_seconds: Option<Duration>,
    /// Bytes of the sustained lines of the floor in each round
    #[arg(long, default_value = "2g", value_parser = parse_amount)]
    pub(crate) floor_bytes: u64,
    /// Earlier results (JSON) that go into the report; without workloads nothing new is measured
    #[arg(long)]
    pub(crate) from: Vec<PathBuf>,
    /// Writes everything as JSON to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Writes a page with plots to this file
    #[arg(long)]
    pub(crate) html: Option<PathBuf>,
    /// Writes results under the keys of OpenMessaging Benchmark to this folder, a file for each system, mode and workload
    #[arg(long)]
    pub(crate) omb: Option<PathBuf>,
    /// Only these modes
    #[arg(long, value_delimiter = ',')]
    pub(crate) durability: Vec<Durability>,
    /// Seconds to measure, in place of the workload's
    #[arg(long, value_parser = parse_seconds)]
    pub(crate) duration: Option<Duration>,
    /// Seconds before measuring starts, in place of the workload's
    #[arg(long, value_parser = parse_seconds)]
    pub(crate) warm_up: Option<Duration>,
    /// Records per second, in place of the workload's
    #[arg(long, value_parser = parse_rate)]
    pub(crate) rate: Option<f64>,
    /// Partitions of each topic, in place of the workload's
    #[arg(long)]
    pub(crate) partitions: Option<i32>,
    /// Replicas of each partition, in place of the workload's
    #[arg(long)]
    pub(crate) replicas: Option<i16>,
    /// Bytes of values, in place of the workload's
    #[arg(long, value_parser = parse_bytes)]
    pub(crate) record_size: Option<usize>,
    /// Producers of each topic, in place of the workload's
    #[arg(long)]
    pub(crate) producers: Option<usize>,
    /// Consumers of each subscription, in place of the workload's
    #[arg(long)]
    pub(crate) consumers: Option<usize>,
    /// Records of a batch, in place of the workload's
    #[arg(long)]
    pub(crate) batch_records: Option<usize>,
    /// Milliseconds that records wait for more, in place of the workload's
    #[arg(long, value_parser = parse_millis)]
    pub(crate) linger: Option<Duration>,
    /// Requests under way on a connection, in place of the workload's
    #[arg(long)]
    pub(crate) in_flight: Option<u16>,
    /// Distinct keys, in place of the workload's
    #[arg(long)]
    pub(crate) keys: Option<u32>,
    /// Bytes of the backlog, in place of the workload's
    #[arg(long, value_parser = parse_amount)]
    pub(crate) backlog: Option<u64>,
}

impl CompareArgs {
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            duration: self.duration,
            warm_up: self.warm_up,
            rate: self.rate,
            partitions: self.partitions,
            replicas: self.replicas,
            value_size: self.record_size,
            producers: self.producers,
            consumers: self.consumers,
            batch_records: self.batch_records,
            linger: self.linger,
            in_flight: self.in_flight,
            keys: self.keys,
            backlog_bytes: self.backlog,
            durabilities: self.durability.clone(),
        }
    }
}
