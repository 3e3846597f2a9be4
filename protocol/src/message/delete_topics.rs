//! DeleteTopics (key 20): deleting topics.
//!
//! Version 6 names topics by id.

use bytestring::ByteString;

use crate::Uuid;
use crate::wire::Message;

/// Deletes topics.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DeleteTopics, versions = "1-6", flexible = "4+")]
pub struct DeleteTopicsRequest {
    /// The topics.
    #[field(versions = "6+")]
    pub topics: Vec<DeleteTopicState>,
    /// Names of the topics, before version 6.
    #[field(versions = "1-5")]
    pub topic_names: Vec<ByteString>,
    /// How long the broker may take, ms.
    pub timeout_ms: i32,
}

/// One of [`DeleteTopicsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DeleteTopicState {
    /// Name of the topic; null when `topic_id` is given.
    pub name: Option<ByteString>,
    /// Id of the topic, zero if unknown.
    pub topic_id: Uuid,
}

/// What became of each topic.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DeleteTopics, versions = "1-6", flexible = "4+")]
pub struct DeleteTopicsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// The answers, one per topic or resource.
    pub responses: Vec<DeletableTopicResult>,
}

/// One of [`DeleteTopicsResponse::responses`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DeletableTopicResult {
    /// Name of the topic; null if an id was asked for that no topic has.
    #[field(nullable = "6+")]
    pub name: Option<ByteString>,
    /// Id of the topic, zero if unknown.
    #[field(versions = "6+")]
    pub topic_id: Uuid,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    #[field(versions = "5+")]
    pub error_message: Option<ByteString>,
}
