//! What the leader of the quorum does beside deciding: it takes in nodes, hears brokers, and fences those that fall silent; and how a
//! node makes itself known to it.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use openraft::{ChangeMembers, ReadPolicy, async_runtime::watch::WatchReceiver};
use tokio::time::Instant;

use super::{
    Controller, QuorumNode, QuorumStatus, SubmitError, calls::Announce, losses::ASK_AGAIN, writer::submit_error,
};
use crate::{
    decide::brokers::{BrokerChange, ChangeBroker, UnknownBroker, registered},
    image::MetadataImage,
    liveness::{BrokerHeartbeat, HeartbeatAnswer, change},
    raft::admission::{Admission, Refusal, admit},
};

/// A voter that was heard this many milliseconds ago at most can be handed the leadership.
pub(super) const HEARD_LATELY: u64 = 2_000;
/// Between two attempts to be taken in.
const ANNOUNCE_AGAIN: Duration = Duration::from_millis(500);
/// A node that hears of no leader for so long makes itself known again.
const SILENCE: Duration = Duration::from_secs(5);

impl Controller {
    /// Tells the leader that a broker is alive, and what of it is to change.
    ///
    /// # Errors
    /// The leader was not reached; a broker asks again. [`UnknownBroker`]: it has to register anew.
    pub async fn heartbeat(
        &self,
        beat: BrokerHeartbeat,
    ) -> Result<Result<HeartbeatAnswer, UnknownBroker>, SubmitError> {
        self.call(beat).await
    }

    /// How the quorum is, as its leader sees it.
    ///
    /// # Errors
    /// No leader was reached.
    pub async fn describe(&self) -> Result<QuorumStatus, SubmitError> {
        self.call(super::calls::Describe).await
    }

    /// Hands the leadership of the quorum to the voter that has most of the log, if this node leads and another voter is there; returns
    /// when another one leads, or after `patience`. A node that stops in order so spares the others an election.
    pub async fn resign(&self, patience: Duration) {
        let status = self.status();
        if !self.running.leads() {
            return;
        }
        let others = status.voters.keys().filter(|id| **id != status.node_id);
        let heard = others.filter(|id| status.heard_ms.get(id).is_some_and(|ago| *ago < HEARD_LATELY));
        let Some(next) = heard.max_by_key(|id| status.replicated.get(id)) else { return };
        let (Ok(next), mut metrics) = (u64::try_from(*next), self.running.raft.server_metrics()) else { return };
        let own = *self.running.raft.node_id();
        if self.running.raft.trigger().transfer_leader(next).await.is_err() {
            return;
        }
        let handed_over = async {
            while metrics.borrow_watched().current_leader.is_none_or(|leader| leader == own) {
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(patience, handed_over).await.is_err() {
            tracing::debug!("no other voter leads yet");
        }
    }

    /// Hears a broker, if this node leads.
    pub(super) async fn beat(
        &self,
        beat: BrokerHeartbeat,
    ) -> Result<Result<HeartbeatAnswer, UnknownBroker>, SubmitError> {
        if !self.running.leads() {
            return Err(self.not_leader());
        }
        let mut image = self.image();
        if registered(&image, beat.id, beat.epoch).is_err() {
            // A leader that is new, or was deposed and has not heard of it, may know less than the broker does.
            self.be_certain().await?;
            image = self.image();
        }
        let broker = match registered(&image, beat.id, beat.epoch) {
            Ok(broker) => broker,
            Err(unknown) => return Ok(Err(unknown)),
        };
        let now = self.running.started.elapsed();
        self.running.sessions.lock().heard(beat.id, beat.epoch, beat.applied, now);
        self.running.lost.lock().heard(beat.id);
        if u64::try_from(beat.id).ok() == Some(*self.running.raft.node_id()) {
            self.running.own_applied.fetch_max(beat.applied, Ordering::AcqRel);
        }
        if let Some(report) = beat.directories_news(broker) {
            tracing::info!(
                broker = beat.id,
                online = report.online.len(),
                cordoned = report.cordoned.len(),
                "log directories"
            );
            if let Err(unknown) = self.submit_here(report).await? {
                return Ok(Err(unknown));
            }
            image = self.image();
        }
        let Some(broker) = image.brokers.get(beat.id) else { return Ok(Err(UnknownBroker::NotRegistered(beat.id))) };
        let mut next = change(broker, self.is_needed(&image, &beat), &beat);
        // It gives up what it leads, then it is fenced: there is no third change.
        for _ in 0..2 {
            let Some(change_now) = next else { break };
            let command = ChangeBroker { id: beat.id, epoch: beat.epoch, change: change_now };
            if let Err(unknown) = self.submit_here(command).await? {
                return Ok(Err(unknown));
            }
            let image = self.image();
            let broker = image.brokers.get(beat.id);
            next = broker.and_then(|broker| change(broker, self.is_needed(&image, &beat), &beat));
        }
        let image = self.image();
        let fenced = image.brokers.get(beat.id).is_none_or(|broker| broker.fenced);
        let may_shut_down = beat.want_shut_down && fenced && !leads_any(&image, beat.id);
        Ok(Ok(HeartbeatAnswer { fenced, may_shut_down }))
    }

    /// Whether a broker that wants to stop has to stay: it leads something, or others have not heard that it does not, and would send
    /// clients to it.
    fn is_needed(&self, image: &MetadataImage, beat: &BrokerHeartbeat) -> bool {
        if leads_any(image, beat.id) {
            return true;
        }
        if !beat.want_shut_down {
            return false;
        }
        let own = i32::try_from(*self.running.raft.node_id()).unwrap_or(-1);
        let serves = image.brokers.get(own).is_some_and(|broker| !broker.fenced);
        let own_applied = if serves { self.running.own_applied.load(Ordering::Acquire) } else { i64::MAX };
        let known = self.running.sessions.lock().gave_up((beat.id, beat.epoch), image.applied_index, own_applied);
        known.map_err(|behind| self.ask_for_heartbeats(behind.into_iter())).is_err()
    }

    /// Makes sure that this node leads, and that its image has all that was committed until now.
    async fn be_certain(&self) -> Result<(), SubmitError> {
        let certain = self.running.raft.ensure_linearizable(ReadPolicy::ReadIndex).await;
        certain.map(drop).map_err(|_| self.not_leader())
    }

    /// Takes a node into the quorum, or takes note of where it is now, if this node leads.
    pub(super) async fn admit(&self, announce: Announce) -> Result<Result<(), Refusal>, SubmitError> {
        if !self.running.leads() {
            return Err(self.not_leader());
        }
        // Memberships change one after the other: who comes in between asks again.
        let Ok(_turn) = self.running.admitting.try_lock() else { return Err(self.not_leader()) };
        let Announce { node_id, node } = announce;
        let raft = &self.running.raft;
        let admission = {
            let now = self.running.server();
            if now.membership_config != now.committed_membership_config {
                return Err(self.not_leader());
            }
            admit(now.membership_config.membership(), node_id, &node)
        };
        let id = u64::try_from(node_id).unwrap_or_default();
        let written = match admission {
            Err(refusal) => {
                tracing::error!(%refusal, "a node is refused");
                return Ok(Err(refusal));
            }
            Ok(Admission::Known) => return Ok(Ok(())),
            Ok(Admission::Back) => {
                self.allow_revert(id).await?;
                return Ok(Ok(()));
            }
            Ok(Admission::Add) => {
                tracing::info!(node = node_id, directory = %node.directory_id, "a node joins the quorum, without a vote");
                raft.add_learner(id, node, false).await
            }
            Ok(Admission::Update { anew }) => {
                if anew {
                    tracing::info!(node = node_id, directory = %node.directory_id, "a node without a vote comes from elsewhere, or anew");
                    self.allow_revert(id).await?;
                }
                raft.change_membership(ChangeMembers::SetNodes(BTreeMap::from([(id, node)])), true).await
            }
        };
        match written {
            Ok(_) => Ok(Ok(())),
            // Another change of the membership is under way: the node asks again.
            Err(error) => Err(match submit_error(error) {
                SubmitError::Defect(_) => self.not_leader(),
                other => other,
            }),
        }
    }

    /// Lets a node have less of the log than it had when it was sent something last.
    async fn allow_revert(&self, id: u64) -> Result<(), SubmitError> {
        // Only fails where nothing was sent to the node yet: then there is nothing to take back.
        self.running.raft.trigger().allow_next_revert(&id, true).await.map_err(|_| SubmitError::Stopped)?.ok();
        Ok(())
    }

    /// Makes this node known to the leader; without it a node that has no vote gets no metadata.
    /// Tells whether that succeeded.
    pub(super) async fn announce(&self, node: QuorumNode) -> bool {
        let node_id = i32::try_from(*self.running.raft.node_id()).unwrap_or(i32::MAX);
        let mut stop = self.running.stop.subscribe();
        loop {
            let call = self.call(Announce { node_id, node: node.clone() });
            let answer = tokio::select! {
                answer = call => answer,
                _ = stop.wait_for(|stop| *stop) => return false,
            };
            match answer {
                Ok(Ok(())) => return true,
                Ok(Err(refusal)) => {
                    tracing::error!(%refusal, "the quorum refuses this node");
                    self.running.refused.send_replace(Some(refusal));
                    return false;
                }
                Err(SubmitError::Stopped) => return false,
                Err(error) => tracing::debug!(%error, "the leader does not know this node yet"),
            }
            tokio::select! {
                () = tokio::time::sleep(ANNOUNCE_AGAIN) => {}
                _ = stop.wait_for(|stop| *stop) => return false,
            }
        }
    }

    /// Ends when no leader was heard for so long that the quorum may have forgotten this node: what changed the membership while it was cut
    /// off, a vote taken from it, is not in its own log, and will never be sent to it. `false` when this node stops.
    pub(super) async fn until_silence(&self) -> bool {
        let mut stop = self.running.stop.subscribe();
        loop {
            let wake = *self.running.heard.lock() + SILENCE;
            tokio::select! {
                () = tokio::time::sleep_until(wake) => {}
                _ = stop.wait_for(|stop| *stop) => return false,
            }
            let now = Instant::now();
            let mut heard = self.running.heard.lock();
            if *heard + SILENCE <= now {
                *heard = now;
                if !self.running.leads() {
                    return true;
                }
            }
        }
    }

    /// Fences brokers that fall silent while this node leads. Sleeps until something changes or a session ends.
    pub(super) async fn keep_sessions(self) {
        let mut stop = self.running.stop.subscribe();
        let (mut images, mut metrics) = (self.watch(), self.running.raft.server_metrics());
        let mut losses = self.running.losses.subscribe();
        loop {
            let wake = self.look_after_sessions().await;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                changed = images.changed() => if changed.is_err() { return },
                changed = metrics.changed() => if changed.is_err() { return },
                changed = losses.changed() => if changed.is_err() { return },
                () = sleep_until(wake) => {}
            }
        }
    }

    /// One look; when the next one is due at the latest.
    async fn look_after_sessions(&self) -> Option<Instant> {
        let running = &self.running;
        if !running.leads() {
            running.sessions.lock().forget();
            return self.succeed_leader().await.map(|next| running.started + next);
        }
        if let Some(before) = running.last_leader.lock().take() {
            running.lost.lock().lead_after(Some(before));
        }
        let (image, now) = (self.image(), running.started.elapsed());
        let (mut expired, gone, asked, next) = {
            let mut sessions = running.sessions.lock();
            sessions.follow(image.brokers.unfenced().map(|broker| (broker.id, broker.epoch)), now);
            let lost = running.lost.lock();
            let unheard = lost.unheard().filter_map(|id| Some((id, sessions.epoch(id)?)));
            let (gone, asked): (Vec<_>, Vec<_>) = unheard.partition(|(id, _)| lost.is_gone(*id, Duration::ZERO, now));
            let ends = asked.iter().filter_map(|(id, _)| Some(lost.end(*id)?.min(now.saturating_add(ASK_AGAIN))));
            (sessions.expired(now), gone, asked.clone(), ends.chain(sessions.next_end()).min())
        };
        self.ask_for_heartbeats(asked.iter().map(|(id, _)| *id));
        for (id, epoch) in &gone {
            tracing::warn!(broker = id, epoch, "fenced: its connections have ended, and it is not heard");
        }
        for (id, epoch) in &expired {
            tracing::warn!(broker = id, epoch, "fenced: it was not heard within its session");
        }
        expired.extend(gone);
        for (id, epoch) in &expired {
            let fence = ChangeBroker { id: *id, epoch: *epoch, change: BrokerChange::Fence };
            if let Err(error) = self.submit_here(fence).await {
                tracing::debug!(broker = id, %error, "not fenced yet");
            }
        }
        // What was not carried out is tried again; what was changes the image, which wakes this up.
        let again = running.started + running.started.elapsed() + ANNOUNCE_AGAIN;
        if expired.is_empty() { next.map(|next| running.started + next) } else { Some(again) }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

fn leads_any(image: &MetadataImage, broker: i32) -> bool {
    image.topics.iter().any(|topic| topic.partitions.iter().any(|partition| partition.leader == broker))
}
