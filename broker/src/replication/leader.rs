//! What the leader of a partition knows of its replicas, and what follows for the high watermark.
//!
//! The high watermark is the least end over the in-sync replicas: of what each has made durable, or, for topics that opted
//! out (`durability=page-cache`), of what it has appended. It never goes back (invariant 3), also not when a replica with a
//! lower end joins: that replica may only join once it has reached it.
//!
//! Events come in, the new high watermark comes out, if it moved.

use std::collections::BTreeMap;

/// What counts for the high watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// What is on disk.
    Durable,
    /// What is appended (`durability=page-cache`).
    Appended,
}

/// What the leader knows of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Replica {
    /// End of what the replica vouches for.
    end: i64,
    in_sync: bool,
}

/// The state of one leader in one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    node: i32,
    epoch: i32,
    basis: Basis,
    durable_end: i64,
    log_end: i64,
    high_watermark: i64,
    followers: BTreeMap<i32, Replica>,
    /// The leader itself is one.
    in_sync: usize,
}

/// Where the leader's own log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalEnds {
    /// End of what is durable.
    pub durable_end: i64,
    /// End of the log.
    pub log_end: i64,
}

impl Leader {
    /// Node `node` becomes leader in `epoch`. `high_watermark` is what it knows from before, at most its own end.
    pub fn new(node: i32, epoch: i32, basis: Basis, ends: LocalEnds, high_watermark: i64) -> Self {
        let LocalEnds { durable_end, log_end } = ends;
        let high_watermark = high_watermark.min(log_end);
        Self { node, epoch, basis, durable_end, log_end, high_watermark, followers: BTreeMap::new(), in_sync: 1 }
    }

    /// The leader epoch.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The high watermark.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// In-sync replicas, the leader included.
    pub fn in_sync(&self) -> usize {
        self.in_sync
    }

    /// The set of replicas and those in sync, as the controller decided. Followers that are new are assumed to have nothing.
    pub fn on_replicas(&mut self, replicas: &[i32], isr: &[i32]) -> Option<i64> {
        let old = std::mem::take(&mut self.followers);
        for id in replicas.iter().filter(|id| **id != self.node) {
            let end = old.get(id).map_or(0, |replica| replica.end);
            self.followers.insert(*id, Replica { end, in_sync: isr.contains(id) });
        }
        self.in_sync = 1 + self.followers.values().filter(|replica| replica.in_sync).count();
        self.advance()
    }

    /// The topic changed its durability.
    pub fn on_basis(&mut self, basis: Basis) -> Option<i64> {
        self.basis = basis;
        self.advance()
    }

    /// Records were appended here.
    pub fn on_append(&mut self, log_end: i64) -> Option<i64> {
        self.log_end = self.log_end.max(log_end);
        match self.basis {
            Basis::Durable => None,
            Basis::Appended => self.advance(),
        }
    }

    /// Records became durable here.
    pub fn on_durable(&mut self, durable_end: i64) -> Option<i64> {
        self.durable_end = self.durable_end.max(durable_end);
        self.log_end = self.log_end.max(durable_end);
        self.advance()
    }

    /// A follower asks for records from `end` on: it vouches for everything below. Ends of unknown replicas are ignored.
    pub fn on_follower_fetch(&mut self, node: i32, end: i64) -> Option<i64> {
        self.followers.get_mut(&node)?.end = end.min(self.log_end);
        self.advance()
    }

    fn own_end(&self) -> i64 {
        match self.basis {
            Basis::Durable => self.durable_end,
            Basis::Appended => self.log_end,
        }
    }

    fn advance(&mut self) -> Option<i64> {
        let in_sync = self.followers.values().filter(|replica| replica.in_sync);
        let end = in_sync.map(|replica| replica.end).fold(self.own_end(), i64::min);
        (end > self.high_watermark).then(|| {
            self.high_watermark = end;
            end
        })
    }
}

#[cfg(test)]
mod tests;
