//! Runs one workload once against one broker.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use goatq_protocol::record::Compression;

use crate::args::{ConsumeArgs, FetchArgs, LoadArgs, ProduceArgs, RunArgs};
use crate::cluster::{self, Partition, TopicSpec};
use crate::fetch::Reader;
use crate::produce::{self, Lane};
use crate::report::Report;
use crate::run::Run;
use crate::workload::consumers::{Progress, drain, read_once, tail};
use crate::workload::{Rate, Task, Workload, storm};
use crate::{clock, consume};

/// Bytes of values in the batches of a backlog.
const BACKLOG_BATCH: usize = 64 << 10;
/// How long a backlog may take to be written.
const BACKLOG_WITHIN: Duration = Duration::from_secs(3600);

/// The broker that is measured.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) bootstrap: String,
    pub(crate) pids: Vec<u32>,
    /// Configs of topics that bring about the wanted durability.
    pub(crate) configs: Vec<(String, String)>,
    /// Who is measured, for the report.
    pub(crate) label: String,
    /// Records per second in place of [`Rate::ShareOf`].
    pub(crate) rate: Option<f64>,
}

/// Makes topics, runs the workload in them, and deletes them.
pub(crate) async fn execute(workload: &Workload, site: &Site) -> Result<Report> {
    let run = workload.run_args(site);
    let mut configs = site.configs.clone();
    configs.extend(workload.configs.iter().map(|(name, value)| (name.clone(), value.clone())));
    // Room comes back at once for the next run.
    configs.push(("file.delete.delay.ms".to_owned(), "1000".to_owned()));
    let spec = TopicSpec { partitions: workload.partitions, replication_factor: workload.replicas, configs };
    cluster::create(&site.bootstrap, &run.topic, &spec).await?;
    let measured = in_topics(workload, site, &run).await;
    let deleted = cluster::delete(&site.bootstrap, &run.topic).await;
    let report = measured?;
    deleted?;
    Ok(report)
}

async fn in_topics(workload: &Workload, site: &Site, run: &RunArgs) -> Result<Report> {
    // The first record of a partition costs some brokers a file or two: that is not what is measured.
    fill(workload, run, workload.topics as u64 * u64::from(workload.partitions.unsigned_abs()), 1).await?;
    if workload.backlog_bytes > 0 && workload.task != Task::Produce {
        let records = workload.backlog_bytes / workload.value_size as u64;
        fill(workload, run, records, BACKLOG_BATCH / workload.value_size).await.context("writing the backlog")?;
    }
    if workload.task == Task::ColdRead {
        drop_caches()?;
    }
    let fetch = FetchArgs {
        fetch_max_bytes: 50 << 20,
        partition_max_bytes: 1 << 20,
        fetch_min_bytes: 1,
        fetch_max_wait_ms: 500,
        sessions: true,
    };
    let mut report = match workload.task {
        Task::Fetch => {
            let run = RunArgs { connections: connections(workload.consumers)?, ..run.clone() };
            let args = ConsumeArgs { run, fetch, record_size: Some(workload.value_size), check_crc: false };
            consume::run(&args).await?
        }
        Task::Storm => storm::run(workload, run).await?,
        Task::Produce | Task::Drain | Task::ColdRead => produce_and_consume(workload, site, run, &fetch).await?,
    };
    workload.name.clone_into(&mut report.command);
    Ok(report)
}

/// Readers of a run, by what they read.
#[derive(Default)]
struct Readers {
    tail: Vec<Reader>,
    drain: Vec<Reader>,
    cold: Vec<Reader>,
}

impl Readers {
    async fn open(workload: &Workload, topics: &[Vec<Partition>], fetch: &FetchArgs) -> Result<Self> {
        let mut readers = Self::default();
        for topic in topics {
            for _ in 0..if workload.consumers > 0 { workload.subscriptions } else { 0 } {
                for hand in cluster::deal(topic, workload.consumers) {
                    let mut reader = Reader::open(hand, fetch).await?;
                    if workload.task == Task::Drain {
                        readers.drain.push(reader);
                    } else {
                        reader.seek_to_end();
                        readers.tail.push(reader);
                    }
                }
            }
            if workload.task == Task::ColdRead {
                for hand in cluster::deal(topic, 1) {
                    readers.cold.push(Reader::open(hand, fetch).await?);
                }
            }
        }
        Ok(readers)
    }
}

async fn produce_and_consume(
    workload: &Workload,
    site: &Site,
    run_args: &RunArgs,
    fetch: &FetchArgs,
) -> Result<Report> {
    let rate = match &workload.rate {
        Rate::Full => None,
        Rate::PerSecond(rate) => Some(*rate),
        Rate::ShareOf { workload, .. } => Some(site.rate.with_context(|| format!("{workload} was not measured"))?),
    };
    let partitions = cluster::partitions(&run_args.bootstrap, &run_args.topic).await?;
    let topics: Vec<Vec<Partition>> =
        partitions.chunk_by(|one, next| one.topic == next.topic).map(<[Partition]>::to_vec).collect();
    let readers = Readers::open(workload, &topics, fetch).await?;
    let consumed = workload.consumers > 0;
    let load = workload.load_args();
    ensure!(!consumed || load.record_size >= 8, "records of at least 8 bytes carry the time of their sending");
    let lanes = open_lanes(workload, &topics, &load, rate, consumed).await?;
    let run = Run::new(run_args);
    let progress = Progress::new(workload.subscriptions, readers.drain.len() + readers.cold.len());
    let sending = async {
        produce::all(lanes, &run, &progress.sent).await?;
        progress.all_sent(run.clock.now());
        Ok(())
    };
    let tails = try_join_all(readers.tail.into_iter().map(|reader| tail(reader, &run, &progress)));
    let drains = try_join_all(readers.drain.into_iter().map(|reader| drain(reader, &run, &progress)));
    let colds = try_join_all(readers.cold.into_iter().map(|reader| read_once(reader, &run, &progress)));
    let work = async { tokio::try_join!(sending, tails, drains, colds).map(drop) };
    let measured = run.measure(run_args, work).await?;
    if consumed {
        run.stats.borrow_mut().missing += progress.lost();
    }
    let mut report = Report::new(&workload.name, run_args, &run, &measured);
    report.payload(workload.value_size);
    report.describe_load(&load, rate, partitions.len());
    if workload.task != Task::Produce {
        let until = progress.caught_up_at.get().unwrap_or(run.window().end);
        let seconds = until.saturating_sub(run.window().start).as_secs_f64();
        let mb = progress.old_bytes.get() as f64 / 1e6;
        report.figures.insert("backlog MB/s".to_owned(), if seconds > 0.0 { mb / seconds } else { 0.0 });
        report.figures.insert("backlog MB read".to_owned(), mb);
        let all = if progress.caught_up_at.get().is_some() { 1.0 } else { 0.0 };
        report.figures.insert("backlog read to its end (1: yes)".to_owned(), all);
    }
    Ok(report)
}

/// The producers of all topics, sharing one schedule.
async fn open_lanes(
    workload: &Workload,
    topics: &[Vec<Partition>],
    load: &LoadArgs,
    rate: Option<f64>,
    stamped: bool,
) -> Result<Vec<Lane>> {
    let hands: Vec<_> = topics.iter().flat_map(|topic| produce::hands(topic, workload.producers)).collect();
    produce::lanes(&hands, load, rate, stamped).await
}

/// Writes so many records to all partitions in turn, over one connection.
async fn fill(workload: &Workload, run: &RunArgs, records: u64, batch: usize) -> Result<()> {
    let run = RunArgs {
        records: Some(records.max(1)),
        connections: 1,
        warm_up: Duration::ZERO,
        duration: BACKLOG_WITHIN,
        broker_pid: Vec::new(),
        ..run.clone()
    };
    let load = LoadArgs {
        batch_records: Some(batch.max(1)),
        linger: Duration::ZERO,
        scatter: false,
        in_flight: 5,
        ..workload.load_args()
    };
    let report = produce::run(&ProduceArgs { run, load, rate: None }).await?;
    ensure!(report.errors.is_empty(), "{:?}", report.errors);
    Ok(())
}

/// Makes everything that is on disk leave the page cache.
fn drop_caches() -> Result<()> {
    rustix::fs::sync();
    let file = std::fs::OpenOptions::new().write(true).open("/proc/sys/vm/drop_caches");
    match file.and_then(|mut file| file.write_all(b"1")) {
        Ok(()) => Ok(()),
        Err(error) => bail!("emptying the page cache (this takes root): {error}"),
    }
}

pub(super) fn connections(count: usize) -> Result<u16> {
    u16::try_from(count).context("more than 65,535 connections")
}

impl Workload {
    fn run_args(&self, site: &Site) -> RunArgs {
        // Never the same topic twice: brokers delete at leisure.
        let topic = format!("perf-{}-{}", self.name, clock::wall_ms());
        let topics =
            (0..self.topics).map(|index| if self.topics > 1 { format!("{topic}-{index}") } else { topic.clone() });
        RunArgs {
            bootstrap: site.bootstrap.clone(),
            topic: topics.collect(),
            connections: 1,
            duration: Duration::from_secs_f64(self.duration_s),
            records: None,
            warm_up: Duration::from_secs_f64(self.warm_up_s),
            broker_pid: site.pids.clone(),
            json: None,
            scenario: self.name.clone(),
            label: site.label.clone(),
            quiet: true,
            keep_going: true,
        }
    }

    pub(super) fn load_args(&self) -> LoadArgs {
        LoadArgs {
            record_size: self.value_size,
            batch_bytes: 0,
            batch_records: Some(self.batch_records),
            codec: Compression::None,
            level: None,
            acks: -1,
            in_flight: self.in_flight,
            keys: self.keys,
            random_share: self.random_share,
            seed: 1,
            scatter: self.scatter,
            linger: Duration::from_secs_f64(self.linger_ms / 1e3),
            create: None,
        }
    }
}
