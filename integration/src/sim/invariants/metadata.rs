//! Metadata is the same wherever it is as new, and never gets older in one life of a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use goatq_controller::image::MetadataImage;

use super::{Invariant, Sight};

/// Images that are remembered.
const IMAGES: usize = 64;

/// The newest images, by index, and the index that each node had.
#[derive(Debug, Default)]
pub struct SameMetadata {
    images: BTreeMap<i64, Arc<MetadataImage>>,
    applied: BTreeMap<i32, (u32, i64)>,
}

impl Invariant for SameMetadata {
    fn look(&mut self, nodes: &[Sight]) -> Result<(), String> {
        for sight in nodes {
            let image = sight.node.image();
            let index = image.applied_index;
            let before = self.applied.insert(sight.id, (sight.life, index));
            if before.is_some_and(|(life, before)| life == sight.life && before > index) {
                return Err(format!("metadata grows: {} went from {before:?} to {index}", sight.id));
            }
            let known = self.images.entry(index).or_insert_with(|| image.clone());
            if **known != *image {
                return Err(format!("same metadata: {} has another at {index}", sight.id));
            }
        }
        while self.images.len() > IMAGES {
            self.images.pop_first();
        }
        Ok(())
    }
}
