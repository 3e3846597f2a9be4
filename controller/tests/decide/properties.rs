//! Random commands: what a decision answers is what its records do, and a snapshot gives the image back.

use std::collections::BTreeMap;

use goatq_controller::{
    decide::{
        Command, ConfigValidator, Context, InvalidConfig, TopicDefaults,
        alter_partition::{AlterPartition, AlterPartitionError, NewIsr},
        brokers::{BrokerChange, ChangeBroker, EarlierLives, RegisterBroker, UnregisterBroker},
        configs::{ConfigChange, ConfigOperation, IncrementalAlterConfigs},
        elect_leaders::{ElectLeaders, Election},
        partitions::{CreatePartitions, MorePartitions},
        producer_ids::AllocateProducerIds,
        reassign::AlterPartitionReassignments,
        topics::{CreateTopics, DeleteTopics, ManualAssignment, NewTopic, TopicReference},
    },
    entropy::Entropy,
    feature::SupportedFeatures,
    image::{ConfigKind, ConfigResource, MetadataDelta, MetadataImage, records},
    record::MetadataRecord,
    replay::replay,
};
use goatq_protocol::Uuid;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Register { id: i32, fenced: bool, rack: u8, same_disk: bool },
    Change { id: i32, change: u8 },
    Unregister { id: i32 },
    Create { name: u8, partitions: i32, factor: i16, by_hand: Vec<i32> },
    Delete { name: u8 },
    Grow { name: u8, count: i32 },
    Reassign { name: u8, partition: i32, to: Option<Vec<i32>>, same_factor: bool },
    InSync { name: u8, partition: i32, isr: Vec<i32> },
    Elect { unclean: bool },
    Configure { name: u8, key: u8, value: Option<u8> },
    ProducerIds { id: i32, count: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..5i32, any::<bool>(), 0..3u8, any::<bool>())
            .prop_map(|(id, fenced, rack, same_disk)| Step::Register { id, fenced, rack, same_disk }),
        3 => (0..5i32, 0..3u8).prop_map(|(id, change)| Step::Change { id, change }),
        1 => (0..5i32).prop_map(|id| Step::Unregister { id }),
        4 => (0..6u8, -1..4i32, -1..4i16, proptest::collection::vec(0..5i32, 0..4))
            .prop_map(|(name, partitions, factor, by_hand)| Step::Create { name, partitions, factor, by_hand }),
        2 => (0..6u8).prop_map(|name| Step::Delete { name }),
        2 => (0..6u8, -1..7i32).prop_map(|(name, count)| Step::Grow { name, count }),
        3 => (0..6u8, 0..2i32, proptest::option::of(proptest::collection::vec(0..5i32, 0..4)), any::<bool>())
            .prop_map(|(name, partition, to, same_factor)| Step::Reassign { name, partition, to, same_factor }),
        4 => (0..6u8, 0..2i32, proptest::collection::vec(0..5i32, 1..5))
            .prop_map(|(name, partition, isr)| Step::InSync { name, partition, isr }),
        1 => any::<bool>().prop_map(|unclean| Step::Elect { unclean }),
        2 => (0..6u8, 0..3u8, proptest::option::of(any::<u8>()))
            .prop_map(|(name, key, value)| Step::Configure { name, key, value }),
        1 => (0..5i32, 0..2_000u32).prop_map(|(id, count)| Step::ProducerIds { id, count }),
    ]
}

#[derive(Debug)]
struct Anything;

impl ConfigValidator for Anything {
    fn validate(&self, _: &ConfigResource, _: &BTreeMap<String, String>, _: &[&str]) -> Result<(), InvalidConfig> {
        Ok(())
    }

    fn list_base(&self, _: &ConfigResource, _: &str) -> Option<String> {
        None
    }

    fn is_sensitive(&self, _: ConfigKind, _: &str) -> bool {
        false
    }
}

fn name(number: u8) -> bytestring::ByteString {
    format!("topic-{number}").into()
}

/// An image, and everything that ever happened to it.
struct World {
    image: MetadataImage,
    history: Vec<MetadataRecord>,
    entropy: Entropy,
    incarnations: u128,
}

impl World {
    fn run<C: Command>(&mut self, command: C) -> C::Response {
        let before = self.image.clone();
        let supported = SupportedFeatures::current();
        let mut cx = Context {
            image: &before,
            validator: &Anything,
            defaults: &TopicDefaults { num_partitions: 2, ..TopicDefaults::default() },
            supported: &supported,
            entropy: &mut self.entropy,
        };
        let decision = command.decide(&mut cx);
        for record in &decision.records {
            replay(&mut self.image, record).unwrap();
        }
        let delta = MetadataDelta::between(&before, &self.image);
        for change in &delta.topics {
            assert_eq!(change.before.as_deref(), before.topics.by_id(&change.id).map(|topic| &**topic));
            assert_eq!(change.after.as_deref(), self.image.topics.by_id(&change.id).map(|topic| &**topic));
        }
        self.history.extend(decision.records);
        decision.response
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Register { id, fenced, rack, same_disk } => self.register(id, fenced, rack, same_disk),
            Step::Change { id, change } => {
                let epoch = self.image.brokers.get(id).map_or(0, |broker| broker.epoch);
                let change =
                    [BrokerChange::Fence, BrokerChange::Unfence, BrokerChange::ControlledShutdown][usize::from(change)];
                let known = self.image.brokers.get(id).is_some();
                assert_eq!(self.run(ChangeBroker { id, epoch, change }).is_ok(), known);
            }
            Step::Unregister { id } => {
                let known = self.image.brokers.get(id).is_some();
                assert_eq!(self.run(UnregisterBroker { id }).is_ok(), known);
                assert!(self.image.brokers.get(id).is_none());
            }
            Step::Create { name, partitions, factor, by_hand } => self.create(name, partitions, factor, by_hand),
            Step::Delete { name: number } => {
                let known = self.image.topics.by_name(&name(number)).is_some();
                let response = self.run(DeleteTopics { topics: vec![TopicReference::name(name(number))] });
                assert_eq!(response.topics[0].1.is_ok(), known);
                assert!(self.image.topics.by_name(&name(number)).is_none());
                assert!(self.image.config(&ConfigResource::topic(&*name(number))).is_none());
            }
            Step::Grow { name: number, count } => {
                let before = self.image.topics.by_name(&name(number)).map(|topic| topic.partition_count());
                let more = MorePartitions { name: name(number), count, assignments: None };
                let response = self.run(CreatePartitions { topics: vec![more], validate_only: false });
                let after = self.image.topics.by_name(&name(number)).map(|topic| topic.partition_count());
                assert_eq!(after, if response.topics[0].1.is_ok() { Some(count) } else { before });
            }
            Step::Reassign { name: number, partition, to, same_factor } => {
                self.reassign(number, partition, to, same_factor);
            }
            Step::InSync { name: number, partition, isr } => self.in_sync(number, partition, isr),
            Step::Elect { unclean } => {
                let election = if unclean { Election::Unclean } else { Election::Preferred };
                for (name, number, elected) in self.run(ElectLeaders { election, partitions: None }) {
                    let Ok(elected) = elected else { continue };
                    let found = self.image.topics.by_name(&name).unwrap().partition(number).unwrap();
                    assert!(found.leader == elected.leader || found.replicas.contains(&found.leader));
                    assert!(unclean || elected.at_risk.is_empty());
                }
            }
            Step::Configure { name: number, key, value } => self.configure(number, key, value),
            Step::ProducerIds { id, count } => {
                let epoch = self.image.brokers.get(id).map_or(0, |broker| broker.epoch);
                let next = self.image.next_producer_id;
                if let Ok(block) = self.run(AllocateProducerIds { broker_id: id, broker_epoch: epoch, count }) {
                    assert_eq!(block.first, next);
                    assert_eq!(self.image.next_producer_id, next + i64::from(count));
                }
            }
        }
    }

    fn register(&mut self, id: i32, fenced: bool, rack: u8, same_disk: bool) {
        self.incarnations += 1;
        let last = self.image.brokers.get(id).map(|broker| broker.incarnation);
        let directory = Uuid::from_u128(1_000 + u128::from(id.unsigned_abs()));
        let incarnations = last.filter(|_| same_disk).into_iter().collect();
        let before = vec![EarlierLives { directory, incarnations, ended_in_order: fenced }];
        let features = SupportedFeatures::current();
        let next = self.image.next_broker_epoch;
        let epoch = self.run(RegisterBroker {
            id,
            cluster_id: None,
            incarnation: Uuid::from_u128(self.incarnations),
            replaces: None,
            endpoints: Vec::new(),
            rack: Some(format!("rack-{rack}").into()),
            features: features.iter().map(|(name, range)| (name.clone(), (range.min, range.max))).collect(),
            log_dirs: vec![directory],
            before,
            losses: Vec::new(),
            fenced,
        });
        assert_eq!(epoch, Ok(next));
        let broker = self.image.brokers.get(id).unwrap();
        assert_eq!((broker.epoch, broker.fenced), (next, fenced));
    }

    fn create(&mut self, number: u8, partitions: i32, factor: i16, by_hand: Vec<i32>) {
        let existed = self.image.topics.by_name(&name(number)).is_some();
        let assignments = match by_hand.is_empty() {
            true => Vec::new(),
            false => vec![ManualAssignment { partition: 0, brokers: by_hand }],
        };
        let (partitions, replication_factor) = if assignments.is_empty() { (partitions, factor) } else { (-1, -1) };
        let topic = NewTopic { partitions, replication_factor, assignments, ..NewTopic::named(name(number)) };
        let response = self.run(CreateTopics { topics: vec![topic], validate_only: false });
        let found = self.image.topics.by_name(&name(number));
        match &response.topics[0].1 {
            Ok(created) => {
                let topic = found.unwrap();
                assert!(!existed && created.id == topic.id && created.partitions == topic.partition_count());
                for partition in &topic.partitions {
                    assert_eq!(partition.replicas.len(), usize::from(created.replication_factor.unsigned_abs()));
                    assert!(self.image.brokers.may_lead(partition.leader));
                }
            }
            Err(_) => assert_eq!(found.is_some(), existed),
        }
    }

    fn reassign(&mut self, number: u8, partition: i32, to: Option<Vec<i32>>, same_factor: bool) {
        let find = |image: &MetadataImage| {
            image.topics.by_name(&name(number)).and_then(|topic| topic.partition(partition).cloned())
        };
        let before = find(&self.image);
        let topics = vec![(name(number), vec![(partition, to.clone())])];
        let answer = self.run(AlterPartitionReassignments { topics, allow_factor_change: !same_factor });
        let after = find(&self.image);
        if answer[0].1[0].1.is_err() {
            return assert_eq!(before, after);
        }
        let (before, after) = (before.unwrap(), after.unwrap());
        let assigned = before.assigned_replicas();
        match to {
            None => assert_eq!((&after.replicas, after.is_reassigning()), (&assigned, false)),
            Some(to) => {
                assert_eq!(after.target_replicas(), to);
                assert!(!same_factor || to.len() == before.target_replicas().len());
                let mut kept: Vec<i32> = if after.is_reassigning() { after.assigned_replicas() } else { to };
                if after.is_reassigning() {
                    let mut assigned = assigned;
                    kept.sort_unstable();
                    assigned.sort_unstable();
                    assert_eq!(kept, assigned, "what there was before can be gone back to");
                }
            }
        }
    }

    /// The leader of a partition reports who is in sync.
    fn in_sync(&mut self, number: u8, partition: i32, isr: Vec<i32>) {
        let Some(topic) = self.image.topics.by_name(&name(number)).cloned() else { return };
        let Some(found) = topic.partition(partition) else { return };
        let Some(leader) = self.image.brokers.get(found.leader) else { return };
        let new = NewIsr {
            topic_id: topic.id,
            partition,
            leader_epoch: found.leader_epoch,
            partition_epoch: found.partition_epoch,
            isr: isr.into_iter().map(|replica| (replica, -1)).collect(),
        };
        let (broker_id, broker_epoch) = (leader.id, leader.epoch);
        let gives_up = !new.isr.iter().any(|(replica, _)| *replica == broker_id);
        let answers = self.run(AlterPartition { broker_id, broker_epoch, partitions: vec![new] }).unwrap();
        let after = self.image.topics.by_id(&topic.id).unwrap().partition(partition).unwrap();
        match &answers[0].2 {
            Ok(altered) => {
                assert_eq!((&altered.isr, altered.partition_epoch), (&after.isr, after.partition_epoch));
                assert_eq!((altered.leader, altered.leader_epoch), (after.leader, after.leader_epoch));
            }
            Err(AlterPartitionError::NewLeaderElected) => {
                assert!(after.leader_epoch > found.leader_epoch);
                assert!(found.is_reassigning() && !after.is_reassigning() || gives_up);
                assert!(!gives_up || after.leader != broker_id, "who is not in sync leads no more");
            }
            Err(_) => assert_eq!(found, after),
        }
    }

    fn configure(&mut self, number: u8, key: u8, value: Option<u8>) {
        let resource = ConfigResource::topic(&*name(number));
        let key = format!("key-{key}");
        let value = value.map(|value| bytestring::ByteString::from(value.to_string()));
        let operation = if value.is_some() { ConfigOperation::Set } else { ConfigOperation::Delete };
        let change = ConfigChange { key: key.as_str().into(), operation, value: value.clone() };
        let request =
            IncrementalAlterConfigs { resources: vec![(resource.clone(), vec![change])], validate_only: false };
        let response = self.run(request);
        if response.resources[0].1.is_ok() {
            assert_eq!(self.image.configs.value(&resource, &key), value.as_deref());
        } else {
            assert!(self.image.topics.by_name(&name(number)).is_none());
        }
    }

    /// What must hold whatever happened.
    fn check(&self) {
        let mut rebuilt = MetadataImage::default();
        records(&self.image).for_each(|record| replay(&mut rebuilt, &record).unwrap());
        assert_eq!(rebuilt, self.image, "a snapshot does not give the image back");
        let mut replayed = MetadataImage::default();
        self.history.iter().for_each(|record| replay(&mut replayed, record).unwrap());
        assert_eq!(replayed, self.image, "the log does not give the image back");
        for topic in self.image.topics.iter() {
            for partition in &topic.partitions {
                assert!(!partition.replicas.is_empty());
                let lost = !partition.last_known_elr.is_empty();
                assert_eq!(partition.isr.is_empty(), lost, "{partition:?}");
                assert!(!lost || partition.elr.is_empty() && !partition.has_leader());
                assert!(partition.isr.iter().all(|replica| partition.replicas.contains(replica)));
                assert_eq!(partition.directories.len(), partition.replicas.len());
                let outside = |id: &i32| partition.replicas.contains(id) && !partition.isr.contains(id);
                assert!(partition.elr.iter().all(outside), "{partition:?}");
                let moving: Vec<_> = partition.adding_replicas.iter().chain(&partition.removing_replicas).collect();
                assert!(moving.iter().all(|replica| partition.replicas.contains(replica)));
                assert!(partition.adding_replicas.iter().all(|replica| !partition.removing_replicas.contains(replica)));
                let reached = partition.target_replicas().iter().all(|replica| partition.isr.contains(replica));
                assert!(moving.is_empty() || !reached, "a reassignment does not end: {partition:?}");
                if partition.has_leader() {
                    assert!(partition.isr.contains(&partition.leader));
                    assert!(self.image.brokers.may_lead(partition.leader), "a dead broker leads {}", topic.name);
                } else {
                    assert!(!partition.isr.iter().any(|replica| self.image.brokers.may_lead(*replica)));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn decisions_do_what_they_say(seed: u64, steps in proptest::collection::vec(step(), 1..60)) {
        let mut world = World {
            image: MetadataImage::default(),
            history: Vec::new(),
            entropy: Entropy::from_number(seed),
            incarnations: 0,
        };
        for step in steps {
            world.step(step);
            world.check();
        }
    }
}
