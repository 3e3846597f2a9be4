//! A small language for metadata: one directive a step, one item a line.

use std::collections::{BTreeMap, HashMap};

use datadriven::TestCase;
use goatq_controller::{
    decide::{
        Command, ConfigValidator, Context, InvalidConfig, TopicDefaults,
        alter_partition::{AlterPartition, NewIsr},
        brokers::{BrokerChange, ChangeBroker, EarlierLives, RegisterBroker, UnregisterBroker},
        cluster::FormCluster,
        configs::{AlterConfigs, ConfigChange, ConfigOperation, IncrementalAlterConfigs},
        directories::{AssignDirectories, PlacedReplica, ReportDirectories},
        elect_leaders::{ElectLeaders, Election},
        features::{FeatureUpdate, UpdateFeatures, UpgradeType},
        losses::{ReportLosses, ShortReplica},
        partitions::{CreatePartitions, MorePartitions},
        producer_ids::AllocateProducerIds,
        reassign::AlterPartitionReassignments,
        topics::{CreateTopics, DeleteTopics, ManualAssignment, NewTopic, TopicReference},
    },
    entropy::Entropy,
    feature::SupportedFeatures,
    image::{ConfigKind, ConfigResource, Endpoint, MetadataDelta, MetadataImage, records},
    replay::replay,
};
use goatq_protocol::Uuid;

use crate::print;

/// A key table of five keys.
#[derive(Debug)]
pub(crate) struct Keys;

impl ConfigValidator for Keys {
    fn validate(
        &self,
        _resource: &ConfigResource,
        values: &BTreeMap<String, String>,
        changed: &[&str],
    ) -> Result<(), InvalidConfig> {
        for key in changed {
            let value = &values[*key];
            let legal = match *key {
                "retention.ms" | "log.retention.ms" => value.parse::<i64>().is_ok(),
                "cleanup.policy" => value.split(',').all(|item| matches!(item, "" | "compact" | "delete")),
                "interval.ms" => true,
                "durability" => ["fsync", "page-cache"].contains(&value.as_str()),
                "min.insync.replicas" => value.parse::<usize>().is_ok(),
                _ => return Err(InvalidConfig(format!("Unknown config name: {key}"))),
            };
            if !legal {
                return Err(InvalidConfig(format!("Invalid value {value} for {key}")));
            }
        }
        Ok(())
    }

    fn list_base(&self, _resource: &ConfigResource, key: &str) -> Option<String> {
        (key == "cleanup.policy").then(|| "delete".to_owned())
    }

    fn is_sensitive(&self, _kind: ConfigKind, _key: &str) -> bool {
        false
    }
}

pub(crate) struct World {
    image: MetadataImage,
    entropy: Entropy,
    defaults: TopicDefaults,
    supported: SupportedFeatures,
}

impl Default for World {
    fn default() -> Self {
        World {
            image: MetadataImage::default(),
            entropy: Entropy::from_number(7),
            defaults: TopicDefaults { num_partitions: 2, ..TopicDefaults::default() },
            supported: SupportedFeatures::current(),
        }
    }
}

/// The words of a line after the first, `key=value` or plain.
struct Line {
    first: String,
    words: Vec<(String, Option<String>)>,
}

impl Line {
    fn parse(line: &str) -> Line {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default().to_owned();
        let words = words
            .map(|word| match word.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (word.to_owned(), None),
            })
            .collect();
        Line { first: if first == "''" { String::new() } else { first }, words }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.words.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.as_deref())
    }

    fn has(&self, flag: &str) -> bool {
        self.words.iter().any(|(name, _)| name == flag)
    }

    fn number<T: std::str::FromStr>(&self, key: &str, default: T) -> T {
        self.get(key).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{key}={value}")))
    }
}

fn ids(list: &str) -> Vec<i32> {
    list.split(',').filter(|id| !id.is_empty()).map(|id| id.parse().unwrap()).collect()
}

fn lists(text: &str) -> Vec<Vec<i32>> {
    text.split(';').map(ids).collect()
}

fn resource(text: &str) -> ConfigResource {
    let (kind, name) = text.split_once(':').unwrap();
    let kind = match kind {
        "topic" => ConfigKind::Topic,
        "broker" => ConfigKind::Broker,
        "group" => ConfigKind::Group,
        "metrics" => ConfigKind::ClientMetrics,
        other => panic!("{other}"),
    };
    ConfigResource { kind, name: name.to_owned() }
}

fn nullable(value: &str) -> Option<bytestring::ByteString> {
    (value != "null").then(|| value.into())
}

impl World {
    pub(crate) fn step(&mut self, case: &TestCase) -> String {
        let lines: Vec<Line> = case.input.lines().map(Line::parse).collect();
        let validate = case.args.contains_key("validate");
        match case.directive.as_str() {
            "cluster" => self.cluster(&case.args),
            "defaults" => {
                let line = Line::parse(&format!("defaults {}", case.input));
                self.defaults = TopicDefaults {
                    num_partitions: line.number("partitions", 1),
                    replication_factor: line.number("rf", 1),
                    min_insync_replicas: line.number("min-insync", 1),
                    ..TopicDefaults::default()
                };
                String::new()
            }
            "create" => {
                self.run(CreateTopics { topics: lines.iter().map(new_topic).collect(), validate_only: validate })
            }
            "delete" => self.run(DeleteTopics { topics: lines.iter().map(|line| self.reference(line)).collect() }),
            "partitions" => {
                let topics = lines.iter().map(more_partitions).collect();
                self.run(CreatePartitions { topics, validate_only: validate })
            }
            "alter" => {
                let pairs = |line: &Line| {
                    let value = |value: &Option<String>| value.as_deref().and_then(nullable);
                    line.words.iter().map(|(key, text)| (key.as_str().into(), value(text))).collect()
                };
                let resources = lines.iter().map(|line| (resource(&line.first), pairs(line))).collect();
                self.run(AlterConfigs { resources, validate_only: validate })
            }
            "incremental" => {
                let resources = lines.iter().map(|line| (resource(&line.first), changes(line))).collect();
                self.run(IncrementalAlterConfigs { resources, validate_only: validate })
            }
            "features" => {
                let updates = lines.iter().map(feature).collect();
                self.run(UpdateFeatures { updates, validate_only: validate })
            }
            "register" => lines.iter().map(|line| self.register(line)).collect(),
            "change" => lines.iter().map(|line| self.change(line)).collect(),
            "unregister" => {
                let ids: Vec<i32> = lines.iter().map(|line| line.first.parse().unwrap()).collect();
                ids.into_iter().map(|id| self.run(UnregisterBroker { id })).collect()
            }
            "directories" => lines.iter().map(|line| self.directories(line)).collect(),
            "lost" => lines.iter().map(|line| self.lost(line)).collect(),
            "assign" => lines.iter().map(|line| self.assign(line)).collect(),
            "elect" => self.elect(&case.args, &lines),
            "reassign" => self.reassign(&case.args, &lines),
            "producer-ids" => lines
                .iter()
                .map(|line| {
                    self.run(AllocateProducerIds {
                        broker_id: line.first.parse().unwrap(),
                        broker_epoch: line.number("epoch", 0),
                        count: line.number("count", 1_000),
                    })
                })
                .collect(),
            "alter-partition" => self.alter_partition(&case.args, &lines),
            "show" => print::show(&self.image, &case.args),
            other => panic!("{other} is no directive"),
        }
    }

    /// Decides, prints and replays.
    fn run<C: Command>(&mut self, command: C) -> String
    where
        C::Response: print::Answer,
    {
        let before = self.image.clone();
        let mut cx = Context {
            image: &before,
            validator: &Keys,
            defaults: &self.defaults,
            supported: &self.supported,
            entropy: &mut self.entropy,
        };
        let decision = command.decide(&mut cx);
        let mut out = print::Answer::print(&decision.response);
        for record in &decision.records {
            replay(&mut self.image, record).unwrap_or_else(|error| panic!("{record:?}: {error}"));
            out.push_str(&print::record(&self.image, &before, record));
        }
        self.check(&before);
        out
    }

    /// What must hold after every step.
    fn check(&self, before: &MetadataImage) {
        let mut rebuilt = MetadataImage::default();
        records(&self.image).for_each(|record| replay(&mut rebuilt, &record).unwrap());
        assert_eq!(rebuilt, self.image, "a snapshot does not give the image back");
        let delta = MetadataDelta::between(before, &self.image);
        assert_eq!(
            delta.is_empty(),
            before.topics == self.image.topics
                && before.brokers == self.image.brokers
                && before.configs == self.image.configs
                && before.features == self.image.features
        );
        for topic in self.image.topics.iter() {
            for partition in &topic.partitions {
                assert!(partition.isr.iter().all(|replica| partition.replicas.contains(replica)));
                assert!(!partition.has_leader() || partition.isr.contains(&partition.leader));
                assert_eq!(partition.isr.is_empty(), !partition.last_known_elr.is_empty());
                assert_eq!(partition.directories.len(), partition.replicas.len());
                let mut moving = partition.adding_replicas.iter().chain(&partition.removing_replicas);
                assert!(moving.all(|replica| partition.replicas.contains(replica)));
                let target = partition.target_replicas();
                assert!(!partition.is_reassigning() || target.iter().any(|replica| !partition.isr.contains(replica)));
            }
        }
    }

    fn elect(&mut self, args: &HashMap<String, Vec<String>>, lines: &[Line]) -> String {
        let partition = |line: &Line| {
            let (name, number) = line.first.rsplit_once('-').unwrap();
            (name.into(), vec![number.parse().unwrap()])
        };
        let partitions = (!lines.is_empty()).then(|| lines.iter().map(partition).collect());
        let unclean = args.contains_key("unclean");
        let election = if unclean { Election::Unclean } else { Election::Preferred };
        self.run(ElectLeaders { election, partitions })
    }

    fn reassign(&mut self, args: &HashMap<String, Vec<String>>, lines: &[Line]) -> String {
        let target = |line: &Line| (!line.has("cancel")).then(|| line.get("to").map_or_else(Vec::new, ids));
        let one = |line: &Line| {
            let (name, number) = line.first.rsplit_once('-').unwrap();
            (name.into(), vec![(number.parse().unwrap(), target(line))])
        };
        let allow_factor_change = !args.contains_key("same-factor");
        self.run(AlterPartitionReassignments { topics: lines.iter().map(one).collect(), allow_factor_change })
    }

    fn cluster(&mut self, args: &HashMap<String, Vec<String>>) -> String {
        let mut out = self.run(FormCluster { cluster_id: Some("goat-cluster-goat-clus".into()) });
        let brokers: i32 =
            args.get("brokers").and_then(|value| value.first()).map_or(1, |value| value.parse().unwrap());
        let racks = args.get("racks").cloned().unwrap_or_default();
        for id in 1..=brokers {
            let rack = racks.get(usize::try_from(id - 1).unwrap()).map(|rack| format!("rack={rack}"));
            out += &self.register(&Line::parse(&format!("{id} {}", rack.unwrap_or_default())));
        }
        out
    }

    fn register(&mut self, line: &Line) -> String {
        let id: i32 = line.first.parse().unwrap();
        let supported = self.supported.iter().filter(|_| !line.has("no-features"));
        let features = supported.map(|(name, range)| (name.clone(), (range.min, range.max))).collect();
        let number = id.cast_unsigned() as u128;
        let log_dirs = match line.get("dirs") {
            Some(dirs) => uuids(dirs),
            None => vec![Uuid::from_u128(1_000 + number)],
        };
        let last = self.image.brokers.get(id).map(|broker| broker.incarnation);
        let older = line.get("older").map(uuids).unwrap_or_default();
        let fresh = line.get("new").map(uuids).unwrap_or_default();
        let lives = |directory: &Uuid| EarlierLives {
            directory: *directory,
            incarnations: last.filter(|_| !older.contains(directory)).into_iter().collect(),
            ended_in_order: line.has("in-order"),
        };
        let known = log_dirs.iter().filter(|directory| !line.has("other-disk") && !fresh.contains(directory));
        let before = known.map(lives).collect();
        self.run(RegisterBroker {
            id,
            cluster_id: line.get("cluster").map(Into::into),
            incarnation: Uuid::from_u128(line.number("incarnation", 0) + number * 100),
            replaces: line.get("replaces").map(|epoch| epoch.parse().unwrap()),
            endpoints: vec![Endpoint { host: "localhost".into(), port: 9092, ..Endpoint::default() }],
            rack: line.get("rack").map(Into::into),
            features,
            log_dirs,
            before,
            losses: line.get("lost").map(|names| self.short(names, true)).unwrap_or_default(),
            fenced: line.has("fenced"),
        })
    }

    fn directories(&mut self, line: &Line) -> String {
        let id: i32 = line.first.parse().unwrap();
        let epoch = self.image.brokers.get(id).map_or(-1, |broker| broker.epoch);
        let list = |key: &str| line.get(key).map(uuids).unwrap_or_default();
        self.run(ReportDirectories { id, epoch, online: list("online"), cordoned: list("cordoned") })
    }

    fn lost(&mut self, line: &Line) -> String {
        let id: i32 = line.first.parse().unwrap();
        let epoch = self.image.brokers.get(id).map_or(-1, |broker| broker.epoch);
        let replicas = self.short(line.get("partitions").unwrap(), !line.has("suspected"));
        self.run(ReportLosses { id, epoch: line.number("epoch", epoch), replicas })
    }

    /// Replicas of partitions by name, between commas.
    fn short(&self, names: &str, certain: bool) -> Vec<ShortReplica> {
        let replica = |name: &str| {
            let (topic, number) = name.rsplit_once('-').unwrap();
            let topic_id = self.image.topics.id_of(topic).unwrap_or_default();
            ShortReplica { topic_id, partition: number.parse().unwrap(), certain }
        };
        names.split(',').map(replica).collect()
    }

    fn assign(&mut self, line: &Line) -> String {
        let id: i32 = line.first.parse().unwrap();
        let epoch = self.image.brokers.get(id).map_or(-1, |broker| broker.epoch);
        let (name, number) = line.get("partition").unwrap().rsplit_once('-').unwrap();
        let topic = self.image.topics.id_of(name).unwrap();
        let placed = PlacedReplica {
            topic_id: topic,
            partition: number.parse().unwrap(),
            directory: uuids(line.get("dir").unwrap())[0],
            anew: line.has("anew"),
        };
        self.run(AssignDirectories { id, epoch, replicas: vec![placed] })
    }

    fn change(&mut self, line: &Line) -> String {
        let id: i32 = line.first.parse().unwrap();
        let epoch = self.image.brokers.get(id).map_or(-1, |broker| broker.epoch);
        let change = match () {
            () if line.has("fence") => BrokerChange::Fence,
            () if line.has("unfence") => BrokerChange::Unfence,
            () => BrokerChange::ControlledShutdown,
        };
        self.run(ChangeBroker { id, epoch: line.number("epoch", epoch), change })
    }

    fn reference(&self, line: &Line) -> TopicReference {
        let id = |name: &str| self.image.topics.id_of(name).unwrap_or(Uuid::from_u128(999));
        match (line.first.as_str(), line.get("id")) {
            ("-", None) => TopicReference::default(),
            ("-", Some(name)) => TopicReference::id(id(name)),
            (name, None) => TopicReference::name(name),
            (name, Some(other)) => TopicReference { name: Some(name.into()), id: id(other) },
        }
    }

    fn alter_partition(&mut self, args: &HashMap<String, Vec<String>>, lines: &[Line]) -> String {
        let broker_id: i32 = args["broker"][0].parse().unwrap();
        let epoch = self.image.brokers.get(broker_id).map_or(-1, |broker| broker.epoch);
        let partitions = lines.iter().map(|line| {
            let (name, partition) = line.first.rsplit_once('-').unwrap();
            let isr = line.get("isr").unwrap_or_default().split(',').filter(|item| !item.is_empty());
            let isr = isr.map(|item| match item.split_once('@') {
                Some((id, epoch)) => (id.parse().unwrap(), epoch.parse().unwrap()),
                None => (item.parse().unwrap(), -1),
            });
            NewIsr {
                topic_id: self.image.topics.id_of(name).unwrap_or(Uuid::from_u128(999)),
                partition: partition.parse().unwrap(),
                leader_epoch: line.number("leader-epoch", 0),
                partition_epoch: line.number("partition-epoch", 0),
                isr: isr.collect(),
            }
        });
        let partitions = partitions.collect();
        let epoch = args.get("epoch").map_or(epoch, |epoch| epoch[0].parse().unwrap());
        self.run(AlterPartition { broker_id, broker_epoch: epoch, partitions })
    }
}

fn new_topic(line: &Line) -> NewTopic {
    let name = match line.first.as_str() {
        "LONG249" => "a".repeat(249),
        "LONG250" => "a".repeat(250),
        name => name.replace('~', " "),
    };
    let assignment = |part: &str| {
        let (partition, brokers) = part.split_once(':').unwrap();
        ManualAssignment { partition: partition.parse().unwrap(), brokers: ids(brokers) }
    };
    let configs = line
        .words
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("cfg:")?.into(), value.as_deref().and_then(nullable))));
    NewTopic {
        name: name.into(),
        partitions: line.number("partitions", -1),
        replication_factor: line.number("rf", -1),
        assignments: line.get("assign").map_or_else(Vec::new, |text| text.split(';').map(assignment).collect()),
        configs: configs.collect(),
    }
}

fn more_partitions(line: &Line) -> MorePartitions {
    let assignments = line.get("assign").map(|text| if text.is_empty() { Vec::new() } else { lists(text) });
    MorePartitions { name: line.first.as_str().into(), count: line.number("count", 0), assignments }
}

/// `set:key=value`, `delete:key`, `append:key=value`, `subtract:key=value`.
fn changes(line: &Line) -> Vec<ConfigChange> {
    let change = |(word, value): &(String, Option<String>)| {
        let (operation, key) = word.split_once(':').unwrap();
        let operation = match operation {
            "set" => ConfigOperation::Set,
            "delete" => ConfigOperation::Delete,
            "append" => ConfigOperation::Append,
            "subtract" => ConfigOperation::Subtract,
            other => panic!("{other}"),
        };
        ConfigChange { key: key.into(), operation, value: value.as_deref().and_then(nullable) }
    };
    line.words.iter().map(change).collect()
}

fn feature(line: &Line) -> FeatureUpdate {
    let upgrade_type = match () {
        () if line.has("up") => UpgradeType::Upgrade,
        () if line.has("safe") => UpgradeType::SafeDowngrade,
        () if line.has("unsafe") => UpgradeType::UnsafeDowngrade,
        () => UpgradeType::Unknown,
    };
    FeatureUpdate { name: line.first.as_str().into(), level: line.number("level", 0), upgrade_type }
}

/// Ids of directories, as numbers.
fn uuids(text: &str) -> Vec<Uuid> {
    let ids = text.split(',').filter(|dir| !dir.is_empty());
    ids.map(|dir| Uuid::from_u128(dir.parse().unwrap())).collect()
}
