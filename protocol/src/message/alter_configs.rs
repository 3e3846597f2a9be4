//! AlterConfigs (key 33): replacing all configs of resources.

use bytestring::ByteString;

use crate::wire::Message;

/// Replaces all configs of resources; those not named are reset.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = AlterConfigs, versions = "0-2", flexible = "2+")]
pub struct AlterConfigsRequest {
    /// The resources.
    pub resources: Vec<AlterConfigsResource>,
    /// Whether the request is only checked and nothing is changed.
    pub validate_only: bool,
}

/// One of [`AlterConfigsRequest::resources`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct AlterConfigsResource {
    /// 2 topic, 4 broker, 8 logger, 16 client metrics, 32 group.
    pub resource_type: i8,
    /// Name of the resource.
    pub resource_name: ByteString,
    /// The configs to change.
    pub configs: Vec<AlterableConfig>,
}

/// One of [`AlterConfigsResource::configs`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct AlterableConfig {
    /// Name of the config.
    pub name: ByteString,
    /// The value, null for none.
    pub value: Option<ByteString>,
}

/// What became of each resource.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = AlterConfigs, versions = "0-2", flexible = "2+")]
pub struct AlterConfigsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// The answers, one per topic or resource.
    pub responses: Vec<AlterConfigsResourceResponse>,
}

/// One of [`AlterConfigsResponse::responses`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct AlterConfigsResourceResponse {
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
    /// 2 topic, 4 broker, 8 logger, 16 client metrics, 32 group.
    pub resource_type: i8,
    /// Name of the resource.
    pub resource_name: ByteString,
}
