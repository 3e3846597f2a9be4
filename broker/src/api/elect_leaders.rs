//! ElectLeaders (key 43, versions 0-2): the preferred replica leads again, or, where nobody that has everything is alive, one that has
//! not (KIP-460). What an unclean election puts at risk is in the log, and in the message beside code 0.

use bytestring::ByteString;
use goatq_controller::decide::elect_leaders::{
    ElectLeaders, ElectLeadersError, ElectedLeader, ElectedLeaders, Election,
};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};

use super::RequestContext;
use super::submit::submit;

fn error_code(error: &ElectLeadersError) -> ErrorCode {
    match error {
        ElectLeadersError::Unknown => ErrorCode::UnknownTopicOrPartition,
        ElectLeadersError::NotNeeded => ErrorCode::ElectionNotNeeded,
        ElectLeadersError::PreferredNotAvailable => ErrorCode::PreferredLeaderNotAvailable,
        ElectLeadersError::NoneAvailable => ErrorCode::EligibleLeadersNotAvailable,
        ElectLeadersError::TooMany => ErrorCode::PolicyViolation,
    }
}

pub(crate) async fn handle(cx: &RequestContext, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let Some(election) = Election::from_id(request.election_type) else {
        return ElectLeadersResponse { error_code: ErrorCode::InvalidRequest.code(), ..Default::default() };
    };
    let partitions = request.topic_partitions.map(|topics| topics.into_iter().map(|of| (of.topic, of.partitions)));
    let partitions = partitions.map(Iterator::collect::<Vec<_>>);
    let command = ElectLeaders { election, partitions: partitions.clone() };
    let results = match submit(cx, command, request.timeout_ms).await {
        Ok(elected) => {
            warn(election, &elected);
            group(elected.into_iter().map(|(topic, number, elected)| (topic, result(election, number, elected))))
        }
        // Without a name there is nothing to say it of.
        Err((code, _)) if partitions.is_none() => {
            return ElectLeadersResponse { error_code: code.code(), ..Default::default() };
        }
        Err((code, message)) => {
            let all = partitions.into_iter().flatten();
            let named = all.flat_map(|(topic, numbers)| numbers.into_iter().map(move |number| (topic.clone(), number)));
            group(named.map(|(topic, number)| {
                let error_message = Some(message.clone());
                (topic, PartitionResult { partition_id: number, error_code: code.code(), error_message })
            }))
        }
    };
    ElectLeadersResponse { replica_election_results: results, ..Default::default() }
}

fn result(election: Election, number: i32, elected: Result<ElectedLeader, ElectLeadersError>) -> PartitionResult {
    let (code, message) = match elected {
        Ok(leader) if election == Election::Unclean => (ErrorCode::None, Some(at_risk(&leader).into())),
        Ok(_) => (ErrorCode::None, None),
        Err(error) => (error_code(&error), Some(error.to_string().into())),
    };
    PartitionResult { partition_id: number, error_code: code.code(), error_message: message }
}

fn at_risk(elected: &ElectedLeader) -> String {
    match &elected.at_risk[..] {
        [] => format!("Replica {} leads; it has all that was acknowledged.", elected.leader),
        complete => format!(
            "Replica {} leads, elected unclean: what was acknowledged and is only on replicas {complete:?} is lost.",
            elected.leader
        ),
    }
}

fn warn(election: Election, elected: &ElectedLeaders) {
    if election != Election::Unclean {
        return;
    }
    for (topic, partition, leader) in elected {
        if let Ok(leader) = leader {
            tracing::warn!(%topic, partition, leader = leader.leader, lost_from = ?leader.at_risk, "{}", at_risk(leader));
        }
    }
}

/// What belongs to one topic in one place; results of a topic follow one another.
fn group(results: impl Iterator<Item = (ByteString, PartitionResult)>) -> Vec<ReplicaElectionResult> {
    let mut topics: Vec<ReplicaElectionResult> = Vec::new();
    for (topic, result) in results {
        match topics.last_mut() {
            Some(last) if last.topic == topic => last.partition_result.push(result),
            _ => topics.push(ReplicaElectionResult { topic, partition_result: vec![result] }),
        }
    }
    topics
}
