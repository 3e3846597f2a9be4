//! Many clients that come at once: each opens a connection, asks for versions, sends a record, and stays.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream;
use goatq_protocol::message::ProduceRequest;
use goatq_protocol::message::produce::{PartitionProduceData, TopicProduceData};
use goatq_protocol::record::{BatchBuilder, BatchOptions, NewRecord};
use goatq_protocol::wire::Records;

use crate::args::RunArgs;
use crate::clock::wall_ms;
use crate::cluster::{self, Partition};
use crate::report::Report;
use crate::run::Run;
use crate::stats::Counts;
use crate::wire::Connection;
use crate::workload::Workload;

/// Connections that are being opened at the same time.
const AT_ONCE: usize = 100;
/// What the broker may take for a record.
const TIMEOUT_MS: i32 = 30_000;

pub(super) async fn run(workload: &Workload, args: &RunArgs) -> Result<Report> {
    let partitions = cluster::partitions(&args.bootstrap, &args.topic).await?;
    let count = workload.producers;
    let args = RunArgs { records: Some(count as u64), warm_up: Duration::ZERO, ..args.clone() };
    let value = vec![7; workload.value_size];
    let run = Run::new(&args);
    let open = Cell::new(Vec::with_capacity(count));
    let work = async {
        run.begun().await;
        let arrivals = stream::iter(0..count).map(|index| {
            let partition = &partitions[index % partitions.len()];
            arrive(partition, &value, &run)
        });
        let mut arrivals = arrivals.buffer_unordered(AT_ONCE);
        let mut connections = open.take();
        while let Some(connection) = arrivals.next().await {
            connections.extend(connection?);
        }
        open.set(connections);
        Ok(())
    };
    let measured = run.measure(&args, work).await?;
    let mut report = Report::new(&workload.name, &args, &run, &measured);
    report.payload(workload.value_size);
    report.figures.insert("connections open".to_owned(), open.take().len() as f64);
    Ok(report)
}

/// One client; its connection if the broker took the record.
async fn arrive(partition: &Partition, value: &[u8], run: &Run) -> Result<Option<Connection>> {
    let began = run.clock.now();
    let mut connection = Connection::open(&partition.leader).await?;
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(NewRecord { timestamp: wall_ms(), value: Some(value), ..NewRecord::default() })?;
    let records: Records = builder.build_batch()?.to_chunks().into_iter().collect();
    let counts = Counts { records: 1, requests: 1, batch_bytes: records.len() as u64 };
    let partition_data = vec![PartitionProduceData { index: partition.index, records: Some(records) }];
    let topic = TopicProduceData { topic_id: partition.topic_id, name: partition.topic.clone(), partition_data };
    let request = ProduceRequest { transactional_id: None, acks: -1, timeout_ms: TIMEOUT_MS, topic_data: vec![topic] };
    let answer = connection.call(&request).await?;
    let mut answers = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    let answer = answers.next().context("an answer without the partition")?;
    let done = run.clock.now();
    let mut stats = run.stats.borrow_mut();
    if !stats.check(answer.error_code)? {
        return Ok(None);
    }
    stats.completed(done, done, counts);
    stats.latency(done, began, done);
    Ok(Some(connection))
}
