//! A partition has one leader in an epoch.

use std::collections::BTreeMap;

use goatq_protocol::Uuid;

use super::{Invariant, Sight};

/// Who was seen to lead.
#[derive(Debug, Default)]
pub struct OneLeader {
    leaders: BTreeMap<(Uuid, i32, i32), i32>,
}

impl Invariant for OneLeader {
    fn look(&mut self, nodes: &[Sight]) -> Result<(), String> {
        for sight in nodes {
            for partition in sight.node.partitions().all().iter().filter(|partition| partition.is_leader()) {
                let (_, epoch) = partition.leader();
                let known = self.leaders.entry((partition.topic_id(), partition.index(), epoch)).or_insert(sight.id);
                if *known != sight.id {
                    return Err(format!("one leader: {partition:?} epoch {epoch}: {known} and {}", sight.id));
                }
            }
        }
        Ok(())
    }
}
