//! What a coordinator knows is the replay of its log, in every leader epoch.

use std::collections::BTreeSet;

use super::Sight;

/// Coordinators that were looked at.
#[derive(Debug, Default)]
pub struct LiveIsReplay {
    known: BTreeSet<(i32, u32, i32, i32)>,
}

impl LiveIsReplay {
    /// Looks at those that it has not seen in their epoch yet, or at all of them.
    ///
    /// # Errors
    /// One knows something else.
    pub async fn look(&mut self, nodes: &[Sight], all: bool) -> Result<(), String> {
        for sight in nodes {
            // Which there are costs nothing to find out; reading their logs does.
            let led = sight.node.partitions().all();
            let new = led.iter().filter(|partition| partition.is_leader() && partition.topic() == OFFSETS);
            let is_new = |epoch, index| !self.known.contains(&(sight.id, sight.life, index, epoch));
            if !all && !new.into_iter().any(|partition| is_new(partition.leader().1, partition.index())) {
                continue;
            }
            for (partition, epoch, is_same) in sight.node.audit_groups().await {
                if !is_same {
                    let what = format!("{OFFSETS}-{partition} at {} in epoch {epoch}", sight.id);
                    return Err(format!("a coordinator is the replay of its log: {what} is not"));
                }
                self.known.insert((sight.id, sight.life, partition, epoch));
            }
        }
        Ok(())
    }
}

/// The topic of groups.
const OFFSETS: &str = "__consumer_offsets";
