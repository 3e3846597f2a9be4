//! While a node lives, its high watermarks and leader epochs only grow.

use std::collections::BTreeMap;

use goatq_protocol::Uuid;

use super::{Invariant, Sight};

/// What was seen last: the life, the high watermark, the leader epoch.
#[derive(Debug, Default)]
pub struct HighWatermark {
    seen: BTreeMap<(i32, Uuid, i32), (u32, i64, i32)>,
}

impl Invariant for HighWatermark {
    fn look(&mut self, nodes: &[Sight]) -> Result<(), String> {
        for sight in nodes {
            for partition in sight.node.partitions().all() {
                let now = (sight.life, partition.high_watermark(), partition.leader_epoch());
                let before = self.seen.insert((sight.id, partition.topic_id(), partition.index()), now);
                let Some(before) = before.filter(|before| before.0 == sight.life) else { continue };
                if now.1 < before.1 || now.2 < before.2 {
                    let what = format!("{partition:?} at {}: from {before:?} to {now:?}", sight.id);
                    return Err(format!("high watermarks and epochs grow: {what}"));
                }
            }
        }
        Ok(())
    }
}
