//! CreateTopics (key 19, versions 2-7).
//!
//! KIP-464 (defaults for counts), KIP-525 (configuration in the reply), KIP-516 (topic ids). As with Kafka each topic
//! succeeds or fails by itself, and `validate_only` answers with an id that will not be used.

use bytestring::ByteString;
use goatq_controller::decide::topics::{CreateTopicError, CreateTopics, CreatedTopic, ManualAssignment, NewTopic};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};

use super::RequestContext;
use super::submit::{submit, submit_code};
use crate::config::describe;
use crate::topics::auto_create::{AutoCreateError, default_replication_factor};

/// The code of a topic that is not created.
pub(super) fn error_code(error: &CreateTopicError) -> ErrorCode {
    match error {
        CreateTopicError::Exists(_) => ErrorCode::TopicAlreadyExists,
        CreateTopicError::Name(_) => ErrorCode::InvalidTopicException,
        CreateTopicError::Duplicate | CreateTopicError::MetadataTopic | CreateTopicError::CountAndAssignment(_) => {
            ErrorCode::InvalidRequest
        }
        CreateTopicError::Partitions => ErrorCode::InvalidPartitions,
        CreateTopicError::ReplicationFactor(_) => ErrorCode::InvalidReplicationFactor,
        CreateTopicError::Assignment(_) => ErrorCode::InvalidReplicaAssignment,
        CreateTopicError::Config(_) => ErrorCode::InvalidConfig,
        CreateTopicError::TooManyPartitions => ErrorCode::PolicyViolation,
    }
}

/// The code of a topic that was asked for by name and could not be made. What may work later is retriable.
pub(super) fn auto_create_code(error: &AutoCreateError) -> ErrorCode {
    match error {
        AutoCreateError::Refused(error) => error_code(error),
        AutoCreateError::Unavailable(error) => match submit_code(error) {
            ErrorCode::NotController => ErrorCode::UnknownTopicOrPartition,
            code => code,
        },
        AutoCreateError::NotOpen => ErrorCode::LeaderNotAvailable,
    }
}

fn new_topic(topic: CreatableTopic, default_factor: i16) -> NewTopic {
    let chosen_by_hand = !topic.assignments.is_empty();
    let replication_factor = match topic.replication_factor {
        -1 if !chosen_by_hand => default_factor,
        factor => factor,
    };
    let assignments = topic.assignments.into_iter();
    NewTopic {
        name: topic.name,
        partitions: topic.num_partitions,
        replication_factor,
        assignments: assignments
            .map(|assignment| ManualAssignment {
                partition: assignment.partition_index,
                brokers: assignment.broker_ids,
            })
            .collect(),
        configs: topic.configs.into_iter().map(|config| (config.name, config.value)).collect(),
    }
}

fn failed(name: ByteString, code: ErrorCode, message: ByteString) -> CreatableTopicResult {
    CreatableTopicResult { name, error_code: code.code(), error_message: Some(message), ..Default::default() }
}

fn created(cx: &RequestContext, name: ByteString, topic: CreatedTopic) -> CreatableTopicResult {
    let entries = cx.node.config.with_layers(|layers| describe::topic(&topic.configs, layers, |_| true));
    let configs = entries.into_iter().map(|entry| CreatableTopicConfigs {
        name: entry.name.into(),
        value: entry.value.map(ByteString::from),
        read_only: entry.read_only,
        config_source: entry.source as i8,
        is_sensitive: entry.sensitive,
    });
    CreatableTopicResult {
        name,
        topic_id: topic.id,
        error_code: ErrorCode::None.code(),
        error_message: None,
        num_partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        configs: Some(configs.collect()),
        topic_config_error_code: ErrorCode::None.code(),
    }
}

pub(crate) async fn handle(cx: &RequestContext, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let default_factor = default_replication_factor(&cx.node.config.current(), &cx.node.image());
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics = request.topics.into_iter().map(|topic| new_topic(topic, default_factor)).collect();
    let command = CreateTopics { topics, validate_only: request.validate_only };
    let topics = match submit(cx, command, request.timeout_ms).await {
        Ok(response) => response
            .topics
            .into_iter()
            .map(|(name, result)| match result {
                Ok(topic) => created(cx, name, topic),
                Err(error) => failed(name, error_code(&error), error.to_string().into()),
            })
            .collect(),
        Err((code, message)) => names.into_iter().map(|name| failed(name, code, message.clone())).collect(),
    };
    CreateTopicsResponse { throttle_time_ms: 0, topics }
}
