//! The partition under another node's leadership: what it fetches, and what it does with the answers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use goatq_protocol::record::{Batch, split};
use goatq_protocol::wire::Records;
use goatq_storage::error::LogError;
use goatq_storage::log::{AppendOptions, Log, Origin};

use super::{Partition, ReplicaAppendError};
use crate::replication::follower::{BatchSpan, FetchPosition, Follower, Halt, Objection, Progress, ReplicaLog, Step};

/// A log as the rules of replication see it.
pub(crate) struct Replica<'a>(pub(crate) &'a Log);

impl ReplicaLog for Replica<'_> {
    fn start(&self) -> i64 {
        self.0.log_start_offset()
    }

    fn end(&self) -> i64 {
        self.0.log_end_offset()
    }

    fn durable_end(&self) -> i64 {
        self.0.durable_end()
    }

    fn last_epoch(&self) -> Option<i32> {
        self.0.latest_epoch()
    }

    fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        self.0.end_offset_for_epoch(epoch)
    }
}

/// Records that a leader sent, with what it said beside them.
#[derive(Debug, Clone, Default)]
pub struct LeaderRecords {
    /// Whole batches.
    pub records: Records,
    /// The leader's high watermark.
    pub high_watermark: i64,
    /// First offset of the leader's log.
    pub log_start: i64,
}

impl Partition {
    /// What to ask the leader for now; `None` while there is nothing to ask: this node follows nobody, pauses after an error, or
    /// has records that are not durable yet.
    pub fn next_fetch(&self, now: Duration) -> Option<FetchPosition> {
        if self.is_failed() {
            return None;
        }
        self.follower.lock().as_ref()?.next_fetch(&Replica(&self.log()), now)
    }

    /// Whether this node follows somebody, and has nothing to ask for because of what an earlier leader sent and is not durable yet.
    pub fn has_undurable(&self) -> bool {
        let log = self.log();
        !self.is_failed() && !self.is_leader() && log.durable_end() < log.log_end_offset()
    }

    /// Committed records of the leader that this follower lacks; `None` when it follows nobody.
    pub fn lag(&self) -> Option<i64> {
        let follows = !self.is_leader() && self.leader().0 >= 0;
        let known = self.leaders_high_watermark.load(Ordering::Relaxed);
        follows.then(|| known.saturating_sub(self.log().log_end_offset()).max(0))
    }

    /// When the leader may be asked again, while this follower pauses after an error.
    pub fn fetch_paused_until(&self) -> Option<Duration> {
        self.follower.lock().as_ref().and_then(Follower::paused_until)
    }

    /// Appends what the leader sent, and follows its high watermark and log start. An answer to an older question changes nothing.
    ///
    /// # Errors
    /// See [`ReplicaAppendError`]; nothing damaged was appended, and the leader is asked again after a pause.
    pub fn on_leader_records(
        &self,
        asked: &FetchPosition,
        answer: LeaderRecords,
        now: Duration,
        now_ms: i64,
    ) -> Result<(), ReplicaAppendError> {
        self.leaders_high_watermark.store(answer.high_watermark, Ordering::Relaxed);
        let batches = checked(answer.records);
        let mut guard = self.follower.lock();
        let Some(follower) = guard.as_mut() else { return Ok(()) };
        let appended = batches.and_then(|batches| self.append_replicated(follower, asked, batches, now_ms));
        match appended {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => {
                follower.on_failure(now);
                return Err(error);
            }
        }
        let Progress { high_watermark, log_start } =
            follower.on_appended(answer.high_watermark, answer.log_start, &Replica(&self.log()));
        if let Some(start) = log_start {
            self.log().advance_start_offset(start, follower.high_watermark())?;
        }
        self.publish(high_watermark);
        drop(guard);
        self.on_durable();
        Ok(())
    }

    /// Whether the answer was to the present question.
    fn append_replicated(
        &self,
        follower: &mut Follower,
        asked: &FetchPosition,
        mut batches: Vec<Batch>,
        now_ms: i64,
    ) -> Result<bool, ReplicaAppendError> {
        let spans: Vec<BatchSpan> = batches.iter().map(span).collect();
        let Step::Append(taken) = follower.on_records(asked, &spans, &Replica(&self.log())) else { return Ok(false) };
        batches.truncate(taken.end);
        batches.drain(..taken.start.min(batches.len()));
        self.begin_with(batches.first())?;
        if !batches.is_empty() {
            let options = AppendOptions { leader_epoch: asked.leader_epoch, origin: Origin::Replication, now_ms };
            self.log().append(batches, options)?;
        }
        Ok(true)
    }

    /// Where this node starts over, records may have been deleted up to an offset within a batch, and a leader can send that batch only as
    /// a whole. Then the log begins with the batch, and what is deleted of it is deleted here, too, when the leader's begin is followed.
    fn begin_with(&self, first: Option<&Batch>) -> Result<(), LogError> {
        let (start, end) = (self.log().log_start_offset(), self.log().log_end_offset());
        let base = first.map(|batch| batch.header().base_offset).filter(|base| (0..end).contains(base));
        match base {
            Some(base) if start == end => self.log().truncate_fully_and_start_at(base),
            _ => Ok(()),
        }
    }

    /// The leader did not send records. Blocks where that means to cut the log.
    ///
    /// # Errors
    /// When the log could not be cut; the leader is asked again after a pause.
    pub fn on_leader_objection(
        &self,
        asked: &FetchPosition,
        objection: Objection,
        now: Duration,
    ) -> Result<(), LogError> {
        let mut guard = self.follower.lock();
        let Some(follower) = guard.as_mut() else { return Ok(()) };
        let cut = match follower.on_objection(asked, objection, &Replica(&self.log()), now) {
            Step::Truncate(offset) => {
                tracing::info!(partition = ?self, offset, end = self.log().log_end_offset(), "truncating to the leader's log");
                self.log().truncate_to(offset)
            }
            Step::CutAfterUnclean { offset, high_watermark } => self.cut_after_unclean(offset, high_watermark),
            Step::StartOver(offset) => {
                tracing::info!(partition = ?self, offset, "starting over where the leader's log begins");
                self.log().truncate_fully_and_start_at(offset)
            }
            Step::Stop(halt) => {
                self.halt(halt);
                return Ok(());
            }
            Step::Nothing | Step::Append(_) => return Ok(()),
        };
        if let Err(error) = cut {
            follower.on_failure(now);
            return Err(error);
        }
        self.publish(Some(follower.high_watermark()));
        // Under the lock that publishes what is durable, so that nobody publishes what was there before.
        let leader = self.leader.lock();
        self.durable.restart(self.log().durable_end());
        drop(leader);
        Ok(())
    }

    /// Cuts what the log has beyond that of a leader that was elected unclean: people are told how much, as some of it may have been
    /// acknowledged. A replica that was killed does not always know what was.
    fn cut_after_unclean(&self, offset: i64, high_watermark: i64) -> Result<(), LogError> {
        let (start, end) = (self.log().log_start_offset(), self.log().log_end_offset());
        let lost = end.saturating_sub(offset.max(start));
        let bytes = self.log().size();
        if offset < high_watermark {
            self.log().give_up_committed(offset)?;
        }
        tracing::warn!(
            partition = ?self, from = offset, committed = high_watermark, end, lost,
            "an unclean election: records that its leader lacks are cut here"
        );
        match offset < start {
            true => self.log().truncate_fully_and_start_at(offset),
            false => self.log().truncate_to(offset),
        }?;
        self.context.counts.lost_records.add(u64::try_from(lost).unwrap_or(0));
        tracing::warn!(partition = ?self, bytes = bytes.saturating_sub(self.log().size()), "they are cut");
        if offset < high_watermark {
            self.high_watermark.restart(offset);
            self.last_stable.restart(self.log().last_stable_offset(offset));
        }
        self.nudge_readers();
        Ok(())
    }

    /// Waits until all of the log is durable, or never will be. Cancel-safe.
    pub async fn wait_all_durable(&self) {
        self.durable.pass(self.log().log_end_offset(), &self.context.commits).await;
    }

    /// Committed records would be lost (invariant 2): nothing is read from here or written any more.
    fn halt(&self, halt: Halt) {
        tracing::error!(partition = ?self, %halt, "the partition is stopped on this node: its leader lacks committed records");
        self.failed.store(true, Ordering::Release);
        for gate in self.gates() {
            gate.close();
        }
    }
}

fn span(batch: &Batch) -> BatchSpan {
    let header = batch.header();
    BatchSpan {
        base_offset: header.base_offset,
        next_offset: header.next_offset(),
        epoch: header.partition_leader_epoch,
    }
}

/// Cuts records into batches, none of them damaged.
fn checked(records: Records) -> Result<Vec<Batch>, ReplicaAppendError> {
    let mut batches = Vec::new();
    for batch in split(&records.into_bytes()) {
        let batch = batch.map_err(|error| ReplicaAppendError::Corrupt(error.to_string()))?;
        batch.verify_crc().map_err(|error| ReplicaAppendError::Corrupt(error.to_string()))?;
        batches.push(batch);
    }
    Ok(batches)
}
