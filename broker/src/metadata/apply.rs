//! Puts the metadata image into effect on this node: opens, assigns, reconfigures and deletes partitions.
//!
//! One task does it, image after image; whoever needs to know how far it is asks [`Applied`](super::applied::Applied).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytestring::ByteString;
use goatq_controller::entropy::Entropy;
use goatq_controller::image::{ConfigResource, MetadataImage, PartitionImage};
use goatq_storage::group_commit::NoListener;
use goatq_storage::log::Log;
use goatq_storage::log_dir::{LastShutdown, LogDir, LogRequest, OpenLogError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::plan::{PartitionKey, Plan, plan};
use crate::clock::Clock;
use crate::config::layers::Dynamic;
use crate::config::{LiveConfig, TopicConfig};
use crate::metrics::Metrics;
use crate::partition::{Assignment, Partition, PartitionContext, PartitionName, PartitionRegistry};
use crate::threads::offload::Offload;

/// What it takes to put an image into effect.
pub(crate) struct ApplyParts {
    /// What partitions share; knows the node's id.
    pub(crate) context: PartitionContext,
    /// Where logs lie; at least one.
    pub(crate) dirs: Vec<Arc<LogDir>>,
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
    dirs: Vec<Arc<LogDir>>,
    config: Arc<LiveConfig>,
    partitions: Arc<PartitionRegistry>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    offload: Offload,
    entropy: Mutex<Entropy>,
    /// In which directory a log lies: found at the start or chosen since.
    homes: Mutex<HashMap<(ByteString, i32), usize>>,
}

impl Applier {
    /// Nothing is in effect yet: the published image is empty.
    pub(crate) fn new(parts: ApplyParts) -> Self {
        let (published, _) = watch::channel(Arc::default());
        let parts = Parts {
            context: parts.context,
            dirs: parts.dirs,
            config: parts.config,
            partitions: parts.partitions,
            metrics: parts.metrics,
            clock: parts.clock,
            offload: parts.offload,
            entropy: Mutex::new(parts.entropy),
            homes: Mutex::default(),
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
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = images.changed() => if changed.is_err() { return },
            }
        }
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
        for (at, dir) in self.dirs.iter().enumerate() {
            let mut strays = Vec::new();
            for found in dir.found() {
                let topic = image.topics.by_name(&found.topic);
                let same = topic.filter(|topic| found.topic_id.is_none_or(|id| id == topic.id));
                let partition = same.and_then(|topic| topic.partition(found.partition));
                if partition.is_some_and(|partition| partition.replicas.contains(&self.context.node_id)) {
                    self.homes.lock().insert((found.topic.clone().into(), found.partition), at);
                } else {
                    strays.push((found.topic.as_str(), found.partition));
                }
            }
            self.remove_strays(dir, &strays, known);
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
            let home = self.homes.lock().remove(&(key.topic.clone(), key.index));
            if let Some(home) = home {
                by_dir.entry(home).or_default().push((&key.topic, key.index));
            }
        }
        for (at, logs) in by_dir {
            self.delete_logs(&self.dirs[at], &logs);
        }
    }

    /// The directory of a log: where it lies, else the healthy one with the fewest logs.
    fn home(&self, key: &PartitionKey) -> usize {
        let mut homes = self.homes.lock();
        if let Some(home) = homes.get(&(key.topic.clone(), key.index)) {
            return *home;
        }
        let mut counts = vec![0_usize; self.dirs.len()];
        for home in homes.values() {
            counts[*home] += 1;
        }
        let healthy = (0..self.dirs.len()).filter(|at| !self.dirs[*at].health().is_poisoned());
        let home = healthy.min_by_key(|at| counts[*at]).unwrap_or(0);
        homes.insert((key.topic.clone(), key.index), home);
        home
    }

    fn open(&self, keys: &[PartitionKey], image: &MetadataImage) {
        let mut configs = BTreeMap::new();
        let mut by_dir: BTreeMap<usize, Vec<(&PartitionKey, Arc<TopicConfig>)>> = BTreeMap::new();
        for key in keys.iter().filter(|key| self.partitions.get_by_id(key.id, key.index).is_none()) {
            let config = configs.entry(&key.topic).or_insert_with(|| self.topic_config(&key.topic, image)).clone();
            by_dir.entry(self.home(key)).or_default().push((key, config));
        }
        for (at, wanted) in by_dir {
            let requests = wanted.iter().map(|(key, config)| LogRequest {
                topic: key.topic.to_string(),
                partition: key.index,
                topic_id: Some(key.id),
                config: config.log.clone(),
                listener: Arc::new(NoListener),
            });
            let opened = self.dirs[at].open_logs(requests.collect(), self.clock.wall_ms());
            for ((key, config), log) in wanted.into_iter().zip(opened) {
                self.take_in(key, config, log, &self.dirs[at]);
            }
        }
    }

    fn take_in(&self, key: &PartitionKey, config: Arc<TopicConfig>, log: Result<Arc<Log>, OpenLogError>, dir: &LogDir) {
        match log {
            Ok(log) => {
                let name = PartitionName { topic: Arc::from(&*key.topic), topic_id: key.id, index: key.index };
                let counts = self.metrics.topics.topic(&key.topic);
                let partition = Partition::new(name, self.context.clone(), log, config, counts);
                if let Some(known) = dir.high_watermark(&key.topic, key.index) {
                    partition.remember_committed(known, dir.last_shutdown() == LastShutdown::Unclean);
                }
                self.partitions.insert(partition);
            }
            Err(error) => {
                tracing::error!(topic = %key.topic, partition = key.index, %error, "partition is offline: its log does not open");
            }
        }
    }

    fn assign(&self, key: &PartitionKey, image: &MetadataImage) {
        let partition = self.partitions.get_by_id(key.id, key.index);
        let topic = image.topics.by_id(&key.id);
        let assigned = topic.and_then(|topic| topic.partition(key.index));
        if let (Some(partition), Some(assigned)) = (partition, assigned) {
            partition.assign(assignment(assigned), self.clock.monotonic());
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
    }
}

fn reconfigure(partition: &Partition, config: &Arc<TopicConfig>) {
    partition.log().reconfigure(config.log.clone());
    partition.set_config(config.clone());
}
