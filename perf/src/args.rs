//! The command line.

mod compare;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use goatq_protocol::record::Compression;

pub(crate) use crate::args::compare::CompareArgs;

/// Generates load for a Kafka broker and measures it.
#[derive(Debug, Parser)]
#[command(name = "goatq-perf", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sends records: as fast as the broker answers, or at a rate
    Produce(ProduceArgs),
    /// Reads topics from their start, over and over
    Consume(ConsumeArgs),
    /// Sends records at a rate and reads them at the same time: time from the intended sending to the receipt
    EndToEnd(EndToEndArgs),
    /// Starts a broker and takes the time to its first acknowledgement; kills it (kill -9) at the end
    Start(StartArgs),
    /// Measures what this machine can do at best, without a broker
    Limit(LimitArgs),
    /// Runs workloads against several brokers in turn, and reports
    Compare(CompareArgs),
    /// Creates or deletes topics
    Topic(TopicArgs),
    /// Prints reports as a table in Markdown
    Table(TableArgs),
}

/// Options of every measurement.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// Address of a broker
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub(crate) bootstrap: String,
    /// Topics, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "goatq-perf")]
    pub(crate) topic: Vec<String>,
    /// Connections to each broker that leads partitions
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections: u16,
    /// Seconds to measure, after the warm-up
    #[arg(long, default_value = "10", value_parser = parse_seconds)]
    pub(crate) duration: Duration,
    /// Ends after this many records, warm-up included, instead of after the duration
    #[arg(long)]
    pub(crate) records: Option<u64>,
    /// Seconds before measuring starts
    #[arg(long, default_value = "2", value_parser = parse_seconds)]
    pub(crate) warm_up: Duration,
    /// Process id of the broker, whose CPU time and memory are to be reported; may be repeated
    #[arg(long)]
    pub(crate) broker_pid: Vec<u32>,
    /// Writes the report as JSON to this file, or to the standard output if it is -
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// What was measured, as a name for tables
    #[arg(long, default_value = "")]
    pub(crate) scenario: String,
    /// Who was measured, as a name for tables
    #[arg(long, default_value = "")]
    pub(crate) label: String,
    /// No progress on standard error
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Counts errors in answers and goes on, instead of stopping at the first one
    #[arg(long)]
    pub(crate) keep_going: bool,
}

/// Options of what is sent.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// Bytes of each record's value; 1k is 1024
    #[arg(long, default_value = "1k", value_parser = parse_bytes)]
    pub(crate) record_size: usize,
    /// Bytes of values that fill a batch
    #[arg(long, default_value = "16k", value_parser = parse_bytes)]
    pub(crate) batch_bytes: usize,
    /// Records that fill a batch, in place of --batch-bytes
    #[arg(long)]
    pub(crate) batch_records: Option<usize>,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "none", value_parser = parse_codec)]
    pub(crate) codec: Compression,
    /// Level of the codec
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) level: Option<i32>,
    /// all (or -1), 1 or 0
    #[arg(long, default_value = "all", value_parser = parse_acks, allow_negative_numbers = true)]
    pub(crate) acks: i16,
    /// Requests per connection that wait for their answer at most
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) in_flight: u16,
    /// Distinct keys; 0 sends none
    #[arg(long, default_value_t = 0)]
    pub(crate) keys: u32,
    /// Part of each value that is random, the rest being zeros
    #[arg(long, default_value_t = 1.0)]
    pub(crate) random_share: f64,
    /// Seed of keys and values
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Each record goes to any partition, as with keys, and a request has a batch for each of them; without it requests go to
    /// the partitions in turn
    #[arg(long)]
    pub(crate) scatter: bool,
    /// Milliseconds that records that are due wait for more, with a rate
    #[arg(long, default_value = "0", value_parser = parse_millis)]
    pub(crate) linger: Duration,
    /// Creates missing topics with this many partitions
    #[arg(long)]
    pub(crate) create: Option<i32>,
}

impl LoadArgs {
    /// Records that fill a batch, at least one.
    pub(crate) fn records_per_batch(&self) -> usize {
        self.batch_records.unwrap_or(self.batch_bytes / self.record_size.max(1)).max(1)
    }
}

/// Options of `produce`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProduceArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Records per second over all connections; without it the next batch is sent as soon as an answer makes room
    #[arg(long, value_parser = parse_rate)]
    pub(crate) rate: Option<f64>,
}

/// Options of fetch requests.
#[derive(Debug, Clone, Args)]
pub(crate) struct FetchArgs {
    /// fetch.max.bytes
    #[arg(long, default_value = "50m", value_parser = parse_bytes)]
    pub(crate) fetch_max_bytes: usize,
    /// max.partition.fetch.bytes
    #[arg(long, default_value = "1m", value_parser = parse_bytes)]
    pub(crate) partition_max_bytes: usize,
    /// fetch.min.bytes
    #[arg(long, default_value = "1", value_parser = parse_bytes)]
    pub(crate) fetch_min_bytes: usize,
    /// fetch.max.wait.ms
    #[arg(long, default_value_t = 500)]
    pub(crate) fetch_max_wait_ms: i32,
    /// Uses fetch sessions (KIP-227): requests name only partitions whose offset has changed
    #[arg(long)]
    pub(crate) sessions: bool,
}

/// Options of `consume`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConsumeArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) fetch: FetchArgs,
    /// Bytes of each record's value, if known: throughput is then that of the values, else of whole batches
    #[arg(long, value_parser = parse_bytes)]
    pub(crate) record_size: Option<usize>,
    /// Verifies the CRC of every batch
    #[arg(long)]
    pub(crate) check_crc: bool,
}

/// Options of `end-to-end`.
#[derive(Debug, Clone, Args)]
pub(crate) struct EndToEndArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    #[command(flatten)]
    pub(crate) fetch: FetchArgs,
    /// Records per second over all connections
    #[arg(long, default_value = "5000", value_parser = parse_rate)]
    pub(crate) rate: f64,
}

/// Options of `topic`.
#[derive(Debug, Clone, Args)]
pub(crate) struct TopicArgs {
    /// create, recreate or delete
    #[arg(value_parser = ["create", "recreate", "delete"])]
    pub(crate) action: String,
    /// Address of a broker
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub(crate) bootstrap: String,
    /// Topics, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "goatq-perf")]
    pub(crate) topic: Vec<String>,
    /// Partitions of each topic
    #[arg(long, default_value_t = 1)]
    pub(crate) partitions: i32,
    /// Replicas of each partition, -1 for the broker's default
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) replication_factor: i16,
    /// Config of the topics as name=value; may be repeated
    #[arg(long, value_parser = parse_config)]
    pub(crate) config: Vec<(String, String)>,
}

/// Options of `start`.
#[derive(Debug, Clone, Args)]
pub(crate) struct StartArgs {
    /// Where the broker will be
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub(crate) bootstrap: String,
    /// Topic of the record; made if it is not there
    #[arg(long, default_value = "goatq-perf-start")]
    pub(crate) topic: String,
    /// Seconds of rest before memory is looked at
    #[arg(long, default_value = "2", value_parser = parse_seconds)]
    pub(crate) settle: Duration,
    /// The broker and its arguments
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<String>,
}

/// Options of `limit`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LimitArgs {
    /// Folder on the file system that is to be measured
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Seconds to measure each line
    #[arg(long, default_value = "2", value_parser = parse_seconds)]
    pub(crate) seconds: Duration,
    /// What the sustained lines write, however long that takes, and the others at most
    #[arg(long, default_value = "4g", value_parser = parse_amount)]
    pub(crate) bytes: u64,
    /// Bytes of a frame that is received
    #[arg(long, default_value = "64k", value_parser = parse_bytes)]
    pub(crate) frame: usize,
    /// Only lines whose name this regular expression matches
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// Writes the result as JSON to this file, or to the standard output (and nothing else there) if it is -
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

/// Options of `table`.
#[derive(Debug, Clone, Args)]
pub(crate) struct TableArgs {
    /// Reports written with --json
    #[arg(required = true)]
    pub(crate) reports: Vec<PathBuf>,
}

fn parse_codec(name: &str) -> Result<Compression, String> {
    Compression::from_name(name).ok_or_else(|| "none, gzip, snappy, lz4 or zstd".to_owned())
}

fn parse_acks(acks: &str) -> Result<i16, String> {
    match acks {
        "all" | "-1" => Ok(-1),
        "1" => Ok(1),
        "0" => Ok(0),
        _ => Err("all, 1 or 0".to_owned()),
    }
}

fn parse_seconds(seconds: &str) -> Result<Duration, String> {
    let seconds: f64 = seconds.trim_end_matches('s').parse().map_err(|_| "a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn parse_millis(millis: &str) -> Result<Duration, String> {
    let millis: f64 = millis.trim_end_matches("ms").parse().map_err(|_| "a number of milliseconds")?;
    Duration::try_from_secs_f64(millis / 1e3).map_err(|error| error.to_string())
}

fn parse_rate(rate: &str) -> Result<f64, String> {
    let rate: f64 = rate.parse().map_err(|_| "a number of records per second")?;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err("must be above 0".to_owned()) }
}

/// Bytes that fit a message.
fn parse_bytes(text: &str) -> Result<usize, String> {
    let bytes = parse_amount(text)?;
    if bytes <= i32::MAX as u64 { Ok(bytes as usize) } else { Err("must be below 2g".to_owned()) }
}

fn parse_amount(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, shift) = match lower.strip_suffix(['k', 'm', 'g']) {
        Some(digits) if lower.ends_with('k') => (digits, 10),
        Some(digits) if lower.ends_with('m') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (&lower[..], 0),
    };
    let number: u32 = digits.parse().map_err(|_| "a number of bytes, or one followed by k, m or g")?;
    Ok(u64::from(number) << shift)
}

fn parse_config(config: &str) -> Result<(String, String), String> {
    let (name, value) = config.split_once('=').ok_or("name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        assert_eq!(parse_bytes("100"), Ok(100));
        assert_eq!(parse_bytes("16K"), Ok(16_384));
        assert_eq!(parse_bytes("1m"), Ok(1 << 20));
        assert_eq!(parse_bytes("1g"), Ok(1 << 30));
        assert!(parse_bytes("2g").is_err());
        assert!(parse_bytes("4294967295g").is_err());
        assert_eq!(parse_amount("4g"), Ok(4 << 30));
        assert!(parse_bytes("k").is_err());
        assert!(parse_bytes("-1").is_err());
        assert_eq!(parse_acks("all"), Ok(-1));
        assert!(parse_acks("2").is_err());
        assert_eq!(parse_seconds("0.5s"), Ok(Duration::from_millis(500)));
        assert!(parse_seconds("-1").is_err());
        assert!(parse_rate("0").is_err());
        assert!(parse_rate("inf").is_err());
        assert_eq!(parse_config("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["goatq-perf", "produce", "--record-size", "100", "--acks", "-1"]).unwrap();
        let Command::Produce(args) = cli.command else { panic!("{cli:?}") };
        assert_eq!(args.load.records_per_batch(), 163);
        assert_eq!(args.run.duration, Duration::from_secs(10));
    }
}
