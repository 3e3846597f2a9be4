//! Topics and who leads their partitions.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytestring::ByteString;
use goatq_protocol::message::create_topics::{CreatableTopic, CreatableTopicConfig, CreatableTopicResult};
use goatq_protocol::message::delete_topics::DeleteTopicState;
use goatq_protocol::message::list_offsets::{LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsTopic};
use goatq_protocol::message::metadata::{MetadataRequestTopic, MetadataResponseTopic};
use goatq_protocol::message::{
    CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest, MetadataRequest, MetadataResponse,
};
use goatq_protocol::{ErrorCode, Uuid};

use crate::clock::Clock;
use crate::wire::{Connection, check, error_name};

/// How long a cluster that has just been started may take to have as many brokers as there are to be replicas.
const BROKERS_WITHIN: Duration = Duration::from_secs(60);
/// How long a new topic may take to have leaders.
const LEADERS_WITHIN: Duration = Duration::from_secs(120);
const LEADERS_POLL: Duration = Duration::from_millis(50);

/// A partition and where to reach its leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) topic: ByteString,
    pub(crate) topic_id: Uuid,
    pub(crate) index: i32,
    pub(crate) leader: String,
}

/// What a new topic is to be like.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopicSpec {
    pub(crate) partitions: i32,
    pub(crate) replication_factor: i16,
    pub(crate) configs: Vec<(String, String)>,
}

/// Creates topics, and waits until all their partitions have leaders. Topics that exist stay as they are.
pub(crate) async fn create(bootstrap: &str, topics: &[String], spec: &TopicSpec) -> Result<()> {
    let mut connection = Connection::open(bootstrap).await?;
    let configs: Vec<CreatableTopicConfig> = spec
        .configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig { name: name.as_str().into(), value: Some(value.as_str().into()) })
        .collect();
    let topics_to_create = topics.iter().map(|name| CreatableTopic {
        name: name.as_str().into(),
        num_partitions: spec.partitions,
        replication_factor: spec.replication_factor,
        configs: configs.clone(),
        ..CreatableTopic::default()
    });
    let request = CreateTopicsRequest { topics: topics_to_create.collect(), ..CreateTopicsRequest::default() };
    let clock = Clock::start();
    let answer = loop {
        let answer = connection.call(&request).await?;
        let few = |topic: &CreatableTopicResult| topic.error_code == ErrorCode::InvalidReplicationFactor.code();
        if !answer.topics.iter().any(few) || clock.now() > BROKERS_WITHIN {
            break answer;
        }
        tokio::time::sleep(LEADERS_POLL).await;
    };
    for topic in answer.topics {
        if topic.error_code != ErrorCode::TopicAlreadyExists.code() {
            let said = topic.error_message.unwrap_or_default();
            check(topic.error_code).with_context(|| format!("creating topic {}: {said}", topic.name))?;
        }
    }
    wait_for_leaders(&mut connection, topics).await?;
    let serve = serve_all(bootstrap, topics);
    tokio::time::timeout(LEADERS_WITHIN, serve).await.context("topics are not served")?
}

/// Waits until leaders answer for all partitions: brokers may tell of a leader before it knows that it is one.
async fn serve_all(bootstrap: &str, topics: &[String]) -> Result<()> {
    for group in by_leader(&partitions(bootstrap, topics).await?) {
        let leader = &group.first().context("a leader without partitions")?.leader;
        let mut connection = Connection::open(leader).await?;
        while let Err(error) = offsets(&mut connection, &group, LATEST_TIMESTAMP).await {
            // Any other error than one in the answer means that the connection is lost.
            ensure!(error.downcast_ref::<std::io::Error>().is_none(), "{error:#}");
            tokio::time::sleep(LEADERS_POLL).await;
        }
    }
    Ok(())
}

/// Deletes topics, and waits until they are gone. Topics that do not exist are fine.
pub(crate) async fn delete(bootstrap: &str, topics: &[String]) -> Result<()> {
    let mut connection = Connection::open(bootstrap).await?;
    let names: Vec<ByteString> = topics.iter().map(|name| name.as_str().into()).collect();
    let states = names.iter().map(|name| DeleteTopicState { name: Some(name.clone()), ..DeleteTopicState::default() });
    let request = DeleteTopicsRequest { topics: states.collect(), topic_names: names.clone(), timeout_ms: 30_000 };
    for answer in connection.call(&request).await?.responses {
        if answer.error_code != ErrorCode::UnknownTopicOrPartition.code() {
            check(answer.error_code).with_context(|| format!("deleting {:?}", answer.name))?;
        }
    }
    let gone = |topic: &MetadataResponseTopic| topic.error_code == ErrorCode::UnknownTopicOrPartition.code();
    poll(&mut connection, topics, |answer| answer.topics.iter().all(gone)).await.context("topics stay").map(drop)
}

/// The partitions of topics, which must exist, in order.
pub(crate) async fn partitions(bootstrap: &str, topics: &[String]) -> Result<Vec<Partition>> {
    let mut connection = Connection::open(bootstrap).await?;
    let answer = metadata(&mut connection, topics).await?;
    let addresses: BTreeMap<i32, String> =
        answer.brokers.iter().map(|broker| (broker.node_id, format!("{}:{}", broker.host, broker.port))).collect();
    let mut partitions = Vec::new();
    for topic in &answer.topics {
        let name = topic.name.clone().unwrap_or_default();
        check(topic.error_code).with_context(|| format!("topic {name} (make it with --create or `topic create`)"))?;
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let Some(leader) = addresses.get(&partition.leader_id) else {
                bail!("partition {name}-{index} has no leader: {}", error_name(partition.error_code));
            };
            let (topic, topic_id, leader) = (name.clone(), topic.topic_id, leader.clone());
            partitions.push(Partition { topic, topic_id, index, leader });
        }
    }
    ensure!(!partitions.is_empty(), "no partitions");
    partitions.sort_by(|a, b| (&a.topic, a.index).cmp(&(&b.topic, b.index)));
    Ok(partitions)
}

/// For each partition, all led by this connection's broker, the offset that stands for `timestamp`.
pub(crate) async fn offsets(connection: &mut Connection, partitions: &[Partition], timestamp: i64) -> Result<Vec<i64>> {
    let mut topics: BTreeMap<&ByteString, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for partition in partitions {
        let (partition_index, current_leader_epoch) = (partition.index, -1);
        let wanted = ListOffsetsPartition { partition_index, current_leader_epoch, timestamp };
        topics.entry(&partition.topic).or_default().push(wanted);
    }
    let topics = topics.into_iter().map(|(name, partitions)| ListOffsetsTopic { name: name.clone(), partitions });
    let request =
        ListOffsetsRequest { replica_id: -1, isolation_level: 0, topics: topics.collect(), timeout_ms: 30_000 };
    let mut found = BTreeMap::new();
    for topic in connection.call(&request).await?.topics {
        for partition in topic.partitions {
            check(partition.error_code).with_context(|| format!("offsets of {}", topic.name))?;
            found.insert((topic.name.clone(), partition.partition_index), partition.offset);
        }
    }
    partitions
        .iter()
        .map(|partition| found.get(&(partition.topic.clone(), partition.index)).copied().context("offset not given"))
        .collect()
}

async fn wait_for_leaders(connection: &mut Connection, topics: &[String]) -> Result<()> {
    let led = |topic: &MetadataResponseTopic| {
        topic.error_code == 0
            && !topic.partitions.is_empty()
            && topic.partitions.iter().all(|partition| partition.leader_id >= 0 && partition.error_code == 0)
    };
    poll(connection, topics, |answer| answer.topics.iter().all(led)).await.context("topics get no leaders").map(drop)
}

async fn poll(
    connection: &mut Connection,
    topics: &[String],
    done: impl Fn(&MetadataResponse) -> bool,
) -> Result<MetadataResponse> {
    let polling = async {
        loop {
            let answer = metadata(connection, topics).await?;
            if done(&answer) {
                return Ok(answer);
            }
            tokio::time::sleep(LEADERS_POLL).await;
        }
    };
    tokio::time::timeout(LEADERS_WITHIN, polling).await?
}

async fn metadata(connection: &mut Connection, topics: &[String]) -> Result<MetadataResponse> {
    let topics = topics
        .iter()
        .map(|name| MetadataRequestTopic { name: Some(name.as_str().into()), ..MetadataRequestTopic::default() });
    let request = MetadataRequest {
        topics: Some(topics.collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    connection.call(&request).await
}

/// Groups partitions by the broker that leads them.
pub(crate) fn by_leader(partitions: &[Partition]) -> Vec<Vec<Partition>> {
    let mut groups: BTreeMap<&str, Vec<Partition>> = BTreeMap::new();
    for partition in partitions {
        groups.entry(&partition.leader).or_default().push(partition.clone());
    }
    groups.into_values().collect()
}

/// Deals partitions out to at most `connections` connections per leader, none of which is left without.
pub(crate) fn deal(partitions: &[Partition], connections: usize) -> Vec<Vec<Partition>> {
    let mut dealt = Vec::new();
    for group in by_leader(partitions) {
        let mut hands = vec![Vec::new(); connections.clamp(1, group.len())];
        let count = hands.len();
        for (index, partition) in group.into_iter().enumerate() {
            hands[index % count].push(partition);
        }
        dealt.extend(hands);
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32, leader: &str) -> Partition {
        Partition { topic: "t".into(), topic_id: Uuid::ZERO, index, leader: leader.to_owned() }
    }

    #[test]
    fn every_partition_goes_to_one_connection_of_its_leader() {
        let partitions: Vec<Partition> = (0..7).map(|index| partition(index, ["a", "b"][index as usize % 2])).collect();
        for connections in 1..6 {
            let dealt = deal(&partitions, connections);
            assert_eq!(dealt.len(), connections.min(4) + connections.min(3));
            assert!(dealt.iter().all(|hand| hand.iter().all(|partition| partition.leader == hand[0].leader)));
            let mut all: Vec<i32> = dealt.iter().flatten().map(|partition| partition.index).collect();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4, 5, 6]);
        }
    }
}
