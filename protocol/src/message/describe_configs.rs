//! DescribeConfigs (key 32): reading configs.
//!
//! Version 1 brings sources and synonyms (KIP-226), 3 types and documentation (KIP-569).

use bytestring::ByteString;

use crate::wire::Message;

/// Asks for the configs of resources.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeConfigs, versions = "1-4", flexible = "4+")]
pub struct DescribeConfigsRequest {
    /// The resources.
    pub resources: Vec<DescribeConfigsResource>,
    /// Whether the values that stand behind the effective one are wanted.
    pub include_synonyms: bool,
    /// Whether the documentation is wanted.
    #[field(versions = "3+")]
    pub include_documentation: bool,
}

/// One of [`DescribeConfigsRequest::resources`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeConfigsResource {
    /// 2 topic, 4 broker, 8 logger, 16 client metrics, 32 group.
    pub resource_type: i8,
    /// Name of the resource.
    pub resource_name: ByteString,
    /// The names wanted; null for all.
    pub configuration_keys: Option<Vec<ByteString>>,
}

/// The configs.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = DescribeConfigs, versions = "1-4", flexible = "4+")]
pub struct DescribeConfigsResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// The answers, one per item of the request.
    pub results: Vec<DescribeConfigsResult>,
}

/// One of [`DescribeConfigsResponse::results`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeConfigsResult {
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
    /// 2 topic, 4 broker, 8 logger, 16 client metrics, 32 group.
    pub resource_type: i8,
    /// Name of the resource.
    pub resource_name: ByteString,
    /// Configs by name.
    pub configs: Vec<DescribeConfigsResourceResult>,
}

/// One of [`DescribeConfigsResult::configs`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeConfigsResourceResult {
    /// Name of the config.
    pub name: ByteString,
    /// The value, null for none.
    pub value: Option<ByteString>,
    /// Whether the config cannot be changed here.
    pub read_only: bool,
    /// Where the value comes from: 1 topic, 2 broker, 3 default of all brokers, 4 static file, 5 built in, 6 logger, 7
    /// client metrics, 8 group.
    #[field(default = "-1")]
    pub config_source: i8,
    /// Whether the value is secret and therefore withheld.
    pub is_sensitive: bool,
    /// The values that stand behind the effective one, strongest first.
    pub synonyms: Vec<DescribeConfigsSynonym>,
    /// Type of the value: 0 unknown, 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9
    /// password.
    #[field(versions = "3+")]
    pub config_type: i8,
    /// What the config means.
    #[field(versions = "3+")]
    pub documentation: Option<ByteString>,
}

/// One of [`DescribeConfigsResourceResult::synonyms`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct DescribeConfigsSynonym {
    /// Name of the config.
    pub name: ByteString,
    /// The value, null for none.
    pub value: Option<ByteString>,
    /// Where the value comes from, see `config_source`.
    pub source: i8,
}
