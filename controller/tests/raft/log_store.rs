//! Openraft's conformance suite for log stores and state machines, on a simulated and on a real disk. It sleeps a lot, hence the
//! paused clock.

use std::{path::PathBuf, sync::Arc, sync::atomic::AtomicU64, sync::atomic::Ordering};

use goatq_controller::{
    image::SharedImage,
    raft::{
        MetadataRaft,
        log_store::{LogStore, directory},
        network::Members,
        snapshot::SnapshotStore,
        state_machine::StateMachine,
    },
};
use goatq_storage::io::{Disk, blocking::BlockingDisk, sim::SimDisk};
use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
};
use tokio::sync::watch;

use crate::support;

/// Makes a new store for every test of the suite, on a new simulated disk or in a new directory of a real one.
struct Builder {
    real: Option<(Arc<dyn Disk>, PathBuf)>,
    built: AtomicU64,
}

impl StoreBuilder<MetadataRaft, LogStore, StateMachine, ()> for Builder {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError<MetadataRaft>> {
        let number = self.built.fetch_add(1, Ordering::Relaxed);
        let storage = match &self.real {
            Some((disk, root)) => support::storage(disk.clone(), root.join(number.to_string())),
            None => support::sim_storage(&SimDisk::new(number)),
        };
        let log_store = LogStore::open(&storage, 1, support::directory_id(1)).unwrap();
        let (snapshots, content) = SnapshotStore::open(storage.disk.clone(), &directory(&storage)).unwrap();
        let (published, _) = watch::channel(SharedImage::default());
        Ok(((), log_store, StateMachine::new(snapshots, content, published, Members::default())))
    }
}

#[tokio::test(start_paused = true)]
async fn suite_on_a_simulated_disk() {
    let builder = Builder { real: None, built: AtomicU64::new(0) };
    Suite::test_store(&builder).await.unwrap();
    assert!(builder.built.load(Ordering::Relaxed) > 40, "the suite has shrunk");
}

#[tokio::test(start_paused = true)]
async fn suite_on_a_real_disk() {
    let root = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(BlockingDisk::new(2));
    let builder = Builder { real: Some((disk, root.path().to_owned())), built: AtomicU64::new(0) };
    Suite::test_store(&builder).await.unwrap();
}
