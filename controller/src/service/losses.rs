//! What connections that break off mean: a process that ends is noticed by them, long before its silence is.
//!
//! The leader asks brokers that are lost for a heartbeat and fences those of which none comes within a short lease. Voters watch the leader
//! in the same way: if its connections break off and it is not heard for that lease, they elect another one without waiting for the
//! election timeout. Either may be wrong about a node that lives; that costs a change of leadership, and no record.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use openraft::raft::TransferLeaderRequest;
use tokio::{sync::watch, time::Instant};

use super::{Controller, calls::LeaderRequest, calls::WantHeartbeat};
use crate::raft::network::{LeaderCall, QuorumRequest};

/// How often a lost broker is asked, and how much later each voter calls an election than the one before it.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How long a node may take to take note of being asked for a heartbeat.
const ASKED: Duration = Duration::from_secs(1);

impl Controller {
    /// Counts how often the leader has asked for a heartbeat of this node's broker, which is due at once then.
    pub fn heartbeats_wanted(&self) -> watch::Receiver<u64> {
        self.running.beats_wanted.subscribe()
    }

    /// Has this node's broker send a heartbeat now.
    pub fn want_heartbeat(&self) {
        self.running.beats_wanted.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Begins to hear of connections that break off.
    pub(super) fn hear_losses(&self) {
        let running = Arc::downgrade(&self.running);
        self.running.transport.tell_losses(Box::new(move |node, loss| {
            let (Some(running), Ok(node)) = (running.upgrade(), i32::try_from(node)) else { return };
            let now = running.started.elapsed();
            if running.lost.lock().lost(node, loss, now) {
                running.losses.send_modify(|count| *count = count.wrapping_add(1));
            }
        }));
    }

    /// The leader of the quorum was heard.
    pub(super) fn heard_leader(&self, leader: Option<u64>) {
        if let Some(leader) = leader.and_then(|leader| i32::try_from(leader).ok()) {
            self.running.lost.lock().heard(leader);
            *self.running.heard.lock() = Instant::now();
        }
    }

    /// Asks brokers for heartbeats. Each asks for itself in the background, for a second at most.
    pub(super) fn ask_for_heartbeats(&self, brokers: impl Iterator<Item = i32>) {
        let own = *self.running.raft.node_id();
        for target in brokers.filter_map(|broker| u64::try_from(broker).ok()) {
            if target == own {
                self.want_heartbeat();
                continue;
            }
            let Some(node) = self.running.members.get(target) else { continue };
            let name = WantHeartbeat::NAME.into();
            let call = LeaderCall { name, body: Bytes::from_static(b"null"), deadline: ASKED, relayed: true };
            let asked = self.running.transport.send(target, &node, QuorumRequest::Call(call), ASKED);
            tokio::spawn(async move {
                if let Err(error) = asked.await {
                    tracing::debug!(%error, "a broker was not asked for a heartbeat");
                }
            });
        }
    }

    /// On a node that does not lead: if the leader's process has ended, and this node has a vote, it calls an election when its turn has
    /// come. When to look again.
    pub(super) async fn succeed_leader(&self) -> Option<Duration> {
        let running = &self.running;
        let leader = running.leader().and_then(|leader| i32::try_from(leader).ok());
        if leader.is_some() {
            *running.last_leader.lock() = leader;
        }
        let leader = leader?;
        let (vote, turn) = {
            let now = running.server();
            let own = *running.raft.node_id();
            let others = now.membership_config.voter_ids().filter(|id| i32::try_from(*id) != Ok(leader));
            (now.vote, u32::try_from(others.collect::<Vec<_>>().iter().position(|id| *id == own)?).unwrap_or(u32::MAX))
        };
        let turn = ASK_AGAIN.saturating_mul(turn);
        let now = running.started.elapsed();
        let end = running.lost.lock().end(leader)?.saturating_add(turn);
        if now < end {
            return Some(end);
        }
        tracing::warn!(leader, "the leader of the quorum is gone: calling an election");
        // As if it had handed over to this node: nobody has to wait until its lease is over.
        let handed_over = TransferLeaderRequest::new(vote, *running.raft.node_id(), None);
        if let Err(error) = running.raft.handle_transfer_leader(handed_over).await {
            tracing::debug!(%error, "no election");
        }
        Some(now.saturating_add(running.election_timeout))
    }
}
