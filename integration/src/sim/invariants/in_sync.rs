//! Who is in sync holds all that was committed.
//!
//! What was committed is the greatest high watermark that anybody ever had. The newest metadata that anybody ever had says who is in
//! sync: a node that was away believes in an older one.

use std::collections::BTreeMap;

use std::sync::Arc;

use goatq_controller::image::MetadataImage;
use goatq_protocol::Uuid;

use super::{Invariant, Sight};

/// The greatest high watermark of each partition, and the newest metadata.
#[derive(Debug, Default)]
pub struct InSyncHoldAll {
    committed: BTreeMap<(Uuid, i32), i64>,
    newest: Arc<MetadataImage>,
}

impl Invariant for InSyncHoldAll {
    fn look(&mut self, nodes: &[Sight]) -> Result<(), String> {
        for sight in nodes {
            for partition in sight.node.partitions().all() {
                let most = self.committed.entry((partition.topic_id(), partition.index())).or_default();
                *most = (*most).max(partition.high_watermark());
            }
        }
        let images = nodes.iter().map(|sight| sight.node.image());
        if let Some(image) = images
            .max_by_key(|image| image.applied_index)
            .filter(|image| image.applied_index > self.newest.applied_index)
        {
            self.newest = image;
        }
        for sight in nodes {
            for partition in sight.node.partitions().all() {
                let place = (partition.topic_id(), partition.index());
                let known = self.newest.topics.by_id(&place.0).and_then(|topic| topic.partition(place.1));
                // Where a directory has failed, its replicas stay eligible for when it comes back, and lead no sooner (KIP-858): what
                // their broker has elsewhere by then is a log that was begun anew.
                let counts = known.is_some_and(|known| {
                    (known.isr.contains(&sight.id) || known.elr.contains(&sight.id)) && !known.is_lost(sight.id)
                });
                let (end, committed) = (partition.log_end_offset(), self.committed[&place]);
                if counts && end < committed {
                    let what = format!("{partition:?} of {} ends at {end}, committed is {committed}", sight.id);
                    return Err(format!("in sync: {what}, says {}: {known:?}", self.newest.applied_index));
                }
            }
        }
        Ok(())
    }
}
