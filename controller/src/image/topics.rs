//! Topics and their partitions in the image.

use std::sync::Arc;

use bytestring::ByteString;
use goatq_protocol::Uuid;

use super::ordered::OrderedMap;
use crate::topic_name;

/// The leader of a partition that has none.
pub const NO_LEADER: i32 = -1;

/// The directory of a replica whose broker lost it to a failure of the disk, or never had it (KIP-858).
pub const LOST_DIRECTORY: Uuid = Uuid::from_u128(1);

/// One partition: who has it, who leads it, who is in sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    /// Id of the leading broker, [`NO_LEADER`] when no replica can lead.
    pub leader: i32,
    /// Grows by one with every change of leader, and when the leader was restarted.
    pub leader_epoch: i32,
    /// Grows by one with every change of the partition.
    pub partition_epoch: i32,
    /// All replicas in order of preference; never empty.
    pub replicas: Vec<i32>,
    /// Replicas in sync with the leader.
    pub isr: Vec<i32>,
    /// Replicas outside the ISR that still have everything below the high watermark (KIP-966).
    pub elr: Vec<i32>,
    /// The last ISR member before the ISR became empty, at most one (KIP-966).
    pub last_known_elr: Vec<i32>,
    /// The newest leader epoch that began with an unclean election, -1 for none: what was acknowledged before it may be lost.
    pub unclean_epoch: i32,
    /// The log directory of each replica, in the order of `replicas`.
    pub directories: Vec<Uuid>,
    /// Replicas that a reassignment is adding.
    pub adding_replicas: Vec<i32>,
    /// Replicas that a reassignment is removing.
    pub removing_replicas: Vec<i32>,
}

impl PartitionImage {
    /// Whether some replica leads.
    pub fn has_leader(&self) -> bool {
        self.leader != NO_LEADER
    }

    /// The log directory of a replica; the zero id while its broker has not said.
    pub fn directory(&self, replica: i32) -> Option<Uuid> {
        let at = self.replicas.iter().position(|other| *other == replica)?;
        self.directories.get(at).copied()
    }

    /// Whether the log directory of a replica failed: it cannot lead or be in sync, whatever its broker does.
    pub fn is_lost(&self, replica: i32) -> bool {
        self.directory(replica) == Some(LOST_DIRECTORY)
    }

    /// The replica that should lead when all are alive.
    pub fn preferred_leader(&self) -> i32 {
        self.replicas.first().copied().unwrap_or(NO_LEADER)
    }

    /// Whether replicas are being added or removed (KIP-455).
    pub fn is_reassigning(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }

    /// The replicas without those that a reassignment is removing: what it shall have, in order of preference.
    pub fn target_replicas(&self) -> Vec<i32> {
        self.replicas.iter().copied().filter(|replica| !self.removing_replicas.contains(replica)).collect()
    }

    /// The replicas without those that a reassignment is adding: what it had before one began, in some order.
    pub fn assigned_replicas(&self) -> Vec<i32> {
        self.replicas.iter().copied().filter(|replica| !self.adding_replicas.contains(replica)).collect()
    }
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Never the zero id, never used again after deletion.
    pub id: Uuid,
    /// Its name; see [`crate::topic_name`] for what names there are.
    pub name: ByteString,
    /// Partition `i` is at position `i`.
    pub partitions: Vec<Arc<PartitionImage>>,
}

impl TopicImage {
    /// A partition by its number.
    pub fn partition(&self, partition: i32) -> Option<&PartitionImage> {
        self.partitions.get(usize::try_from(partition).ok()?).map(|found| &**found)
    }

    /// Number of partitions, as the protocol counts them.
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }
}

/// All topics, by id and by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicsImage {
    by_id: OrderedMap<Uuid, Arc<TopicImage>>,
    by_name: OrderedMap<ByteString, Uuid>,
    /// Names with a dot or an underscore, under what metrics make of them. See [`crate::topic_name::fold`].
    by_folded: OrderedMap<ByteString, ByteString>,
    partitions: usize,
}

impl TopicsImage {
    /// A topic by its id.
    pub fn by_id(&self, id: &Uuid) -> Option<&Arc<TopicImage>> {
        self.by_id.get(id)
    }

    /// A topic by its name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_id.get(self.by_name.get(name)?)
    }

    /// The id of a name.
    pub fn id_of(&self, name: &str) -> Option<Uuid> {
        self.by_name.get(name).copied()
    }

    /// All topics in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TopicImage>> + '_ {
        self.by_name.values().filter_map(|id| self.by_id.get(id))
    }

    /// Topics whose name is `name` or sorts behind it, in order of their names.
    pub fn iter_from(&self, name: &str) -> impl Iterator<Item = &Arc<TopicImage>> + '_ {
        self.by_name.range_from(name).filter_map(|(_, id)| self.by_id.get(id))
    }

    /// Number of topics.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Number of partitions of all topics.
    pub fn partition_count(&self) -> usize {
        self.partitions
    }

    pub(crate) fn ids(&self) -> &OrderedMap<Uuid, Arc<TopicImage>> {
        &self.by_id
    }

    /// The name of another topic that metrics could not tell from one of this name.
    pub fn colliding(&self, name: &str) -> Option<&ByteString> {
        self.by_folded.get(&*topic_name::fold(name)?).filter(|other| &***other != name)
    }

    /// Takes a topic in; one of that id or name must not be there.
    pub(crate) fn add(&mut self, topic: TopicImage) {
        self.partitions += topic.partitions.len();
        self.by_name.insert(topic.name.clone(), topic.id);
        if let Some(folded) = topic_name::fold(&topic.name) {
            self.by_folded.insert(folded, topic.name.clone());
        }
        self.by_id.insert(topic.id, Arc::new(topic));
    }

    /// Takes a topic out.
    pub(crate) fn remove(&mut self, id: &Uuid) -> Option<Arc<TopicImage>> {
        let topic = self.by_id.remove(id)?;
        self.by_name.remove(&*topic.name);
        if let Some(folded) = topic_name::fold(&topic.name) {
            self.by_folded.remove(&*folded);
        }
        self.partitions -= topic.partitions.len();
        Some(topic)
    }

    /// Adds the partition that comes next.
    pub(crate) fn push_partition(&mut self, id: &Uuid, partition: PartitionImage) {
        if let Some(topic) = self.by_id.get_mut(id) {
            Arc::make_mut(topic).partitions.push(Arc::new(partition));
            self.partitions += 1;
        }
    }

    /// A partition to be changed.
    pub(crate) fn partition_mut(&mut self, id: &Uuid, partition: usize) -> Option<&mut PartitionImage> {
        let topic = Arc::make_mut(self.by_id.get_mut(id)?);
        topic.partitions.get_mut(partition).map(Arc::make_mut)
    }
}
