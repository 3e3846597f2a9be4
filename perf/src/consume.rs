//! The `consume` command.

use anyhow::{Result, bail};
use futures_util::future::try_join_all;

use crate::args::ConsumeArgs;
use crate::cluster;
use crate::fetch::Reader;
use crate::report::Report;
use crate::run::Run;
use crate::stats::Counts;

/// Runs the command.
pub(crate) async fn run(args: &ConsumeArgs) -> Result<Report> {
    let partitions = cluster::partitions(&args.run.bootstrap, &args.run.topic).await?;
    let mut readers = Vec::new();
    for hand in cluster::deal(&partitions, usize::from(args.run.connections)) {
        let mut reader = Reader::open(hand, &args.fetch).await?;
        // Fetching an empty partition would only make the broker wait.
        reader.drop_empty();
        if !reader.positions.is_empty() {
            readers.push(reader);
        }
    }
    if readers.is_empty() {
        bail!("the topics are empty");
    }
    let run = Run::new(&args.run);
    let work = async { try_join_all(readers.into_iter().map(|reader| read(reader, &run, args))).await.map(drop) };
    let measured = run.measure(&args.run, work).await?;
    let mut report = Report::new("consume", &args.run, &run, &measured);
    if let Some(size) = args.record_size {
        report.payload(size);
    }
    report.describe_fetch(&args.fetch, partitions.len());
    Ok(report)
}

/// Reads to the ends and starts again, until the run is over.
async fn read(mut reader: Reader, run: &Run, args: &ConsumeArgs) -> Result<()> {
    run.begun().await;
    while run.clock.now() < run.window().end {
        let mut counts = Counts { requests: 1, ..Counts::default() };
        let began = run.clock.now();
        let mut more = true;
        reader
            .fetch(run, |batch, _| {
                if args.check_crc {
                    batch.verify_crc()?;
                }
                let records = run.take(usize::try_from(batch.header().record_count).unwrap_or(0));
                more &= records > 0;
                counts.records += records as u64;
                counts.batch_bytes += batch.size() as u64;
                Ok(())
            })
            .await?;
        let done = run.clock.now();
        let mut stats = run.stats.borrow_mut();
        stats.completed(done, done, counts);
        stats.latency(done, began, done);
        if !more {
            break;
        }
        for position in &mut reader.positions {
            if position.next >= position.end {
                position.next = position.first;
            }
        }
    }
    Ok(())
}
