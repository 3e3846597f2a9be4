//! The configuration of a running node: settings that never change plus dynamic ones that do.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::{BrokerConfig, TopicConfig};

/// The current [`BrokerConfig`], replaced as a whole when a dynamic key changes.
pub struct LiveConfig {
    current: RwLock<Arc<BrokerConfig>>,
}

impl LiveConfig {
    /// The values in force now. Cheap; keep the answer for one piece of work, not for ever.
    pub fn current(&self) -> Arc<BrokerConfig> {
        self.current.read().clone()
    }

    /// The values of a topic with these overrides (name to text, as the metadata image keeps them).
    pub fn topic(&self, overrides: Option<&BTreeMap<String, String>>) -> Arc<TopicConfig> {
        let _ = overrides;
        todo!()
    }
}
