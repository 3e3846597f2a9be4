//! How answers, records and images are written into scripts.

use std::{
    collections::HashMap,
    fmt::{Display, Write},
};

use goatq_controller::{
    decide::{
        alter_partition::AlteredPartitions,
        configs::AlterConfigsResponse,
        elect_leaders::ElectedLeaders,
        partitions::CreatePartitionsResponse,
        producer_ids::ProducerIdBlock,
        reassign::Reassignments,
        topics::{CreateTopicsResponse, DeleteTopicsResponse},
    },
    image::MetadataImage,
    record::{MetadataRecord, NO_LEADER_CHANGE},
};
use goatq_protocol::Uuid;

/// An answer that can be printed, a line for each item.
pub(crate) trait Answer {
    fn print(&self) -> String;
}

fn line<T, E: Display>(item: impl Display, result: &Result<T, E>, ok: impl Fn(&T) -> String) -> String {
    match result {
        Ok(value) => format!("{item}: {}\n", ok(value)),
        Err(error) => format!("{item}: error: {error}\n"),
    }
}

impl Answer for CreateTopicsResponse {
    fn print(&self) -> String {
        let each = self.topics.iter().map(|(name, result)| {
            let name = if name.len() > 100 { format!("{} characters", name.len()) } else { format!("{name:?}") };
            line(name, result, |topic| {
                let mut text = format!("created partitions={} rf={}", topic.partitions, topic.replication_factor);
                topic.configs.iter().for_each(|(key, value)| write!(text, " {key}={value}").unwrap());
                text
            })
        });
        each.collect()
    }
}

impl Answer for DeleteTopicsResponse {
    fn print(&self) -> String {
        let name =
            |name: &Option<bytestring::ByteString>| name.as_ref().map_or("-".to_owned(), |name| format!("{name:?}"));
        self.topics.iter().map(|(topic, result)| line(name(&topic.name), result, |()| "deleted".into())).collect()
    }
}

impl Answer for CreatePartitionsResponse {
    fn print(&self) -> String {
        self.topics.iter().map(|(name, result)| line(name, result, |()| "ok".into())).collect()
    }
}

impl Answer for AlterConfigsResponse {
    fn print(&self) -> String {
        self.resources.iter().map(|(resource, result)| line(resource, result, |()| "ok".into())).collect()
    }
}

impl Answer for ElectedLeaders {
    fn print(&self) -> String {
        let each = self.iter().map(|(name, number, result)| {
            line(format!("{name}-{number}"), result, |elected| match &elected.at_risk[..] {
                [] => "ok".into(),
                at_risk => format!("{} leads, at risk is what only {at_risk:?} have", elected.leader),
            })
        });
        each.collect()
    }
}

impl Answer for Reassignments {
    fn print(&self) -> String {
        let each = |name: &bytestring::ByteString, partitions: &[(i32, Result<(), _>)]| -> String {
            let one = |(number, result)| line(format!("{name}-{number}"), result, |()| "ok".into());
            partitions.iter().map(|(number, result)| one((number, result))).collect()
        };
        self.iter().map(|(name, partitions)| each(name, partitions)).collect()
    }
}

impl<E: Display> Answer for Result<(), E> {
    fn print(&self) -> String {
        line("answer", self, |()| "ok".into())
    }
}

impl<E: Display> Answer for Result<i64, E> {
    fn print(&self) -> String {
        line("answer", self, |epoch| format!("broker epoch {epoch}"))
    }
}

impl<E: Display> Answer for Result<bytestring::ByteString, E> {
    fn print(&self) -> String {
        line("answer", self, |id| format!("cluster {id}"))
    }
}

impl<E: Display> Answer for Result<ProducerIdBlock, E> {
    fn print(&self) -> String {
        line("answer", self, |block| format!("{} ids from {}", block.count, block.first))
    }
}

impl<E: Display> Answer for Result<AlteredPartitions, E> {
    fn print(&self) -> String {
        match self {
            Err(error) => format!("answer: error: {error}\n"),
            Ok(partitions) => {
                let each = partitions.iter().map(|(_, partition, result)| {
                    line(partition, result, |new| {
                        let epochs =
                            format!("leader-epoch={} partition-epoch={}", new.leader_epoch, new.partition_epoch);
                        format!("leader={} {epochs} isr={:?}", new.leader, new.isr)
                    })
                });
                each.collect()
            }
        }
    }
}

fn name(image: &MetadataImage, before: &MetadataImage, id: &Uuid) -> String {
    let found = image.topics.by_id(id).or_else(|| before.topics.by_id(id));
    found.map_or_else(|| id.to_string(), |topic| topic.name.to_string())
}

/// A record in one line; `image` is the one that it led to.
pub(crate) fn record(image: &MetadataImage, before: &MetadataImage, record: &MetadataRecord) -> String {
    let topic = |id: &Uuid| name(image, before, id);
    let text = match record {
        MetadataRecord::Cluster(record) => format!("cluster {}", record.cluster_id),
        MetadataRecord::FeatureLevel(record) => format!("feature {} {}", record.name, record.level),
        MetadataRecord::RegisterBroker(record) => {
            let fenced = if record.fenced { " fenced" } else { "" };
            format!("broker {} epoch={}{fenced}", record.broker_id, record.broker_epoch)
        }
        MetadataRecord::BrokerChange(record) => {
            let mut text = format!(
                "broker {} fenced={} shutdown={}",
                record.broker_id, record.fenced, record.in_controlled_shutdown
            );
            for (what, dirs) in [("dirs", &record.log_dirs), ("cordoned", &record.cordoned_dirs)] {
                if let Some(dirs) = dirs {
                    let dirs: Vec<u128> = dirs.iter().map(|dir| dir.to_u128()).collect();
                    write!(text, " {what}={dirs:?}").unwrap();
                }
            }
            text
        }
        MetadataRecord::UnregisterBroker(record) => format!("forget broker {}", record.broker_id),
        MetadataRecord::Topic(record) => format!("topic {}", record.name),
        MetadataRecord::Partition(record) => {
            let place = format!("{}-{}", topic(&record.topic_id), record.partition_id);
            let elr = if record.elr.is_empty() { String::new() } else { format!(" elr={:?}", record.elr) };
            let replicas = format!("replicas={:?} isr={:?}{elr}", record.replicas, record.isr);
            format!("partition {place} leader={} {replicas}", record.leader)
        }
        MetadataRecord::PartitionChange(record) => {
            let mut text = format!("change {}-{}", topic(&record.topic_id), record.partition_id);
            if record.leader != NO_LEADER_CHANGE {
                write!(text, " leader={}", record.leader).unwrap();
            }
            for (what, value) in [
                ("replicas", &record.replicas),
                ("adding", &record.adding_replicas),
                ("removing", &record.removing_replicas),
                ("isr", &record.isr),
                ("elr", &record.elr),
                ("last-known-elr", &record.last_known_elr),
            ] {
                value.iter().for_each(|value| write!(text, " {what}={value:?}").unwrap());
            }
            text
        }
        MetadataRecord::RemoveTopic(record) => format!("remove topic {}", topic(&record.topic_id)),
        MetadataRecord::Config(record) => {
            let value = record.value.as_ref().map_or("-".to_owned(), |value| format!("{value:?}"));
            format!("config {}:{} {}={value}", record.resource_type, record.resource_name, record.key)
        }
        MetadataRecord::ProducerIds(record) => format!("producer ids up to {}", record.next_producer_id),
        MetadataRecord::BrokerEpoch(record) => format!("next broker epoch {}", record.next_broker_epoch),
    };
    format!("  > {text}\n")
}

/// Parts of an image.
pub(crate) fn show(image: &MetadataImage, args: &HashMap<String, Vec<String>>) -> String {
    let mut out = String::new();
    if args.contains_key("topics") {
        for topic in image.topics.iter() {
            writeln!(out, "{}", topic.name).unwrap();
            for (number, partition) in topic.partitions.iter().enumerate() {
                let epochs =
                    format!("leader-epoch={} partition-epoch={}", partition.leader_epoch, partition.partition_epoch);
                let replicas =
                    format!("replicas={:?} isr={:?} elr={:?}", partition.replicas, partition.isr, partition.elr);
                let moves = match partition.is_reassigning() {
                    true => {
                        format!(" adding={:?} removing={:?}", partition.adding_replicas, partition.removing_replicas)
                    }
                    false => String::new(),
                };
                writeln!(out, "  {number}: leader={} {epochs} {replicas}{moves}", partition.leader).unwrap();
            }
        }
    }
    if args.contains_key("brokers") {
        for broker in image.brokers.iter() {
            let state = format!("fenced={} shutdown={}", broker.fenced, broker.in_controlled_shutdown);
            writeln!(out, "{}: epoch={} {state} rack={:?}", broker.id, broker.epoch, broker.rack).unwrap();
        }
    }
    if args.contains_key("configs") {
        image.configs.iter().for_each(|(resource, values)| writeln!(out, "{resource}: {values:?}").unwrap());
    }
    if args.contains_key("features") {
        image.features.iter().for_each(|(name, level)| writeln!(out, "{name}: {level}").unwrap());
    }
    if args.contains_key("counters") {
        writeln!(out, "producer id {}, broker epoch {}", image.next_producer_id, image.next_broker_epoch).unwrap();
        writeln!(out, "{} topics, {} partitions", image.topics.len(), image.topics.partition_count()).unwrap();
    }
    out
}
