//! Applies committed entries to the image, publishes it, and makes snapshots of it.

use std::{fmt, io, sync::Arc};

use futures_util::{Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
    type_config::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf},
};
use tokio::sync::{Mutex, watch};

use super::{
    Applied, EntryData, LogId, MetadataRaft, StoredMembership,
    network::Members,
    snapshot::{self, SnapshotContent, SnapshotData, SnapshotStore},
};
use crate::{
    image::{MetadataImage, SharedImage},
    record::MetadataRecord,
    replay::replay,
};

/// Keeps the image. One per node.
pub struct StateMachine {
    image: MetadataImage,
    applied: Option<LogId>,
    membership: StoredMembership,
    published: watch::Sender<SharedImage>,
    snapshots: Arc<Mutex<SnapshotStore>>,
    members: Members,
}

impl fmt::Debug for StateMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMachine").field("applied", &self.applied).finish_non_exhaustive()
    }
}

impl StateMachine {
    /// Starts from a snapshot, or from nothing.
    pub fn new(
        snapshots: SnapshotStore,
        content: Option<SnapshotContent>,
        published: watch::Sender<SharedImage>,
        members: Members,
    ) -> StateMachine {
        let (image, applied, membership) = match content {
            Some(content) => (content.image, content.last, content.membership),
            None => (MetadataImage::default(), None, StoredMembership::default()),
        };
        let machine =
            StateMachine { image, applied, membership, published, snapshots: Arc::new(Mutex::new(snapshots)), members };
        machine.members.set(machine.membership.membership());
        machine.publish();
        machine
    }

    fn publish(&self) {
        self.published.send_replace(Arc::new(self.image.clone()));
    }

    fn apply_data(&mut self, index: i64, data: &EntryData) -> io::Result<Applied> {
        if data.based_on != self.image.changed_index {
            return Ok(Applied::Stale);
        }
        let failed = |reason: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("metadata entry {index} cannot be applied: {reason}"))
        };
        let records = MetadataRecord::decode_all(data.records.clone()).map_err(|error| failed(error.to_string()))?;
        for record in &records {
            replay(&mut self.image, record).map_err(|error| failed(error.to_string()))?;
        }
        self.image.changed_index = index;
        Ok(Applied::Done)
    }

    fn content(&self) -> SnapshotContent {
        SnapshotContent { last: self.applied, membership: self.membership.clone(), image: self.image.clone() }
    }
}

impl RaftStateMachine<MetadataRaft> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogIdOf<MetadataRaft>>, StoredMembershipOf<MetadataRaft>)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = Result<EntryResponder<MetadataRaft>, io::Error>> + Unpin + OptionalSend,
    {
        // Answered once the image is out: who is answered finds his change in it.
        let mut answers = Vec::new();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let index = i64::try_from(entry.log_id.index).map_err(io::Error::other)?;
            let applied = match &entry.payload {
                EntryPayload::Blank => Applied::Done,
                EntryPayload::Normal(data) => self.apply_data(index, data)?,
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                    self.members.set(membership);
                    Applied::Done
                }
            };
            self.image.applied_index = index;
            self.applied = Some(entry.log_id);
            answers.extend(responder.map(|responder| (responder, applied)));
        }
        self.publish();
        for (responder, applied) in answers {
            responder.send(applied);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder { content: self.content(), snapshots: self.snapshots.clone() }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<MetadataRaft>,
        snapshot: SnapshotData,
    ) -> io::Result<()> {
        if snapshot.len() > snapshot::MAX_SNAPSHOT {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the snapshot is too long"));
        }
        let len = usize::try_from(snapshot.len()).map_err(io::Error::other)?;
        let bytes = snapshot.read(0, len).await?;
        let content = snapshot::decode(bytes.clone())?;
        if content.meta() != *meta {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the snapshot is not the one that was announced"));
        }
        self.snapshots.lock().await.save(meta.clone(), &bytes).await?;
        self.image = content.image;
        self.applied = content.last;
        self.membership = content.membership;
        self.members.set(self.membership.membership());
        self.publish();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<MetadataRaft, SnapshotData>>> {
        let current = self.snapshots.lock().await.current()?;
        Ok(current.map(|(meta, snapshot)| openraft::Snapshot { meta, snapshot }))
    }
}

/// Writes a snapshot of the image as it was when this was made.
#[derive(Debug)]
pub struct SnapshotBuilder {
    content: SnapshotContent,
    snapshots: Arc<Mutex<SnapshotStore>>,
}

impl RaftSnapshotBuilder<MetadataRaft> for SnapshotBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<MetadataRaft, SnapshotData>> {
        let bytes = snapshot::encode(&self.content).await?;
        let meta = self.content.meta();
        let snapshot = self.snapshots.lock().await.save(meta.clone(), &bytes).await?;
        tracing::info!(index = self.content.image.applied_index, bytes = bytes.len(), "metadata snapshot written");
        Ok(openraft::Snapshot { meta, snapshot })
    }
}
