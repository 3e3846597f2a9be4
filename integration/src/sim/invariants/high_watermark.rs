//! While a node lives, its high watermarks and leader epochs only grow.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use goatq_broker::partition::Partition;
use goatq_protocol::Uuid;

use super::{Invariant, Sight};

/// What was seen last.
#[derive(Debug, Default)]
pub struct HighWatermark {
    seen: BTreeMap<(i32, Uuid, i32), Seen>,
}

#[derive(Debug)]
struct Seen {
    /// A replica that was moved away and back begins anew.
    replica: Weak<Partition>,
    life: u32,
    high_watermark: i64,
    epoch: i32,
}

impl Invariant for HighWatermark {
    fn look(&mut self, nodes: &[Sight]) -> Result<(), String> {
        for sight in nodes {
            for partition in sight.node.partitions().all() {
                let now = Seen {
                    replica: Arc::downgrade(&partition),
                    life: sight.life,
                    high_watermark: partition.high_watermark(),
                    epoch: partition.leader_epoch(),
                };
                let (high_watermark, epoch) = (now.high_watermark, now.epoch);
                let before = self.seen.insert((sight.id, partition.topic_id(), partition.index()), now);
                let same =
                    |before: &Seen| before.life == sight.life && before.replica.as_ptr() == Arc::as_ptr(&partition);
                let Some(before) = before.filter(same) else { continue };
                if high_watermark < before.high_watermark || epoch < before.epoch {
                    let what = format!(
                        "{partition:?} at {}: from {} in {} to {high_watermark} in {epoch}",
                        sight.id, before.high_watermark, before.epoch
                    );
                    return Err(format!("high watermarks and epochs grow: {what}"));
                }
            }
        }
        Ok(())
    }
}
