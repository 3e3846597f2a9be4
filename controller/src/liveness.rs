//! Which brokers are alive, as the leader of the quorum sees it: they say so, again and again, or they are fenced.
//!
//! A process that ends takes its connections with it, which is noticed at once: [`LostNodes`] gives it a short lease from then on, in which it
//! is asked to say that it is alive. Where somebody listened, and nobody does a quarter of that lease later, there is nobody to wait for. A node
//! whose connections are silent but whole (stopped, or behind a broken network) has its whole session.
//!
//! Pure: time is an argument (monotonic, since any fixed moment). A leader begins with a full session for every broker, because it does
//! not know when they were last heard; the broker of its own process is alive as long as it can ask.

use std::{collections::BTreeMap, time::Duration};

use goatq_protocol::Uuid;
use serde::{Deserialize, Serialize};

use crate::{
    decide::{brokers::BrokerChange, directories::ReportDirectories},
    image::BrokerImage,
    raft::network::Loss,
};

/// What a broker says of itself every `broker.heartbeat.interval.ms`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerHeartbeat {
    /// `node.id`.
    pub id: i32,
    /// The epoch of its registration.
    pub epoch: i64,
    /// Its partitions are open: it can serve.
    pub ready: bool,
    /// It wants to stop, and gives up what it leads first.
    pub want_shut_down: bool,
    /// How far the metadata is in effect on it, as an index of the metadata log.
    pub applied: i64,
    /// Its log directories that are in order; `None` says nothing about directories.
    #[serde(default)]
    pub directories: Option<Vec<Uuid>>,
    /// Those of them that get no new replicas.
    #[serde(default)]
    pub cordoned: Vec<Uuid>,
}

impl BrokerHeartbeat {
    /// What it says of directories, if that is news.
    pub fn directories_news(&self, broker: &BrokerImage) -> Option<ReportDirectories> {
        let online = self.directories.clone()?;
        let report = ReportDirectories { id: self.id, epoch: self.epoch, online, cordoned: self.cordoned.clone() };
        report.is_news(broker).then_some(report)
    }
}

/// What the leader answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// Whether it is fenced.
    pub fenced: bool,
    /// Whether it leads nothing any more and may stop.
    pub may_shut_down: bool,
}

/// What a heartbeat changes about a broker that is needed still (it leads partitions, or others do not know yet that it does not), or
/// is not. A change may call for another one.
pub fn change(broker: &BrokerImage, needed: bool, beat: &BrokerHeartbeat) -> Option<BrokerChange> {
    match (beat.want_shut_down, broker.in_controlled_shutdown) {
        (true, false) => Some(BrokerChange::ControlledShutdown),
        // From now on clients are not sent to it.
        (true, true) => (!needed && !broker.fenced).then_some(BrokerChange::Fence),
        (false, stops) => (broker.fenced && beat.ready && !stops).then_some(BrokerChange::Unfence),
    }
}

/// Nothing of the metadata is in effect.
const NOTHING: i64 = -1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    epoch: i64,
    heard: Duration,
    /// How far the metadata was in effect when it was heard last.
    applied: i64,
}

/// The sessions of brokers that are not fenced.
#[derive(Debug)]
pub struct BrokerSessions {
    timeout: Duration,
    /// The broker of the leader's own process.
    own: i32,
    sessions: BTreeMap<i32, Session>,
    /// Brokers that lead nothing any more and are about to stop: their epochs, and the metadata that says so.
    leaving: BTreeMap<i32, (i64, i64)>,
}

impl BrokerSessions {
    /// Nobody is known yet. `timeout` is `broker.session.timeout.ms`, `own` the id of this node.
    pub fn new(timeout: Duration, own: i32) -> Self {
        Self { timeout, own, sessions: BTreeMap::new(), leaving: BTreeMap::new() }
    }

    /// Leadership was lost: what was heard counts no more.
    pub fn forget(&mut self) {
        self.sessions.clear();
        self.leaving.clear();
    }

    /// Takes note of who is registered and not fenced, by id and epoch. Who is new has a session from now on.
    pub fn follow(&mut self, unfenced: impl Iterator<Item = (i32, i64)>, now: Duration) {
        let before = std::mem::take(&mut self.sessions);
        for (id, epoch) in unfenced.filter(|(id, _)| *id != self.own) {
            let known = before.get(&id).filter(|session| session.epoch == epoch).copied();
            let new = Session { epoch, heard: now, applied: NOTHING };
            self.sessions.insert(id, known.unwrap_or(new));
        }
    }

    /// A broker was heard, on which the metadata is in effect up to `applied`.
    pub fn heard(&mut self, id: i32, epoch: i64, applied: i64, now: Duration) {
        if let Some(session) = self.sessions.get_mut(&id).filter(|session| session.epoch == epoch) {
            session.heard = session.heard.max(now);
            session.applied = session.applied.max(applied);
        }
    }

    /// A broker that stops leads nothing any more, as the metadata up to `index` says. Whether all other brokers know; those that do not
    /// are to be asked. The broker of the leader's own process has `own_applied`.
    pub fn gave_up(&mut self, (id, epoch): (i32, i64), index: i64, own_applied: i64) -> Result<(), Vec<i32>> {
        let known = self.leaving.entry(id).or_insert((epoch, index));
        if known.0 != epoch {
            *known = (epoch, index);
        }
        let index = known.1;
        let others = self.sessions.iter().filter(|(other, session)| **other != id && session.applied < index);
        let mut behind: Vec<i32> = others.map(|(other, _)| *other).collect();
        behind.extend((id != self.own && own_applied < index).then_some(self.own));
        if behind.is_empty() { Ok(()) } else { Err(behind) }
    }

    /// The epoch of a broker that has a session.
    pub fn epoch(&self, id: i32) -> Option<i64> {
        self.sessions.get(&id).map(|session| session.epoch)
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

/// Nodes whose connections have broken off, and that were not heard since: their processes may have ended.
#[derive(Debug)]
pub struct LostNodes {
    lease: Duration,
    lost: BTreeMap<i32, Absence>,
}

#[derive(Debug, Clone, Copy)]
struct Absence {
    since: Duration,
    /// When it is taken for gone.
    end: Duration,
}

/// This part of the lease after a node's connections have ended, nobody takes new ones: it is not there.
const PROOF: u32 = 4;

impl LostNodes {
    /// None is lost. A lost node has `lease` to be heard again.
    pub fn new(lease: Duration) -> Self {
        Self { lease, lost: BTreeMap::new() }
    }

    /// A connection to a node broke off, or was not taken. Whether that is news.
    pub fn lost(&mut self, id: i32, loss: Loss, now: Duration) -> bool {
        let Some(absence) = self.lost.get_mut(&id) else {
            self.lost.insert(id, Absence { since: now, end: now.saturating_add(self.lease) });
            return true;
        };
        let proven = loss == Loss::Refused && now.saturating_sub(absence.since) >= self.lease / PROOF;
        let news = proven && now < absence.end;
        if news {
            absence.end = now;
        }
        news
    }

    /// A node was heard: it is not lost.
    pub fn heard(&mut self, id: i32) {
        self.lost.remove(&id);
    }

    /// This node comes to lead the quorum: of what it noticed before only the end of the leader before it counts, whom it did hear then.
    /// What else is lost shows again at once.
    pub fn lead_after(&mut self, leader: Option<i32>) {
        self.lost.retain(|id, _| Some(*id) == leader);
    }

    /// Nodes that are to be asked whether they are alive.
    pub fn unheard(&self) -> impl Iterator<Item = i32> + '_ {
        self.lost.keys().copied()
    }

    /// Whether a node was not heard for its lease, and `more` time, after its connections broke off.
    pub fn is_gone(&self, id: i32, more: Duration, now: Duration) -> bool {
        self.end(id).is_some_and(|end| now >= end.saturating_add(more))
    }

    /// When the lease of a node ends; `None` for one that is not lost.
    pub fn end(&self, id: i32) -> Option<Duration> {
        self.lost.get(&id).map(|absence| absence.end)
    }
}
