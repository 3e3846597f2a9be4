//! The `end-to-end` command.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use crate::args::EndToEndArgs;
use crate::cluster;
use crate::fetch::Reader;
use crate::produce;
use crate::report::Report;
use crate::run::Run;
use crate::workload::{Progress, tail};

/// Runs the command.
pub(crate) async fn run(args: &EndToEndArgs) -> Result<Report> {
    ensure!(args.load.record_size >= 8, "records of at least 8 bytes carry the time of their sending");
    ensure!(args.load.acks != 0, "records without acknowledgement cannot be missed: --acks 1 or all");
    let partitions = produce::prepare(&args.run, &args.load).await?;
    let mut readers = Vec::new();
    for hand in cluster::deal(&partitions, usize::from(args.run.connections)) {
        let mut reader = Reader::open(hand, &args.fetch).await?;
        reader.seek_to_end();
        readers.push(reader);
    }
    let hands = produce::hands(&partitions, usize::from(args.run.connections));
    let lanes = produce::lanes(&hands, &args.load, Some(args.rate), true).await?;
    let run = Run::new(&args.run);
    let progress = Progress::new(1, 0);
    let sending = async {
        produce::all(lanes, &run, &progress.sent).await?;
        progress.all_sent(run.clock.now());
        Ok(())
    };
    let receiving = try_join_all(readers.into_iter().map(|reader| tail(reader, &run, &progress)));
    let work = async { tokio::try_join!(sending, receiving).map(drop) };
    let measured = run.measure(&args.run, work).await?;
    run.stats.borrow_mut().missing += progress.lost();
    let mut report = Report::new("end-to-end", &args.run, &run, &measured);
    report.payload(args.load.record_size);
    report.describe_load(&args.load, Some(args.rate), partitions.len());
    report.describe_fetch(&args.fetch, partitions.len());
    Ok(report)
}
