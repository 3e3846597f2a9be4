//! A node of the model: a log, what it knows of the metadata, and the role it has by that.

use std::time::Duration;

use super::super::follower::{FetchPosition, Follower, Objection, ReplicaLog, Step};
use super::super::leader::{
    Effects, FollowerFetch, IsrAnswer, IsrProposal, Leader, LeaderStart, Replicas, Standing, has_diverged,
};
use super::controller::{Broker, Metadata, index};
use super::log::{ModelLog, Record, spans};
use super::world::{Fault, Scope};

/// When everything happens but that a leader looks for who lags, which is [`LATE`].
pub(super) const NOW: Duration = Duration::from_secs(1);
pub(super) const LATE: Duration = Duration::from_secs(100);
const MAX_LAG: Duration = Duration::from_secs(10);
const NO_PAUSE: Duration = Duration::ZERO;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Idle,
    Leads(Leader),
    Follows(Follower, i32),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Answer {
    Records { records: Vec<Record>, high_watermark: i64 },
    Diverging { epoch: i32, end_offset: i64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) id: i32,
    pub(super) up: bool,
    /// Version of the metadata that it knows.
    pub(super) seen: usize,
    pub(super) leader_epoch: i32,
    pub(super) broker_epoch: i64,
    brokers: Vec<Broker>,
    pub(super) log: ModelLog,
    pub(super) high_watermark: i64,
    pub(super) role: Role,
    /// The proposal under way.
    pub(super) asked: Option<IsrProposal>,
    /// Why it stopped the partition.
    pub(super) halted: Option<String>,
}

fn standing(brokers: &[Broker], id: i32) -> Option<Standing> {
    let broker = brokers.get(index(id))?;
    Some(Standing { epoch: broker.epoch, may_join: !broker.fenced })
}

impl Node {
    pub(super) fn new(id: i32) -> Self {
        Self {
            id,
            up: true,
            seen: 0,
            leader_epoch: 0,
            broker_epoch: i64::from(id),
            brokers: Vec::new(),
            log: ModelLog::default(),
            high_watermark: 0,
            role: Role::Idle,
            asked: None,
            halted: None,
        }
    }

    /// Takes effects; the proposal to be sent.
    pub(super) fn take(&mut self, effects: Effects, scope: &Scope) -> Option<IsrProposal> {
        if let Some(high_watermark) = effects.high_watermark {
            self.high_watermark = high_watermark;
        }
        let proposal = effects.proposal?;
        self.asked = Some(proposal.clone());
        if scope.fault == Some(Fault::PendingIsrIgnored)
            && let Role::Leads(leader) = &mut self.role
        {
            let forgotten = leader.on_isr_answer(&proposal, IsrAnswer::Ineligible);
            self.high_watermark = forgotten.high_watermark.unwrap_or(self.high_watermark);
        }
        Some(proposal)
    }

    /// What of the log counts as durable.
    fn durable_end(&self, scope: &Scope) -> i64 {
        if scope.fault == Some(Fault::LeaderCountsUnsynced) { self.log.end() } else { self.log.durable_end() }
    }

    pub(super) fn learn(&mut self, metadata: &Metadata, version: usize, scope: &Scope) -> Option<IsrProposal> {
        self.seen = version;
        self.brokers.clone_from(&metadata.brokers);
        let replicas = metadata.replicas();
        let alone = [self.id];
        let blind = scope.fault == Some(Fault::HighWatermarkBeforeIsr);
        let isr = if blind { &alone[..] } else { &metadata.isr };
        let replicas = Replicas { partition_epoch: metadata.partition_epoch, replicas: &replicas, isr };
        let is_new = metadata.leader_epoch > self.leader_epoch;
        self.leader_epoch = metadata.leader_epoch;
        let effects = match &mut self.role {
            Role::Leads(leader) if !is_new => leader.on_replicas(replicas, NOW),
            _ if !is_new => Effects::default(),
            _ if metadata.leader == self.id => self.lead(replicas, scope),
            _ => {
                self.follow(metadata, scope);
                Effects::default()
            }
        };
        self.take(effects, scope)
    }

    fn lead(&mut self, replicas: Replicas<'_>, scope: &Scope) -> Effects {
        let start = LeaderStart {
            node: self.id,
            epoch: self.leader_epoch,
            log_end: self.log.end(),
            durable_end: self.durable_end(scope),
            high_watermark: self.high_watermark,
            min_insync: if scope.fault == Some(Fault::MinInsyncIgnored) { 1 } else { scope.min_insync },
            max_lag: MAX_LAG,
        };
        let (leader, effects) = Leader::new(start, replicas, NOW);
        (self.role, self.asked) = (Role::Leads(leader), None);
        effects
    }

    fn follow(&mut self, metadata: &Metadata, scope: &Scope) {
        if scope.fault == Some(Fault::TruncationToHighWatermark) {
            self.log.cut(self.high_watermark.min(self.log.end()));
        }
        let follower = Follower::new(metadata.leader_epoch, self.high_watermark, NO_PAUSE);
        let follows = metadata.leader >= 0;
        self.role = if follows { Role::Follows(follower, metadata.leader) } else { Role::Idle };
        self.asked = None;
    }

    pub(super) fn append(&mut self, value: u8, scope: &Scope) {
        let Role::Leads(leader) = &self.role else { return };
        self.log.records.push(Record { epoch: leader.epoch(), value });
        self.grown(scope);
    }

    /// After an append: what needs no sync counts.
    fn grown(&mut self, scope: &Scope) {
        if scope.disks.count_at_once() {
            self.log.durable = self.log.records.len();
        }
        self.tell_durable(scope);
    }

    pub(super) fn sync(&mut self, scope: &Scope) {
        self.log.durable = self.log.records.len();
        self.tell_durable(scope);
    }

    fn tell_durable(&mut self, scope: &Scope) {
        let durable = self.durable_end(scope);
        if let Role::Leads(leader) = &mut self.role
            && let Some(high_watermark) = leader.on_durable(durable)
        {
            self.high_watermark = high_watermark;
        }
    }

    /// A leader looks for who lags.
    pub(super) fn tick(&mut self, scope: &Scope) -> Option<IsrProposal> {
        let brokers = self.brokers.clone();
        let log_end = self.log.end();
        let Role::Leads(leader) = &mut self.role else { return None };
        let effects = leader.on_tick(log_end, |id| standing(&brokers, id), LATE);
        self.take(effects, scope)
    }

    /// The controller answered a proposal.
    pub(super) fn altered(&mut self, asked: &IsrProposal, answer: IsrAnswer, scope: &Scope) -> Option<IsrProposal> {
        let Role::Leads(leader) = &mut self.role else { return None };
        let effects = leader.on_isr_answer(asked, answer);
        self.asked = None;
        self.take(effects, scope)
    }

    /// What this follower would ask, and whom.
    pub(super) fn next_fetch(&self, scope: &Scope) -> Option<(i32, FetchPosition)> {
        let Role::Follows(follower, leader) = &self.role else { return None };
        let mut log = self.log.clone();
        if scope.fault == Some(Fault::FollowerVouchesForUnsynced) {
            log.durable = log.records.len();
        }
        let mut position = follower.next_fetch(&log, NOW)?;
        if scope.fault == Some(Fault::EpochsNotCompared) {
            position.last_epoch = -1;
        }
        Some((*leader, position))
    }

    /// A follower's request arrives.
    pub(super) fn on_fetch(
        &mut self,
        from: i32,
        broker_epoch: i64,
        asked: &FetchPosition,
        scope: &Scope,
    ) -> (Option<Answer>, Option<IsrProposal>) {
        let standing = standing(&self.brokers, from);
        let Role::Leads(leader) = &mut self.role else { return (None, None) };
        if leader.epoch() != asked.leader_epoch {
            return (None, None);
        }
        if asked.last_epoch >= 0 {
            let Some(end) = leader.end_of_epoch(asked.last_epoch, &self.log) else { return (None, None) };
            if has_diverged(asked.offset, asked.last_epoch, end) {
                return (Some(Answer::Diverging { epoch: end.0, end_offset: end.1 }), None);
            }
        }
        if asked.offset > self.log.end() {
            return (None, None);
        }
        let fetch = FollowerFetch { node: from, broker_epoch, offset: asked.offset };
        let Ok(effects) = leader.on_fetch(fetch, self.log.end(), standing, NOW) else { return (None, None) };
        let proposal = self.take(effects, scope);
        let records = self.log.from(asked.offset);
        (Some(Answer::Records { records, high_watermark: self.high_watermark }), proposal)
    }

    /// The leader's answer arrives.
    pub(super) fn on_answer(&mut self, asked: &FetchPosition, answer: &Answer, scope: &Scope) {
        let Role::Follows(follower, _) = &mut self.role else { return };
        let mut asked = *asked;
        if scope.fault == Some(Fault::EpochsNotCompared) {
            asked.last_epoch = self.log.last_epoch().unwrap_or(-1);
        }
        match answer {
            Answer::Records { records, high_watermark } => {
                let step = follower.on_records(&asked, &spans(asked.offset, records), &self.log);
                let Step::Append(taken) = step else { return };
                self.log.records.extend_from_slice(&records[taken]);
                let progress = follower.on_appended(*high_watermark, 0, &self.log);
                self.high_watermark = progress.high_watermark.unwrap_or(self.high_watermark);
                self.grown(scope);
            }
            Answer::Diverging { epoch, end_offset } => {
                let objection = Objection::Diverging { epoch: *epoch, end_offset: *end_offset };
                match follower.on_objection(&asked, objection, &self.log, NOW) {
                    Step::Truncate(end) | Step::CutAfterUnclean { offset: end, .. } => self.log.cut(end),
                    Step::Stop(halt) => self.halted = Some(halt.to_string()),
                    Step::Nothing | Step::Append(_) | Step::StartOver(_) => {}
                }
            }
        }
    }

    /// The process dies; its log keeps the first `kept` records.
    pub(super) fn crash(&mut self, kept: usize, scope: &Scope) {
        self.up = false;
        self.log.crash(kept);
        let known = if scope.remembers { self.high_watermark.min(self.log.end()) } else { 0 };
        (self.role, self.asked, self.high_watermark) = (Role::Idle, None, known);
        if scope.fault == Some(Fault::OldEpochAfterRestart) {
            (self.seen, self.leader_epoch) = (self.seen.saturating_sub(1), 0);
        }
    }

    /// It is started again, and registered by the metadata of that version: what is older does not concern it.
    pub(super) fn restart(&mut self, broker_epoch: i64, version: usize, scope: &Scope) {
        (self.up, self.broker_epoch) = (true, broker_epoch);
        if scope.fault != Some(Fault::OldEpochAfterRestart) {
            (self.seen, self.leader_epoch) = (version.saturating_sub(1), 0);
        }
    }
}
