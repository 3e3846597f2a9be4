//! ListConfigResources (key 74): listing the resources that have configs.
//!
//! Version 0 lists client metrics only, 1 any type (KIP-1142).

use bytestring::ByteString;

use crate::wire::Message;

/// Asks for the resources that have configs.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = ListConfigResources, versions = "0-1", flexible = "0+")]
pub struct ListConfigResourcesRequest {
    /// The types wanted; empty for all.
    #[field(versions = "1+")]
    pub resource_types: Vec<i8>,
}

/// The resources.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = ListConfigResources, versions = "0-1", flexible = "0+")]
pub struct ListConfigResourcesResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// The resources that have configs.
    pub config_resources: Vec<ConfigResource>,
}

/// One of [`ListConfigResourcesResponse::config_resources`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ConfigResource {
    /// Name of the resource.
    pub resource_name: ByteString,
    /// 2 topic, 4 broker, 8 logger, 16 client metrics, 32 group.
    #[field(versions = "1+", default = "16")]
    pub resource_type: i8,
}
