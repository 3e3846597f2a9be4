//! A log directory for the controller on any disk, with its group commit running.

use std::{path::PathBuf, sync::Arc};

use goatq_controller::{
    decide::{ConfigValidator, InvalidConfig},
    image::{ConfigKind, ConfigResource},
    service::{ClusterConfig, MetadataStorage},
};
use goatq_protocol::Uuid;
use goatq_storage::{
    config::CacheLimits,
    group_commit::GroupCommit,
    io::{Disk, sim::SimDisk},
    log::LogResources,
    log_dir::health::{DirHealth, Reserve},
};

/// A key table that knows everything.
#[derive(Debug)]
pub(crate) struct AnyConfig;

impl ConfigValidator for AnyConfig {
    fn validate(
        &self,
        _resource: &ConfigResource,
        _values: &std::collections::BTreeMap<String, String>,
        _changed: &[&str],
    ) -> Result<(), InvalidConfig> {
        Ok(())
    }

    fn list_base(&self, _resource: &ConfigResource, _key: &str) -> Option<String> {
        None
    }

    fn is_sensitive(&self, _kind: ConfigKind, _key: &str) -> bool {
        false
    }
}

/// Storage in a directory of a disk; its group commit runs until the runtime ends.
pub(crate) fn storage(disk: Arc<dyn Disk>, log_dir: PathBuf) -> MetadataStorage {
    disk.create_dir_all(&log_dir).unwrap();
    if let Some(parent) = log_dir.parent() {
        disk.sync_dir(parent).unwrap();
    }
    let health = DirHealth::new(disk.clone(), &log_dir, Reserve::default());
    let commit = GroupCommit::new(health);
    let running = commit.clone();
    tokio::spawn(async move { running.run().await });
    let resources = LogResources::new(disk.clone(), CacheLimits::default());
    MetadataStorage { disk, log_dir, resources, commit, offload: false }
}

/// Storage on a simulated disk.
pub(crate) fn sim_storage(disk: &SimDisk) -> MetadataStorage {
    storage(Arc::new(disk.clone()), PathBuf::from("/data"))
}

pub(crate) fn directory_id(node: i32) -> Uuid {
    Uuid::from_u128(1_000 + u128::from(node.unsigned_abs()))
}

/// A quorum of node 1 alone.
pub(crate) fn single(seed: u8) -> ClusterConfig {
    ClusterConfig::single(1, directory_id(1), [seed; 32])
}
