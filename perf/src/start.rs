//! The `start` command: how long a broker takes from the start of its process to its first acknowledgement.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use goatq_protocol::message::ProduceRequest;
use goatq_protocol::message::produce::{PartitionProduceData, TopicProduceData};
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};

use crate::args::StartArgs;
use crate::clock::{Clock, wall_ms};
use crate::cluster::{self, TopicSpec};
use crate::process::Sample;
use crate::wire::{Connection, check};

/// How often a connection is tried.
const RETRY: Duration = Duration::from_millis(1);
/// How long a broker may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the broker may take for the record.
const TIMEOUT_MS: i32 = 30_000;

/// A broker that is killed (kill -9) when this goes.
struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts the broker, writes one record, waits until the broker is at rest, prints what was seen, and kills it.
pub(crate) async fn run(args: &StartArgs) -> Result<()> {
    let (program, arguments) = args.command.split_first().context("no command")?;
    let clock = Clock::start();
    let spawned = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let mut broker = Broker(spawned.with_context(|| format!("starting {program}"))?);
    let connected = async {
        loop {
            match Connection::open(&args.bootstrap).await {
                Ok(_) => return Ok(clock.now()),
                Err(error) => match broker.0.try_wait()? {
                    Some(status) => bail!("{program} ended ({status}) before it served: {error:#}"),
                    None => tokio::time::sleep(RETRY).await,
                },
            }
        }
    };
    let connected = tokio::time::timeout(PATIENCE, connected).await.context("the broker does not serve")??;
    write_one(args).await?;
    let acknowledged = clock.now();
    tokio::time::sleep(args.settle).await;
    let sample = Sample::take(&[broker.0.id()])?;
    println!(
        "first answer after {:.0} ms, first record acknowledged after {:.0} ms; at rest: RSS {:.1} MiB, CPU so far {:.2} s",
        connected.as_secs_f64() * 1e3,
        acknowledged.as_secs_f64() * 1e3,
        sample.rss as f64 / f64::from(1 << 20),
        sample.cpu.as_secs_f64(),
    );
    Ok(())
}

/// Makes the topic if it is not there, and writes one record to its first partition, acks=all.
async fn write_one(args: &StartArgs) -> Result<()> {
    let topics = [args.topic.clone()];
    let spec = TopicSpec { partitions: 1, replication_factor: -1, configs: Vec::new() };
    cluster::create(&args.bootstrap, &topics, &spec).await?;
    let partitions = cluster::partitions(&args.bootstrap, &topics).await?;
    let partition = partitions.first().context("no partition")?;
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(NewRecord { timestamp: wall_ms(), value: Some(b"first"), ..NewRecord::default() })?;
    let records = builder.build_batch()?.to_chunks().into_iter().collect();
    let request = ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: TIMEOUT_MS,
        topic_data: vec![TopicProduceData {
            topic_id: partition.topic_id,
            name: partition.topic.clone(),
            partition_data: vec![PartitionProduceData { index: partition.index, records: Some(records) }],
        }],
    };
    let answer = Connection::open(&partition.leader).await?.call(&request).await?;
    let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.try_for_each(|partition| check(partition.error_code))
}
