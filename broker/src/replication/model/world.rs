//! The whole cluster, everything that can happen to it next, and what must hold whatever happens.

use std::collections::BTreeSet;
use std::fmt;

use goatq_controller::election::Returning;

use super::super::follower::FetchPosition;
use super::super::leader::{IsrAnswer, IsrProposal};
use super::controller::{Metadata, index};
use super::log::Record;
use super::node::{Answer, Node, Role};

/// Fetches and answers of one follower that may be on their way.
const MAX_FETCHES: usize = 2;

/// How often things may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) appends: u8,
    pub(super) crashes: u8,
    pub(super) fences: u8,
    /// A leader looks for who lags.
    pub(super) ticks: u8,
    /// A proposal is sent again.
    pub(super) retries: u8,
    /// A message is delivered and stays on its way.
    pub(super) repeats: u8,
}

/// What of a fetch takes time. Where nothing else does, everything else can be tried further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fetches {
    /// Request and answer are one event.
    AtOnce,
    /// Answers may be late.
    LateAnswers,
    /// Both may be.
    Late,
}

/// What a crash does to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Disks {
    /// Records count when they are synced, and what is synced survives.
    Synced,
    /// Records count at once, and a crash may take any of them.
    Cached,
    /// Records count when they are synced, and the disk comes back as an older copy, or empty.
    Replaced,
}

impl Disks {
    /// Whether records count before they are synced.
    pub(super) fn count_at_once(self) -> bool {
        self == Self::Cached
    }

    /// What the controller makes of a replica that comes back.
    pub(super) fn returning(self) -> Returning {
        match self {
            Self::Synced => Returning::Complete,
            Self::Cached => Returning::Torn,
            Self::Replaced => Returning::Unknown,
        }
    }
}

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// The leader moves the high watermark without its followers.
    HighWatermarkBeforeIsr,
    /// The controller takes a leader's proposal whatever has changed since.
    PartitionEpochNotChecked,
    /// The controller takes a replica into the ISR although its process was started anew since it fetched (KIP-903).
    BrokerEpochNotChecked,
    /// A follower begins by cutting its log to the high watermark it knows (before KIP-101).
    TruncationToHighWatermark,
    /// A leader acknowledges before its own sync.
    LeaderCountsUnsynced,
    /// A follower asks for what follows before its sync.
    FollowerVouchesForUnsynced,
    /// A follower does not tell its last epoch, so nobody notices that logs have parted.
    EpochsNotCompared,
    /// The high watermark passes a replica that is about to join (before KIP-497).
    PendingIsrIgnored,
    /// The high watermark moves although too few are in sync (before KIP-966).
    MinInsyncIgnored,
    /// A node that was started anew goes on in the leader epoch it had before.
    OldEpochAfterRestart,
    /// Who may have lost records stays eligible (before KIP-966).
    LossyStaysEligible,
}

impl Fault {
    pub(super) const ALL: [Self; 11] = [
        Self::HighWatermarkBeforeIsr,
        Self::PartitionEpochNotChecked,
        Self::BrokerEpochNotChecked,
        Self::TruncationToHighWatermark,
        Self::LeaderCountsUnsynced,
        Self::FollowerVouchesForUnsynced,
        Self::EpochsNotCompared,
        Self::PendingIsrIgnored,
        Self::MinInsyncIgnored,
        Self::OldEpochAfterRestart,
        Self::LossyStaysEligible,
    ];

    /// The smallest world in which it does harm.
    pub(super) fn scope(self) -> Scope {
        let none = Budget { appends: 1, crashes: 0, fences: 0, ticks: 0, retries: 0, repeats: 0 };
        let (min_insync, budget) = match self {
            Self::HighWatermarkBeforeIsr => (1, none),
            Self::PartitionEpochNotChecked => (1, Budget { ticks: 2, retries: 1, ..none }),
            Self::BrokerEpochNotChecked => (1, Budget { crashes: 2, ..none }),
            Self::TruncationToHighWatermark => (2, Budget { fences: 2, ..none }),
            Self::LeaderCountsUnsynced | Self::FollowerVouchesForUnsynced => {
                (1, Budget { fences: 1, crashes: 1, ..none })
            }
            Self::EpochsNotCompared => (1, Budget { appends: 2, fences: 1, ..none }),
            Self::PendingIsrIgnored => (1, Budget { appends: 2, ticks: 2, ..none }),
            Self::MinInsyncIgnored => (2, Budget { ticks: 1, fences: 1, ..none }),
            Self::OldEpochAfterRestart => (1, Budget { appends: 2, crashes: 1, ..none }),
            Self::LossyStaysEligible => (2, Budget { crashes: 1, ..none }),
        };
        let cached = matches!(self, Self::BrokerEpochNotChecked | Self::LossyStaysEligible);
        let disks = if cached { Disks::Cached } else { Disks::Synced };
        let late = self == Self::TruncationToHighWatermark;
        let fetches = if late { Fetches::LateAnswers } else { Fetches::AtOnce };
        Scope { nodes: 2, min_insync, disks, fetches, budget, remembers: false, fault: Some(self) }
    }
}

/// The bounds of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) nodes: i32,
    pub(super) min_insync: usize,
    pub(super) disks: Disks,
    pub(super) fetches: Fetches,
    pub(super) budget: Budget,
    /// Whether nodes know their high watermarks after a crash.
    pub(super) remembers: bool,
    pub(super) fault: Option<Fault>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Message {
    Fetch { from: i32, to: i32, broker_epoch: i64, asked: FetchPosition },
    Answer { to: i32, asked: FetchPosition, answer: Answer },
    Alter { from: i32, proposal: IsrProposal },
    Altered { to: i32, proposal: IsrProposal, answer: IsrAnswer },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Learn { node: usize, version: usize },
    Append { node: usize },
    Sync { node: usize },
    Fetch { node: usize },
    Deliver { message: Message, again: bool },
    Tick { node: usize },
    Retry { node: usize },
    Crash { node: usize, kept: usize },
    Restart { node: usize },
    Fence { node: usize },
    Unfence { node: usize },
}

/// A violated invariant.
pub(super) type Violation = String;

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    scope: Scope,
    nodes: Vec<Node>,
    /// Metadata with its version, from what the slowest node knows to the newest.
    metadata: Vec<(usize, Metadata)>,
    network: BTreeSet<Message>,
    /// What somebody took for committed: it must stay.
    committed: Vec<Record>,
    appended: u8,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            writeln!(f, "    {node:?}")?;
        }
        writeln!(f, "    newest metadata {:?}", self.newest())?;
        writeln!(f, "    committed {:?}, network {:?}", self.committed, self.network)
    }
}

impl World {
    pub(super) fn new(scope: Scope) -> Self {
        let metadata = vec![(1, Metadata::new(scope.nodes))];
        let nodes = (0..scope.nodes).map(Node::new).collect();
        let mut world = Self { scope, nodes, metadata, network: BTreeSet::new(), committed: Vec::new(), appended: 0 };
        for node in 0..world.nodes.len() {
            world.learn(node, 1);
        }
        world
    }

    fn newest(&self) -> &Metadata {
        &self.metadata.last().expect("there is always metadata").1
    }

    /// Everything that can happen.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let budget = self.scope.budget;
        for (at, node) in self.nodes.iter().enumerate() {
            let fenced = self.newest().brokers[at].fenced;
            if !fenced && budget.fences > 0 {
                events.push(Event::Fence { node: at });
            }
            if !node.up {
                events.push(Event::Restart { node: at });
                continue;
            }
            if fenced {
                events.push(Event::Unfence { node: at });
            }
            self.events_of(at, node, &mut events);
        }
        for message in &self.network {
            events.push(Event::Deliver { message: message.clone(), again: false });
            if budget.repeats > 0 && !matches!(message, Message::Alter { .. }) {
                events.push(Event::Deliver { message: message.clone(), again: true });
            }
        }
        events
    }

    fn events_of(&self, at: usize, node: &Node, events: &mut Vec<Event>) {
        let budget = self.scope.budget;
        let unknown = self.metadata.iter().map(|(version, _)| *version).filter(|version| *version > node.seen);
        events.extend(unknown.map(|version| Event::Learn { node: at, version }));
        if node.log.durable < node.log.records.len() {
            events.push(Event::Sync { node: at });
        }
        if budget.crashes > 0 {
            let kept = if self.scope.disks == Disks::Synced { node.log.durable } else { 0 };
            events.extend((kept..=node.log.records.len()).map(|kept| Event::Crash { node: at, kept }));
        }
        if let Role::Leads(_) = node.role {
            if budget.appends > 0 {
                events.push(Event::Append { node: at });
            }
            if budget.ticks > 0 {
                events.push(Event::Tick { node: at });
            }
            if budget.retries > 0 && node.asked.is_some() {
                events.push(Event::Retry { node: at });
            }
        }
        if let Some((to, asked)) = node.next_fetch(&self.scope) {
            let message = Message::Fetch { from: node.id, to, broker_epoch: node.broker_epoch, asked };
            let concerns = |message: &&Message| match message {
                Message::Fetch { from, .. } => *from == node.id,
                Message::Answer { to, .. } => *to == node.id,
                Message::Alter { .. } | Message::Altered { .. } => false,
            };
            if !self.network.contains(&message) && self.network.iter().filter(concerns).count() < MAX_FETCHES {
                events.push(Event::Fetch { node: at });
            }
        }
    }

    /// Lets an event happen.
    pub(super) fn apply(&mut self, event: &Event) -> Result<(), Violation> {
        let before: Vec<(bool, i64)> = self.nodes.iter().map(|node| (node.up, node.high_watermark)).collect();
        self.happen(event);
        if self.scope.budget.crashes == 0 {
            // Nobody will ever know the difference.
            let scope = self.scope;
            self.nodes.iter_mut().for_each(|node| node.sync(&scope));
        }
        self.forget();
        self.check(&before)
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Learn { node, version } => self.learn(*node, *version),
            Event::Append { node } => {
                self.scope.budget.appends -= 1;
                self.appended += 1;
                self.nodes[*node].append(self.appended, &self.scope);
            }
            Event::Sync { node } => self.nodes[*node].sync(&self.scope),
            Event::Fetch { node } => self.fetch(*node),
            Event::Deliver { message, again } => {
                if *again {
                    self.scope.budget.repeats -= 1;
                } else {
                    self.network.remove(message);
                }
                self.deliver(message);
            }
            Event::Tick { node } => {
                self.scope.budget.ticks -= 1;
                self.tick(*node);
            }
            Event::Retry { node } => {
                self.scope.budget.retries -= 1;
                if let Some(asked) = self.nodes[*node].asked.clone() {
                    self.altered(*node, &asked, IsrAnswer::Unanswered);
                }
            }
            Event::Crash { node, kept } => self.crash(*node, *kept),
            Event::Restart { node } => self.restart(*node),
            Event::Fence { node } => {
                self.scope.budget.fences -= 1;
                let (id, scope) = (self.nodes[*node].id, self.scope);
                self.decide(|metadata| metadata.fence(id, &scope));
            }
            Event::Unfence { node } => {
                let (id, scope) = (self.nodes[*node].id, self.scope);
                self.decide(|metadata| metadata.unfence(id, &scope));
            }
        }
    }

    fn fetch(&mut self, node: usize) {
        let node = &self.nodes[node];
        let Some((to, asked)) = node.next_fetch(&self.scope) else { return };
        let request = Message::Fetch { from: node.id, to, broker_epoch: node.broker_epoch, asked };
        if self.scope.fetches == Fetches::Late {
            self.network.insert(request);
            return;
        }
        self.deliver(&request);
        let mut answers = self.network.iter().filter(|message| matches!(message, Message::Answer { .. }));
        if self.scope.fetches == Fetches::AtOnce
            && let Some(answer) = answers.next().cloned()
        {
            self.network.remove(&answer);
            self.deliver(&answer);
        }
    }

    fn decide<T>(&mut self, change: impl FnOnce(&mut Metadata) -> T) -> T {
        let (version, mut metadata) = self.metadata.last().expect("there is always metadata").clone();
        let result = change(&mut metadata);
        self.metadata.push((version + 1, metadata));
        result
    }

    fn propose(&mut self, node: usize, proposal: Option<IsrProposal>) {
        let from = self.nodes[node].id;
        self.network.extend(proposal.map(|proposal| Message::Alter { from, proposal }));
    }

    fn learn(&mut self, node: usize, version: usize) {
        let found = self.metadata.iter().find(|(known, _)| *known == version);
        let Some((_, metadata)) = found else { return };
        let proposal = self.nodes[node].learn(metadata, version, &self.scope);
        self.propose(node, proposal);
    }

    fn tick(&mut self, node: usize) {
        let proposal = self.nodes[node].tick(&self.scope);
        self.propose(node, proposal);
    }

    fn crash(&mut self, node: usize, kept: usize) {
        self.scope.budget.crashes -= 1;
        let id = self.nodes[node].id;
        self.nodes[node].crash(kept, &self.scope);
        self.network.retain(|message| match message {
            Message::Fetch { to, .. } | Message::Answer { to, .. } | Message::Altered { to, .. } => *to != id,
            Message::Alter { .. } => true,
        });
    }

    fn restart(&mut self, node: usize) {
        let (id, scope) = (self.nodes[node].id, self.scope);
        let epoch = self.decide(|metadata| {
            metadata.register(id, &scope);
            metadata.brokers[index(id)].epoch
        });
        let version = self.metadata.last().map_or(0, |(version, _)| *version);
        self.nodes[node].restart(epoch, version, &scope);
    }

    fn deliver(&mut self, message: &Message) {
        match message {
            Message::Fetch { from, to, broker_epoch, asked } => {
                let at = index(*to);
                if !self.nodes[at].up {
                    return;
                }
                let (answer, proposal) = self.nodes[at].on_fetch(*from, *broker_epoch, asked, &self.scope);
                self.network.extend(answer.map(|answer| Message::Answer { to: *from, asked: *asked, answer }));
                self.propose(at, proposal);
            }
            Message::Answer { to, asked, answer } => self.nodes[index(*to)].on_answer(asked, answer, &self.scope),
            Message::Alter { from, proposal } => {
                let scope = self.scope;
                let answer = self.decide(|metadata| metadata.alter(*from, proposal, &scope));
                if !matches!(answer, IsrAnswer::Altered { .. }) {
                    self.metadata.pop();
                }
                self.network.insert(Message::Altered { to: *from, proposal: proposal.clone(), answer });
            }
            Message::Altered { to, proposal, answer } => self.altered(index(*to), proposal, answer.clone()),
        }
    }

    fn altered(&mut self, node: usize, proposal: &IsrProposal, answer: IsrAnswer) {
        let proposal = self.nodes[node].altered(proposal, answer, &self.scope);
        self.propose(node, proposal);
    }

    /// Drops what cannot have any effect any more: it would only multiply states.
    fn forget(&mut self) {
        let known: Vec<i32> = self.nodes.iter().map(|node| node.leader_epoch).collect();
        let newest = self.newest().leader_epoch;
        self.network.retain(|message| match message {
            Message::Fetch { to, asked, .. } | Message::Answer { to, asked, .. } => {
                asked.leader_epoch >= known[index(*to)]
            }
            Message::Alter { proposal, .. } => proposal.leader_epoch >= newest,
            Message::Altered { answer: IsrAnswer::Superseded, .. } => false,
            Message::Altered { to, proposal, .. } => proposal.leader_epoch >= known[index(*to)],
        });
        let slowest = self.nodes.iter().map(|node| node.seen).min().unwrap_or(0);
        let last = self.metadata.len() - 1;
        let mut at = 0;
        self.metadata.retain(|(version, _)| {
            at += 1;
            *version > slowest || at > last
        });
    }

    fn check(&mut self, before: &[(bool, i64)]) -> Result<(), Violation> {
        for (at, (was_up, high_watermark)) in before.iter().enumerate() {
            let node = &self.nodes[at];
            if let Some(halted) = &node.halted {
                return Err(format!("node {at} stopped: {halted}"));
            }
            if *was_up && node.up && node.high_watermark < *high_watermark {
                return Err(format!("the high watermark of node {at} went back"));
            }
            let visible = node.log.below(node.high_watermark);
            let common = visible.len().min(self.committed.len());
            if visible[..common] != self.committed[..common] {
                return Err(format!("node {at} shows other records than those that were committed"));
            }
            if visible.len() > common {
                self.committed = visible.to_vec();
            }
        }
        self.check_leaders()?;
        self.check_eligible()
    }

    fn check_leaders(&self) -> Result<(), Violation> {
        let newest = self.newest();
        let mut epochs = BTreeSet::new();
        for node in &self.nodes {
            let Role::Leads(leader) = &node.role else { continue };
            if !epochs.insert(leader.epoch()) {
                return Err(format!("two leaders in epoch {}", leader.epoch()));
            }
            let is_newest = leader.epoch() == newest.leader_epoch;
            if is_newest && !node.log.records.starts_with(&self.committed) {
                return Err(format!("leader {} lacks committed records", node.id));
            }
        }
        Ok(())
    }

    /// Whoever may lead next has on its disk what was committed.
    fn check_eligible(&self) -> Result<(), Violation> {
        let newest = self.newest();
        for id in newest.isr.iter().chain(&newest.elr) {
            let node = &self.nodes[index(*id)];
            // What it lost shows when it is back.
            let lossy = self.scope.disks != Disks::Synced && !node.up;
            let durable = &node.log.records[..node.log.durable];
            if !lossy && !durable.starts_with(&self.committed) {
                return Err(format!("replica {id} may lead and lacks committed records"));
            }
        }
        Ok(())
    }
}
