//! Partitions that nobody can lead without loss: what each replica has of them, and the election that somebody asks for.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;

use anyhow::Context;
use goatq_protocol::message::elect_leaders::TopicPartitions;
use goatq_protocol::message::list_offsets::{LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsTopic};
use goatq_protocol::message::{ElectLeadersRequest, ListOffsetsRequest, MetadataResponse};

use super::connection::Connection;
use super::{TIMEOUT_MS, sound};

/// Kafka's number of the election.
const UNCLEAN: i8 = 1;
/// Who asks any replica, leader or not.
const DEBUGGING: i32 = -2;

/// A partition without leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Risk {
    pub(super) topic: String,
    pub(super) partition: i32,
    in_sync: Vec<i32>,
    /// In order of preference; where its log ends, if it was reached.
    replicas: Vec<(i32, Option<i64>)>,
}

impl Risk {
    /// Who would lead: the first that serves, with the end of its log.
    fn leader(&self) -> Option<(i32, i64)> {
        self.replicas.iter().find_map(|(id, end)| Some((*id, (*end)?)))
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}-{}: nobody leads; in sync last: {:?}", self.topic, self.partition, self.in_sync)?;
        for (id, end) in &self.replicas {
            match end {
                Some(end) => writeln!(f, "  replica {id} ends at {end}")?,
                None => writeln!(f, "  replica {id} is not reached")?,
            }
        }
        let Some((leader, end)) = self.leader() else { return writeln!(f, "  no replica can be elected") };
        writeln!(
            f,
            "  an unclean election makes {leader} the leader; what is only on others from offset {end} on is lost:"
        )?;
        for (id, of) in self.replicas.iter().filter(|(id, _)| *id != leader) {
            match of {
                Some(of) if *of > end => writeln!(f, "    {} offsets of replica {id}", of - end)?,
                Some(_) => {}
                None => writeln!(f, "    whatever replica {id} has")?,
            }
        }
        Ok(())
    }
}

/// The partitions without leader, with nothing known of their replicas yet.
pub(super) fn leaderless(metadata: &MetadataResponse) -> Vec<Risk> {
    let named = metadata.topics.iter().filter_map(|topic| Some((topic.name.as_deref()?, &topic.partitions)));
    let all = named.flat_map(|(name, partitions)| partitions.iter().map(move |partition| (name, partition)));
    let leaderless = all.filter(|(_, partition)| partition.leader_id < 0);
    let risk = |(topic, partition): (&str, &goatq_protocol::message::metadata::MetadataResponsePartition)| Risk {
        topic: topic.to_owned(),
        partition: partition.partition_index,
        in_sync: partition.isr_nodes.clone(),
        replicas: partition.replica_nodes.iter().map(|id| (*id, None)).collect(),
    };
    leaderless.map(risk).collect()
}

/// Asks the replicas that serve where their logs end.
async fn look(metadata: &MetadataResponse, risks: &mut [Risk]) {
    for broker in &metadata.brokers {
        let server = format!("{}:{}", broker.host, broker.port);
        let Ok(mut connection) = Connection::open(&server).await else { continue };
        for risk in risks.iter_mut() {
            let Some((_, end)) = risk.replicas.iter_mut().find(|(id, _)| *id == broker.node_id) else { continue };
            *end = end_of(&mut connection, &risk.topic, risk.partition).await.ok();
        }
    }
}

async fn end_of(connection: &mut Connection, topic: &str, partition_index: i32) -> anyhow::Result<i64> {
    let timestamp = LATEST_TIMESTAMP;
    let partitions = vec![ListOffsetsPartition { partition_index, timestamp, ..ListOffsetsPartition::default() }];
    let topics = vec![ListOffsetsTopic { name: topic.into(), partitions }];
    let request = ListOffsetsRequest { replica_id: DEBUGGING, topics, ..ListOffsetsRequest::default() };
    let answer = connection.ask(&request, 9).await?;
    let partition = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
    let partition = partition.context("nothing is said of the partition")?;
    sound(partition.error_code, None)?;
    Ok(partition.offset)
}

/// Shows what is at risk, and holds the elections if that is wanted.
pub(super) async fn run(connection: &mut Connection, only: Option<&str>, elect: bool) -> anyhow::Result<ExitCode> {
    let metadata = super::metadata(connection).await?;
    let mut risks = leaderless(&metadata);
    risks.retain(|risk| only.is_none_or(|only| only == risk.topic));
    look(&metadata, &mut risks).await;
    risks.iter().for_each(|risk| print!("{risk}"));
    if risks.is_empty() {
        println!("every partition has a leader");
        return Ok(ExitCode::SUCCESS);
    }
    if !elect {
        println!("if a replica that was in sync can come back, start its broker instead; --elect holds the elections");
        return Ok(ExitCode::FAILURE);
    }
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    risks.iter().for_each(|risk| topics.entry(&risk.topic).or_default().push(risk.partition));
    let topics = topics.into_iter().map(|(topic, partitions)| TopicPartitions { topic: topic.into(), partitions });
    let request = ElectLeadersRequest {
        election_type: UNCLEAN,
        topic_partitions: Some(topics.collect()),
        timeout_ms: TIMEOUT_MS,
    };
    let answer = connection.ask(&request, 2).await?;
    sound(answer.error_code, None)?;
    let mut all_elected = true;
    for topic in answer.replica_election_results {
        for result in topic.partition_result {
            let said = result.error_message.as_deref().unwrap_or_default();
            println!("{}-{}: {said}", topic.topic, result.partition_id);
            all_elected &= result.error_code == 0;
        }
    }
    Ok(if all_elected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_lost_is_told() {
        let replicas = vec![(1, None), (2, Some(90)), (3, Some(100)), (4, Some(80))];
        let risk = Risk { topic: "t".to_owned(), partition: 3, in_sync: vec![1], replicas };
        assert_eq!(risk.leader(), Some((2, 90)));
        let text = risk.to_string();
        assert!(text.contains("10 offsets of replica 3") && text.contains("whatever replica 1 has"), "{text}");
        assert!(!text.contains("of replica 4"), "{text}");
        let alone = Risk { replicas: vec![(1, None)], ..risk };
        assert!(alone.to_string().contains("no replica can be elected"));
    }
}
