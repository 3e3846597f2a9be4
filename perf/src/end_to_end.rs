//! The `end-to-end` command.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use goatq_protocol::record::Limits;

use crate::args::EndToEndArgs;
use crate::cluster;
use crate::fetch::Reader;
use crate::payload::stamp_of;
use crate::produce;
use crate::report::Report;
use crate::run::Run;

/// How long records may take to arrive after the last one was acknowledged.
const ARRIVAL: Duration = Duration::from_secs(10);

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
    let mut lanes = produce::lanes(&partitions, &args.run, &args.load, Some(args.rate), true).await?;
    let run = Run::new(&args.run);
    for lane in &mut lanes {
        lane.start_at(run.begin);
    }
    let progress = Progress::default();
    let sending = async {
        try_join_all(lanes.into_iter().map(|lane| lane.run(&run, &progress.sent))).await?;
        progress.sent_at.set(Some(run.clock.now()));
        Ok(())
    };
    let receiving = try_join_all(readers.into_iter().map(|reader| receive(reader, &run, &progress)));
    let work = async { tokio::try_join!(sending, receiving).map(drop) };
    let measured = run.measure(&args.run, work).await?;
    run.stats.borrow_mut().missing += progress.sent.get().saturating_sub(progress.received.get());
    let mut report = Report::new("end-to-end", &args.run, &run, &measured);
    report.payload(args.load.record_size);
    report.describe_load(&args.load, Some(args.rate), partitions.len());
    report.describe_fetch(&args.fetch, partitions.len());
    Ok(report)
}

/// What senders and receivers know of each other.
#[derive(Debug, Default)]
struct Progress {
    sent: Cell<u64>,
    received: Cell<u64>,
    /// When all acknowledgements were there.
    sent_at: Cell<Option<Duration>>,
}

impl Progress {
    fn complete(&self, now: Duration) -> bool {
        self.sent_at.get().is_some_and(|at| self.received.get() >= self.sent.get() || now > at + ARRIVAL)
    }
}

async fn receive(mut reader: Reader, run: &Run, progress: &Progress) -> Result<()> {
    while !progress.complete(run.clock.now()) {
        reader
            .fetch(run, |batch| {
                let done = run.clock.now();
                let mut stats = run.stats.borrow_mut();
                for record in batch.records(Limits::default()) {
                    if let Some(intended) = record?.value.as_deref().and_then(stamp_of) {
                        stats.received(intended, done);
                        progress.received.set(progress.received.get() + 1);
                    }
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}
