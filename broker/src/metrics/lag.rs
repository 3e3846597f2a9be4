//! Consumer groups at scrape time, under the names of kafka_exporter: offsets, lag, members.

pub(crate) mod history;

/// A group with what it committed, as the coordinator holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSnapshot {
    /// Group id.
    pub group: String,
    /// State by Kafka's name: Stable, Empty, PreparingRebalance, CompletingRebalance, Dead.
    pub state: &'static str,
    /// Members now.
    pub members: usize,
    /// Committed offsets: topic, partition, offset.
    pub offsets: Vec<(String, i32, i64)>,
}

/// Where groups are read from when metrics are scraped. Implemented by the group coordinator.
pub trait GroupSource: Send + Sync + 'static {
    /// At most `max_groups` groups that this node coordinates, in order of their ids.
    fn groups(&self, max_groups: usize) -> Vec<GroupSnapshot>;
}
