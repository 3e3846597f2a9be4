//! Finalized feature levels in the image.

use std::{collections::BTreeMap, sync::Arc};

use bytestring::ByteString;

/// Feature levels that the whole cluster has agreed on. Level 0 is the same as not being there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeaturesImage {
    levels: Arc<BTreeMap<ByteString, i16>>,
}

impl FeaturesImage {
    /// The level of a feature, 0 when it is not finalized.
    pub fn level(&self, name: &str) -> i16 {
        self.levels.get(name).copied().unwrap_or(0)
    }

    /// All finalized features with their levels, in order of their names. Their epoch, as ApiVersions shows it, is the
    /// image's applied index.
    pub fn iter(&self) -> impl Iterator<Item = (&ByteString, i16)> + '_ {
        self.levels.iter().map(|(name, level)| (name, *level))
    }

    /// Sets a level; 0 takes the feature out.
    pub(crate) fn set(&mut self, name: &ByteString, level: i16) {
        let levels = Arc::make_mut(&mut self.levels);
        if level == 0 {
            levels.remove(&**name);
        } else {
            levels.insert(name.clone(), level);
        }
    }
}
