//! The single writer: takes commands from the queue, decides them in turn, and proposes what they change, many in one entry.
//!
//! While one entry is being written the queue fills, and what has gathered makes the next entry. So decisions are always made against
//! the image that contains all decisions before them, and the cost of a sync is shared.

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use openraft::{
    ServerState,
    async_runtime::watch::WatchReceiver,
    errors::{ClientWriteError, RaftError},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{MetadataQuorum, SubmitError};
use crate::{
    decide::{Command, ConfigValidator, Context, TopicDefaults},
    entropy::Entropy,
    feature::SupportedFeatures,
    image::{MetadataImage, SharedImage},
    raft::{Applied, EntryData, MetadataRaft, entry::MAX_ENTRY},
    record::MetadataRecord,
    replay::replay,
};

/// Commands that wait at most; more make their senders wait.
pub(crate) const QUEUE: usize = 1_024;
/// Commands in one entry at most.
const BATCH: usize = 256;
/// Bytes of records from which an entry takes no more commands.
const BATCH_BYTES: usize = 1 << 20;
/// How often a decision is made anew because the image changed under it. That takes a change of leader each time.
const ATTEMPTS: usize = 16;

/// A command in the queue, with the one who waits for its answer.
pub(crate) trait Job: Send {
    /// Decides the command. May be called again when the image has changed.
    fn decide(&mut self, cx: &mut Context<'_>) -> Vec<MetadataRecord>;

    /// Answers: what was decided last, or the error.
    fn complete(self: Box<Self>, outcome: Result<(), SubmitError>);
}

/// A command of one type.
pub(crate) struct Submission<C: Command> {
    command: C,
    response: Option<C::Response>,
    reply: oneshot::Sender<Result<C::Response, SubmitError>>,
}

impl<C: Command> Submission<C> {
    pub(crate) fn new(command: C, reply: oneshot::Sender<Result<C::Response, SubmitError>>) -> Self {
        Submission { command, response: None, reply }
    }
}

impl<C: Command> Job for Submission<C> {
    fn decide(&mut self, cx: &mut Context<'_>) -> Vec<MetadataRecord> {
        let decision = self.command.clone().decide(cx);
        self.response = Some(decision.response);
        decision.records
    }

    fn complete(self: Box<Self>, outcome: Result<(), SubmitError>) {
        let Submission { response, reply, .. } = *self;
        let answer = outcome.and_then(|()| response.ok_or(SubmitError::Stopped));
        // Who asked may have gone away.
        reply.send(answer).ok();
    }
}

/// What the writer decides with.
pub(crate) struct Rules {
    pub(crate) validator: Arc<dyn ConfigValidator>,
    pub(crate) defaults: TopicDefaults,
    pub(crate) supported: SupportedFeatures,
    pub(crate) entropy: Entropy,
}

/// The writer.
pub(crate) struct Writer {
    pub(crate) raft: MetadataQuorum,
    pub(crate) queue: mpsc::Receiver<Box<dyn Job>>,
    pub(crate) images: watch::Receiver<SharedImage>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) rules: Rules,
    /// Where decisions go that another controller has overtaken; nowhere, but for a defect that is planted.
    pub(crate) overtaken: Option<mpsc::UnboundedSender<Bytes>>,
}

/// What a batch of commands came to, before it is proposed.
struct Decided {
    jobs: Vec<Box<dyn Job>>,
    based_on: i64,
    records: Bytes,
}

impl Writer {
    /// Runs until it is stopped or nobody can send any more. Commands left in the queue are dropped, which tells their senders.
    pub(crate) async fn run(mut self) {
        let mut waiting: VecDeque<Box<dyn Job>> = VecDeque::new();
        loop {
            if waiting.is_empty() {
                let job = tokio::select! {
                    biased;
                    _ = self.stop.wait_for(|stop| *stop) => return,
                    job = self.queue.recv() => job,
                };
                let Some(job) = job else { return };
                waiting.push_back(job);
            }
            while waiting.len() < BATCH
                && let Ok(job) = self.queue.try_recv()
            {
                waiting.push_back(job);
            }
            self.write_some(&mut waiting).await;
        }
    }

    /// Carries out commands from the front of the queue, one at least.
    async fn write_some(&mut self, waiting: &mut VecDeque<Box<dyn Job>>) {
        for _ in 0..ATTEMPTS {
            if let Err(error) = self.lead().await {
                return complete_all(waiting.drain(..), Err(error));
            }
            let decided = self.decide(waiting);
            if decided.records.is_empty() {
                return complete_all(decided.jobs, Ok(()));
            }
            let records = decided.records.clone();
            let data = EntryData { based_on: decided.based_on, records: decided.records };
            match self.raft.client_write(data).await {
                Ok(written) if written.data == Applied::Done => return complete_all(decided.jobs, Ok(())),
                // Decided against an image that another leader has changed: back to the front of the queue.
                Ok(_) => decided.jobs.into_iter().rev().for_each(|job| waiting.push_front(job)),
                Err(error) => {
                    if let Some(overtaken) = &self.overtaken {
                        overtaken.send(records).ok();
                    }
                    return complete_all(decided.jobs, Err(submit_error(error)));
                }
            }
        }
        complete_all(waiting.drain(..), Err(SubmitError::NotLeader { leader: None }));
    }

    /// Waits until this node, which leads, has applied everything from before its leadership. An error if another node may lead;
    /// the only voter always comes to lead, once its vote is on disk.
    async fn lead(&self) -> Result<(), SubmitError> {
        let mut metrics = self.raft.metrics();
        loop {
            {
                let now = metrics.borrow_watched().clone();
                if now.running_state.is_err() {
                    return Err(SubmitError::Stopped);
                }
                // In term 0 openraft calls the only voter of a new quorum a leader for a moment, before it votes for itself.
                let leads = now.state == ServerState::Leader && now.current_term > 0;
                if !leads && !now.membership_config.voter_ids().eq([now.id]) {
                    let leader = now.current_leader.and_then(|id| i32::try_from(id).ok());
                    return Err(SubmitError::NotLeader { leader });
                }
                if leads && now.last_applied.is_some_and(|applied| applied.leader_id.term == now.current_term) {
                    return Ok(());
                }
            }
            metrics.changed().await.map_err(|_| SubmitError::Stopped)?;
        }
    }

    /// Decides commands from the front of the queue until the entry is full.
    fn decide(&mut self, waiting: &mut VecDeque<Box<dyn Job>>) -> Decided {
        let image = self.images.borrow().clone();
        let based_on = image.changed_index;
        let mut newest = MetadataImage::clone(&image);
        let mut out = BytesMut::new();
        let mut jobs = Vec::new();
        while out.len() < BATCH_BYTES
            && let Some(mut job) = waiting.pop_front()
        {
            match self.decide_one(&mut *job, &newest, &mut out) {
                Ok(after) => {
                    newest = after;
                    jobs.push(job);
                }
                Err(error) => job.complete(Err(error)),
            }
        }
        Decided { jobs, based_on, records: out.freeze() }
    }

    /// Decides one command: its records go to `out`, the image that they lead to is returned.
    fn decide_one(
        &mut self,
        job: &mut dyn Job,
        image: &MetadataImage,
        out: &mut BytesMut,
    ) -> Result<MetadataImage, SubmitError> {
        let Rules { validator, defaults, supported, entropy } = &mut self.rules;
        let mut cx = Context { image, validator: &**validator, defaults, supported, entropy };
        let records = job.decide(&mut cx);
        let mut after = image.clone();
        let start = out.len();
        for record in &records {
            let encoded = record.encode(out).map_err(|error| SubmitError::TooLarge(error.to_string()));
            let replayed = encoded
                .and_then(|()| replay(&mut after, record).map_err(|error| SubmitError::Defect(error.to_string())));
            let fits = replayed.and_then(|()| match out.len() - start > MAX_ENTRY {
                true => Err(SubmitError::TooLarge(format!("more than {MAX_ENTRY} bytes of records"))),
                false => Ok(()),
            });
            if let Err(error) = fits {
                out.truncate(start);
                return Err(error);
            }
        }
        Ok(after)
    }
}

fn complete_all(jobs: impl IntoIterator<Item = Box<dyn Job>>, outcome: Result<(), SubmitError>) {
    for job in jobs {
        job.complete(outcome.clone());
    }
}

pub(super) fn submit_error(error: RaftError<MetadataRaft, ClientWriteError<MetadataRaft>>) -> SubmitError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            SubmitError::NotLeader { leader: forward.leader_id.and_then(|id| i32::try_from(id).ok()) }
        }
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => SubmitError::Unknown,
        RaftError::APIError(other) => SubmitError::Defect(other.to_string()),
        RaftError::Fatal(_) => SubmitError::Stopped,
    }
}
