//! Puts the metadata image into effect on this node: opens, assigns, reconfigures and deletes partitions.
//!
//! One task does it, image after image; whoever needs to know how far it is asks [`Applied`](super::applied::Applied).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use goatq_controller::decide::directories::PlacedReplica;
use goatq_controller::decide::losses::ShortReplica;
use goatq_controller::entropy::Entropy;
use goatq_controller::image::{ConfigResource, MetadataImage, PartitionImage};
use goatq_protocol::Uuid;
use goatq_storage::config::Durability;
use goatq_storage::group_commit::NoListener;
use goatq_storage::log::Log;
use goatq_storage::log_dir::{LastShutdown, LogDir, LogRequest, OpenLogError};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::plan::{PartitionKey, Plan, plan};
use crate::clock::Clock;
use crate::config::layers::Dynamic;
use crate::config::{LiveConfig, TopicConfig};
use crate::directories::{Directories, Home, ReplicaName};
use crate::lifecycle::FoundLoss;
use crate::metrics::Metrics;
use crate::partition::{Assignment, Partition, PartitionContext, PartitionName, PartitionRegistry};
use crate::replication::returning::{self, Lack, Opened};
use crate::threads::offload::Offload;

/// Between two attempts to open what could not be opened for want of descriptors or room.
const AGAIN: Duration = Duration::from_secs(1);

/// What it takes to put an image into effect.
pub(crate) struct ApplyParts {
    /// What partitions share; knows the node's id.
    pub(crate) context: PartitionContext,
    /// Where logs lie.
    pub(crate) directories: Arc<Directories>,
    /// Told of replicas that are in another directory than the metadata says.
    pub(crate) misplaced: UnboundedSender<PlacedReplica>,
    /// Told of replicas that have less than they had acknowledged.
    pub(crate) losses: UnboundedSender<FoundLoss>,
    /// Defaults of topics, and where dynamic values of brokers go.
    pub(crate) config: Arc<LiveConfig>,
    /// Open partitions.
    pub(crate) partitions: Arc<PartitionRegistry>,
    /// Counters of topics.
    pub(crate) metrics: Arc<Metrics>,
    /// Wall time for logs.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where opening and deleting logs runs.
    pub(crate) offload: Offload,
    /// Names of deleted directories.
    pub(crate) entropy: Entropy,
}

/// Follows the metadata; see the module.
pub(crate) struct Applier {
    parts: Arc<Parts>,
    published: watch::Sender<Arc<MetadataImage>>,
}

struct Parts {
    context: PartitionContext,
    directories: Arc<Directories>,
    misplaced: UnboundedSender<PlacedReplica>,
    losses: UnboundedSender<FoundLoss>,
    config: Arc<LiveConfig>,
    partitions: Arc<PartitionRegistry>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    offload: Offload,
    entropy: Mutex<Entropy>,
    /// Partitions whose logs could not be opened for want of descriptors or room.
    waiting: Mutex<BTreeSet<PartitionKey>>,
}

impl Applier {
    /// Nothing is in effect yet: the published image is empty.
    pub(crate) fn new(parts: ApplyParts) -> Self {
        let (published, _) = watch::channel(Arc::default());
        let parts = Parts {
            context: parts.context,
            directories: parts.directories,
            misplaced: parts.misplaced,
            losses: parts.losses,
            config: parts.config,
            partitions: parts.partitions,
            metrics: parts.metrics,
            clock: parts.clock,
            offload: parts.offload,
            entropy: Mutex::new(parts.entropy),
            waiting: Mutex::default(),
        };
        Self { parts: Arc::new(parts), published }
    }

    /// Tells which image is in effect.
    pub(crate) fn published(&self) -> watch::Receiver<Arc<MetadataImage>> {
        self.published.subscribe()
    }

    /// Puts the first image into effect: what the log directories hold is matched with it. Returns when all partitions
    /// are open.
    pub(crate) async fn start(&self, image: Arc<MetadataImage>) {
        let (parts, first) = (self.parts.clone(), image.clone());
        self.parts.offload.run(move || parts.adopt(&first)).await;
        self.advance(image).await;
    }

    /// Follows `images` until cancelled.
    pub(crate) async fn run(self, mut images: watch::Receiver<Arc<MetadataImage>>, cancel: CancellationToken) {
        loop {
            let image = images.borrow_and_update().clone();
            self.advance(image).await;
            let waits = !self.parts.waiting.lock().is_empty();
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = images.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(AGAIN), if waits => self.try_again().await,
            }
        }
    }

    /// Opens what could not be opened before.
    async fn try_again(&self) {
        let image = self.published.borrow().clone();
        let parts = self.parts.clone();
        let work = move || {
            let keep = parts.still_waiting(&image);
            parts.carry_out(Plan { keep, ..Plan::default() }, &image);
        };
        self.parts.offload.run(work).await;
    }

    async fn advance(&self, after: Arc<MetadataImage>) {
        let before = self.published.borrow().clone();
        if after.applied_index < before.applied_index {
            return;
        }
        let steps = plan(&before, &after, self.parts.context.node_id);
        if steps != Plan::default() {
            let (parts, after) = (self.parts.clone(), after.clone());
            let work = move || parts.carry_out(steps, &after);
            self.parts.offload.run(work).await;
        }
        self.published.send_replace(after);
    }
}

impl Parts {
    /// Matches what the directories hold with the first image.
    fn adopt(&self, image: &MetadataImage) {
        let known = self.is_known(image);
        for (at, dir) in self.directories.open().iter().enumerate() {
            let mut strays = Vec::new();
            for found in dir.found() {
                let topic = image.topics.by_name(&found.topic);
                let same = topic.filter(|topic| found.topic_id.is_none_or(|id| id == topic.id));
                let partition = same.and_then(|topic| topic.partition(found.partition));
                let assigned = partition.filter(|partition| partition.replicas.contains(&self.context.node_id));
                if let Some(assigned) = assigned {
                    self.settle((found.topic.clone().into(), found.partition), at, assigned);
                } else {
                    strays.push((found.topic.as_str(), found.partition));
                }
            }
            self.remove_strays(dir, &strays, known);
        }
        for (at, dir) in self.directories.open().iter().enumerate() {
            for (topic, partition) in dir.found_futures() {
                self.resume_move((topic.as_str().into(), *partition), at);
            }
        }
    }

    /// A log was found. In two directories it is where a move was just over when the process ended: the one that has moved more often
    /// counts. Otherwise somebody has brought one back: then it is the one that the metadata knows.
    fn settle(&self, name: ReplicaName, at: usize, assigned: &PartitionImage) {
        let open = self.directories.open();
        let Some(other) = self.directories.homes().get(&name).map(|home| home.at) else {
            self.directories.homes().insert(name, Home { at, anew: false });
            return;
        };
        let moves = |at: usize| open[at].moves(&name.0, name.1);
        let is_known = |at: usize| assigned.directory(self.context.node_id) == Some(open[at].directory_id());
        let rank = |at: usize| (moves(at), is_known(at));
        let (stays, goes) = if rank(at) > rank(other) { (at, other) } else { (other, at) };
        let (path, gone) = (open[stays].path().display(), open[goes].path().display());
        self.directories.homes().insert(name.clone(), Home { at: stays, anew: false });
        if rank(stays) == rank(goes) {
            tracing::error!(topic = %name.0, partition = name.1, used = %path, unused = %gone, "a log is in two directories: one of them is left alone");
        } else {
            tracing::warn!(topic = %name.0, partition = name.1, used = %path, deleted = %gone, "a log was in two directories");
            self.delete_logs(&open[goes], &[(&name.0, name.1)]);
        }
    }

    /// The last process ended while a replica was on its way to a directory.
    fn resume_move(&self, name: ReplicaName, to: usize) {
        let home = self.directories.homes().get(&name).map(|home| home.at);
        if home.is_some_and(|home| home != to) {
            self.directories.resume_move(name, to);
        } else if let Err(error) = self.directories.open()[to].remove_futures(&name.0, name.1) {
            tracing::warn!(topic = %name.0, partition = name.1, %error, "the copy of a log could not be removed");
        }
    }

    /// Whether the metadata has heard of this node in an earlier life: it serves, or something is assigned to it.
    fn is_known(&self, image: &MetadataImage) -> bool {
        let id = self.context.node_id;
        let has_replica = |partition: &Arc<PartitionImage>| partition.replicas.contains(&id);
        image.brokers.get(id).is_some_and(|broker| !broker.fenced)
            || image.topics.iter().any(|topic| topic.partitions.iter().any(has_replica))
    }

    /// Logs of topics that were deleted while this node was down go. Metadata that never heard of this node proves nothing
    /// about its logs: then they are left alone.
    fn remove_strays(&self, dir: &LogDir, strays: &[(&str, i32)], known: bool) {
        if strays.is_empty() {
            return;
        }
        let path = dir.path().display();
        if !known {
            tracing::warn!(dir = %path, logs = strays.len(), "the metadata does not know these logs: left alone");
            return;
        }
        tracing::info!(dir = %path, logs = strays.len(), "deleting logs of topics that no longer exist");
        self.delete_logs(dir, strays);
    }

    fn delete_logs(&self, dir: &LogDir, logs: &[(&str, i32)]) {
        let mut entropy = self.entropy.lock();
        if let Err(error) = dir.delete_logs(logs, self.clock.wall_ms(), || entropy.uuid()) {
            tracing::error!(dir = %dir.path().display(), %error, "deleting logs failed");
        }
    }

    fn carry_out(&self, steps: Plan, image: &MetadataImage) {
        if steps.broker_config {
            self.reconfigure_broker(image);
        }
        self.remove(&steps.remove);
        for topic in &steps.forget {
            // A topic of the same name may have taken its place.
            if image.topics.by_name(topic).is_none() {
                self.metrics.topics.remove(topic);
            }
        }
        self.open(&steps.keep, image);
        for key in &steps.keep {
            self.assign(key, image);
        }
        for topic in &steps.reconfigure {
            self.reconfigure_topic(topic, image);
        }
    }

    fn topic_config(&self, topic: &str, image: &MetadataImage) -> Arc<TopicConfig> {
        self.config.topic(image.config(&ConfigResource::topic(topic)))
    }

    fn reconfigure_broker(&self, image: &MetadataImage) {
        let set = |resource: ConfigResource| image.config(&resource).cloned().unwrap_or_default();
        let own = ConfigResource::broker(self.context.node_id);
        let dynamic = Dynamic { cluster: set(ConfigResource::all_brokers()), broker: set(own) };
        if let Err(error) = self.config.apply(dynamic) {
            tracing::error!(%error, "the dynamic configuration contradicts this node's settings: not in force");
            return;
        }
        tracing::info!("dynamic broker configuration changed");
        let mut configs = BTreeMap::new();
        for partition in self.partitions.all() {
            let config = configs
                .entry(partition.topic().to_owned())
                .or_insert_with(|| self.topic_config(partition.topic(), image));
            reconfigure(&partition, config);
        }
    }

    fn reconfigure_topic(&self, topic: &str, image: &MetadataImage) {
        let Some(partitions) = self.partitions.topic(topic) else { return };
        let config = self.topic_config(topic, image);
        let count = image.topics.by_name(topic).map_or(0, |topic| topic.partition_count());
        for partition in (0..count).filter_map(|index| partitions.get(index)) {
            reconfigure(partition, &config);
        }
    }

    fn remove(&self, keys: &[PartitionKey]) {
        let mut by_dir: BTreeMap<usize, Vec<(&str, i32)>> = BTreeMap::new();
        for key in keys {
            self.partitions.remove(key.id, key.index);
            let home = self.directories.forget(&(key.topic.clone(), key.index));
            if let Some(home) = home {
                by_dir.entry(home.at).or_default().push((&key.topic, key.index));
            }
        }
        for (at, logs) in by_dir {
            self.delete_logs(&self.directories.open()[at], &logs);
        }
    }

    /// The directory of a log: where it lies, else what the metadata says, else the one with the fewest logs. `None` while the directory that
    /// has it, or may have it, has failed: a log that is made anew elsewhere would pass for what it was.
    fn home(&self, key: &PartitionKey, image: &MetadataImage) -> Option<usize> {
        let directories = &self.directories;
        let is_healthy = |at: usize| directories.open().get(at).is_some_and(|dir| !dir.health().is_poisoned());
        let name = (key.topic.clone(), key.index);
        let mut homes = directories.homes();
        if let Some(home) = homes.get(&name) {
            return Some(home.at).filter(|at| is_healthy(*at));
        }
        let partition = image.topics.by_id(&key.id).and_then(|topic| topic.partition(key.index));
        let assigned = partition.and_then(|partition| partition.directory(self.context.node_id)).unwrap_or(Uuid::ZERO);
        let named = directories.with_id(assigned);
        if named.is_none() && !assigned.is_zero() && !directories.failed().is_empty() {
            return None;
        }
        let mut counts = vec![0_usize; directories.open().len()];
        for home in homes.values() {
            counts[home.at] += 1;
        }
        let wish = directories.take_wish(&name);
        let at = wish.or(named).unwrap_or_else(|| directories.for_new(&counts));
        homes.insert(name, Home { at, anew: true });
        Some(at)
    }

    fn open(&self, keys: &[PartitionKey], image: &MetadataImage) {
        let mut configs = BTreeMap::new();
        let mut by_dir: BTreeMap<usize, Vec<(&PartitionKey, Arc<TopicConfig>)>> = BTreeMap::new();
        for key in keys.iter().filter(|key| self.partitions.get_by_id(key.id, key.index).is_none()) {
            let config = configs.entry(&key.topic).or_insert_with(|| self.topic_config(&key.topic, image)).clone();
            match self.home(key, image) {
                Some(home) => by_dir.entry(home).or_default().push((key, config)),
                None => {
                    tracing::warn!(topic = %key.topic, partition = key.index, "partition is offline: its log directory has failed");
                }
            }
        }
        for (at, wanted) in by_dir {
            let requests = wanted.iter().map(|(key, config)| LogRequest {
                topic: key.topic.to_string(),
                partition: key.index,
                topic_id: Some(key.id),
                config: config.log.clone(),
                listener: Arc::new(NoListener),
            });
            let opened = self.directories.open()[at].open_logs(requests.collect(), self.clock.wall_ms());
            for ((key, config), log) in wanted.into_iter().zip(opened) {
                self.take_in(key, config, log, &self.directories.open()[at]);
            }
        }
    }

    /// Partitions that could not be opened and are to be here all the same.
    fn still_waiting(&self, image: &MetadataImage) -> Vec<PartitionKey> {
        let is_assigned = |key: &PartitionKey| {
            let partition = image.topics.by_id(&key.id).and_then(|topic| topic.partition(key.index));
            partition.is_some_and(|partition| partition.replicas.contains(&self.context.node_id))
        };
        let mut waiting = self.waiting.lock();
        waiting.retain(is_assigned);
        waiting.iter().cloned().collect()
    }

    fn take_in(&self, key: &PartitionKey, config: Arc<TopicConfig>, log: Result<Arc<Log>, OpenLogError>, dir: &LogDir) {
        match log {
            Ok(log) => {
                self.waiting.lock().remove(key);
                let name = PartitionName { topic: Arc::from(&*key.topic), topic_id: key.id, index: key.index };
                let counts = self.metrics.topics.topic(&key.topic);
                self.check_loss(key, &config, &log, dir);
                let partition = Partition::new(name, self.context.clone(), log, config, counts);
                if let Some(known) = dir.high_watermark(&key.topic, key.index) {
                    partition.remember_committed(known, dir.last_shutdown() == LastShutdown::Unclean);
                }
                self.partitions.insert(partition);
            }
            Err(error) if error.may_pass() && !self.waiting.lock().insert(key.clone()) => {
                tracing::debug!(topic = %key.topic, partition = key.index, %error, "partition is still offline");
            }
            Err(error) => {
                tracing::error!(topic = %key.topic, partition = key.index, %error, "partition is offline: its log does not open");
            }
        }
    }

    /// Finds out whether a log has all that it had acknowledged. If not, that is written down before anything else happens to it, and told.
    fn check_loss(&self, key: &PartitionKey, config: &TopicConfig, log: &Arc<Log>, dir: &LogDir) {
        let opened = Opened {
            end: log.log_end_offset(),
            committed: dir.high_watermark(&key.topic, key.index),
            loss: log.loss(),
            after_crash: dir.last_shutdown() == LastShutdown::Unclean,
            page_cache: config.log.durability == Durability::PageCache,
        };
        let noted = match returning::lack(&opened) {
            None => return self.forget_loss(log),
            Some(Lack::Until(until)) => log.note_loss(until),
            Some(Lack::Suspected) => Ok(()),
        };
        let certain = log.loss().is_some_and(|loss| loss.until.is_some_and(|until| until > opened.end));
        tracing::error!(
            topic = %key.topic, partition = key.index, end = opened.end, loss = ?log.loss(), noted = ?noted.err(), certain,
            "the log ends before what it had acknowledged: it is damaged, and does not count as in sync"
        );
        self.context.counts.short_logs.add(1);
        let replica = ShortReplica { topic_id: key.id, partition: key.index, certain };
        // Nobody listens on a node that is no broker, and has no replicas.
        self.losses.send(FoundLoss { replica, log: log.clone() }).ok();
    }

    fn forget_loss(&self, log: &Log) {
        if let Err(error) = log.forget_loss() {
            tracing::warn!(log = log.name(), %error, "a note could not be removed: the next start tells again that the log is short");
        }
    }

    fn assign(&self, key: &PartitionKey, image: &MetadataImage) {
        let partition = self.partitions.get_by_id(key.id, key.index);
        let topic = image.topics.by_id(&key.id);
        let assigned = topic.and_then(|topic| topic.partition(key.index));
        if let (Some(partition), Some(assigned)) = (partition, assigned) {
            partition.assign(assignment(assigned), self.clock.monotonic());
            self.tell_directory(key, assigned);
        }
    }

    /// Tells the controller where a replica is, if it does not know.
    fn tell_directory(&self, key: &PartitionKey, assigned: &PartitionImage) {
        let home = self.directories.homes().get(&(key.topic.clone(), key.index)).copied();
        let Some(Home { at, anew }) = home else { return };
        let Some(dir) = self.directories.open().get(at) else { return };
        let (known, directory) = (assigned.directory(self.context.node_id), dir.directory_id());
        if !dir.health().is_poisoned() && known.is_some_and(|known| known != directory) {
            let placed = PlacedReplica { topic_id: key.id, partition: key.index, directory, anew };
            // Nobody listens on a node that is no broker, and has no replicas.
            self.misplaced.send(placed).ok();
        }
    }
}

fn assignment(image: &PartitionImage) -> Assignment<'_> {
    Assignment {
        leader: image.leader,
        leader_epoch: image.leader_epoch,
        partition_epoch: image.partition_epoch,
        replicas: &image.replicas,
        isr: &image.isr,
        adding: &image.adding_replicas,
        unclean_epoch: image.unclean_epoch,
    }
}

fn reconfigure(partition: &Partition, config: &Arc<TopicConfig>) {
    partition.log().reconfigure(config.log.clone());
    partition.set_config(config.clone());
}
