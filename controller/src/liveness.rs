//! Which brokers are alive, as the leader of the quorum sees it: they say so, again and again, or they are fenced.
//!
//! Pure: time is an argument (monotonic, since any fixed moment). A leader begins with a full session for every broker, because it does
//! not know when they were last heard; the broker of its own process is alive as long as it can ask.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{decide::brokers::BrokerChange, image::BrokerImage};

/// What a broker says of itself every `broker.heartbeat.interval.ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerHeartbeat {
    /// `node.id`.
    pub id: i32,
    /// The epoch of its registration.
    pub epoch: i64,
    /// Its partitions are open: it can serve.
    pub ready: bool,
    /// It wants to stop, and gives up what it leads first.
    pub want_shut_down: bool,
}

/// What the leader answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// Whether it is fenced.
    pub fenced: bool,
    /// Whether it leads nothing any more and may stop.
    pub may_shut_down: bool,
}

/// What a heartbeat changes about a broker that leads partitions, or does not. A change may call for another one.
pub fn change(broker: &BrokerImage, leads: bool, beat: &BrokerHeartbeat) -> Option<BrokerChange> {
    match (beat.want_shut_down, broker.in_controlled_shutdown) {
        (true, false) => Some(BrokerChange::ControlledShutdown),
        // From now on clients are not sent to it.
        (true, true) => (!leads && !broker.fenced).then_some(BrokerChange::Fence),
        (false, stops) => (broker.fenced && beat.ready && !stops).then_some(BrokerChange::Unfence),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    epoch: i64,
    heard: Duration,
}

/// The sessions of brokers that are not fenced.
#[derive(Debug)]
pub struct BrokerSessions {
    timeout: Duration,
    /// The broker of the leader's own process.
    own: i32,
    sessions: BTreeMap<i32, Session>,
}

impl BrokerSessions {
    /// Nobody is known yet. `timeout` is `broker.session.timeout.ms`, `own` the id of this node.
    pub fn new(timeout: Duration, own: i32) -> Self {
        Self { timeout, own, sessions: BTreeMap::new() }
    }

    /// Leadership was lost: what was heard counts no more.
    pub fn forget(&mut self) {
        self.sessions.clear();
    }

    /// Takes note of who is registered and not fenced, by id and epoch. Who is new has a session from now on.
    pub fn follow(&mut self, unfenced: impl Iterator<Item = (i32, i64)>, now: Duration) {
        let before = std::mem::take(&mut self.sessions);
        for (id, epoch) in unfenced.filter(|(id, _)| *id != self.own) {
            let known = before.get(&id).filter(|session| session.epoch == epoch).copied();
            self.sessions.insert(id, known.unwrap_or(Session { epoch, heard: now }));
        }
    }

    /// A broker was heard.
    pub fn heard(&mut self, id: i32, epoch: i64, now: Duration) {
        if let Some(session) = self.sessions.get_mut(&id).filter(|session| session.epoch == epoch) {
            session.heard = session.heard.max(now);
        }
    }

    /// Brokers that were not heard for the length of a session, by id and epoch: they are to be fenced.
    pub fn expired(&self, now: Duration) -> Vec<(i32, i64)> {
        let silent = |session: &Session| now.saturating_sub(session.heard) >= self.timeout;
        self.sessions.iter().filter(|(_, session)| silent(session)).map(|(id, session)| (*id, session.epoch)).collect()
    }

    /// When the next session ends, if nobody is heard until then.
    pub fn next_end(&self) -> Option<Duration> {
        self.sessions.values().map(|session| session.heard.saturating_add(self.timeout)).min()
    }
}
