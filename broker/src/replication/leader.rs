//! What the leader of a partition knows of its replicas, and what follows for the high watermark.
//!
//! The high watermark is the least durable end over the in-sync replicas. (A topic that opted out of syncing by
//! `durability=page-cache` counts as durable what is appended: its log says so, nothing differs here.) It never goes back
//! (invariant 3), also not when a replica with a lower end joins: that replica may only join once it has reached it.
//!
//! Events come in, the new high watermark comes out, if it moved.

use std::collections::BTreeMap;

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
    durable_end: i64,
    high_watermark: i64,
    followers: BTreeMap<i32, Replica>,
    /// The leader itself is one.
    in_sync: usize,
}

impl Leader {
    /// Node `node` becomes leader in `epoch`, alone in sync until [`Self::on_replicas`] says otherwise. `high_watermark` is
    /// what it knows from before, at most the end of its own log.
    pub fn new(node: i32, epoch: i32, durable_end: i64, high_watermark: i64) -> Self {
        Self { node, epoch, durable_end, high_watermark, followers: BTreeMap::new(), in_sync: 1 }
    }

    /// The leader epoch.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The high watermark.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// All replicas, the leader included.
    pub fn replicas(&self) -> usize {
        1 + self.followers.len()
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

    /// Records became durable here.
    pub fn on_durable(&mut self, durable_end: i64) -> Option<i64> {
        self.durable_end = self.durable_end.max(durable_end);
        self.advance()
    }

    /// A follower asks for records from `end` on: it vouches for everything below. Ends of unknown replicas are ignored.
    pub fn on_follower_fetch(&mut self, node: i32, end: i64) -> Option<i64> {
        self.followers.get_mut(&node)?.end = end;
        self.advance()
    }

    fn advance(&mut self) -> Option<i64> {
        let in_sync = self.followers.values().filter(|replica| replica.in_sync);
        let end = in_sync.map(|replica| replica.end).fold(self.durable_end, i64::min);
        (end > self.high_watermark).then(|| {
            self.high_watermark = end;
            end
        })
    }
}

#[cfg(test)]
mod tests;
