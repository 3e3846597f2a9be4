//! The reading half of workloads: consumers at the tail, and readers of what was there before.

use std::cell::Cell;
use std::time::Duration;

use anyhow::Result;
use goatq_protocol::record::Limits;

use crate::fetch::Reader;
use crate::payload::stamp_of;
use crate::run::Run;
use crate::stats::Counts;

/// How long records may take to arrive after the last one was acknowledged.
const ARRIVAL: Duration = Duration::from_secs(10);

/// What senders and receivers know of each other.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) sent: Cell<u64>,
    pub(crate) received: Cell<u64>,
    /// How many consumers get each record.
    copies: u64,
    /// When all acknowledgements were there.
    sent_at: Cell<Option<Duration>>,
    /// Readers that have not read what was there before.
    behind: Cell<usize>,
    /// Bytes of batches that were there before and have been read.
    pub(crate) old_bytes: Cell<u64>,
    /// When the last reader had read all of them.
    pub(crate) caught_up_at: Cell<Option<Duration>>,
}

impl Progress {
    /// `behind` readers begin with what is there already.
    pub(crate) fn new(copies: usize, behind: usize) -> Self {
        Self {
            sent: Cell::new(0),
            received: Cell::new(0),
            copies: copies as u64,
            sent_at: Cell::new(None),
            behind: Cell::new(behind),
            old_bytes: Cell::new(0),
            caught_up_at: Cell::new(None),
        }
    }

    /// All records are sent and acknowledged.
    pub(crate) fn all_sent(&self, now: Duration) {
        self.sent_at.set(Some(now));
    }

    /// Records that were acknowledged and did not arrive.
    pub(crate) fn lost(&self) -> u64 {
        (self.sent.get() * self.copies).saturating_sub(self.received.get())
    }

    fn complete(&self, now: Duration) -> bool {
        self.sent_at.get().is_some_and(|at| self.lost() == 0 || now > at + ARRIVAL)
    }

    /// A reader has read everything old. With the last of them the run is over.
    fn caught_up(&self, run: &Run) {
        self.behind.set(self.behind.get().saturating_sub(1));
        if self.behind.get() == 0 {
            self.caught_up_at.set(Some(run.clock.now()));
            run.end_now();
        }
    }
}

/// Reads what is produced, until everything has arrived.
pub(crate) async fn tail(mut reader: Reader, run: &Run, progress: &Progress) -> Result<()> {
    while !progress.complete(run.clock.now()) {
        receive(&mut reader, run, progress, true).await?;
    }
    Ok(())
}

/// Reads what was there before, from when measuring starts, and goes on at the tail.
pub(crate) async fn drain(mut reader: Reader, run: &Run, progress: &Progress) -> Result<()> {
    read_old(&mut reader, run, progress, true).await?;
    tail(reader, run, progress).await
}

/// Reads what was there before, from when measuring starts, once. New records, which it meets where one partition ends before the
/// others, are the business of whoever reads at the tail.
pub(crate) async fn read_once(mut reader: Reader, run: &Run, progress: &Progress) -> Result<()> {
    read_old(&mut reader, run, progress, false).await
}

async fn read_old(reader: &mut Reader, run: &Run, progress: &Progress, new_too: bool) -> Result<()> {
    tokio::time::sleep(run.window().start.saturating_sub(run.clock.now())).await;
    while !reader.caught_up() {
        if run.clock.now() >= run.window().end {
            return Ok(());
        }
        receive(reader, run, progress, new_too).await?;
    }
    progress.caught_up(run);
    Ok(())
}

async fn receive(reader: &mut Reader, run: &Run, progress: &Progress, new_too: bool) -> Result<()> {
    let mut counts = Counts { requests: 1, ..Counts::default() };
    reader
        .fetch(run, |batch, old| {
            if old {
                progress.old_bytes.set(progress.old_bytes.get() + batch.size() as u64);
                return Ok(());
            }
            if !new_too {
                return Ok(());
            }
            let done = run.clock.now();
            let mut stats = run.stats.borrow_mut();
            for record in batch.records(Limits::default()) {
                counts.records += 1;
                if let Some(intended) = record?.value.as_deref().and_then(stamp_of) {
                    stats.received(intended, done);
                }
            }
            counts.batch_bytes += batch.size() as u64;
            Ok(())
        })
        .await?;
    progress.received.set(progress.received.get() + counts.records);
    run.stats.borrow_mut().arrived(run.clock.now(), counts);
    Ok(())
}
