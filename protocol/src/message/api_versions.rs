//! ApiVersions (key 18): which APIs and features a node has.
//!
//! Its response header is never flexible, and an unknown version is answered in version 0 with UNSUPPORTED_VERSION
//! (KIP-511). Version 3 names the client and the features (KIP-584), 5 finds clients that talk to the wrong node
//! (KIP-1242).

use bytestring::ByteString;

use crate::wire::Message;

/// Asks for the APIs of a listener; the first request on a connection.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = ApiVersions, versions = "0-5", flexible = "3+")]
pub struct ApiVersionsRequest {
    /// Name of the client library.
    #[field(versions = "3+")]
    pub client_software_name: ByteString,
    /// Version of the client library.
    #[field(versions = "3+")]
    pub client_software_version: ByteString,
    /// Id of the cluster that the client means to talk to; null for any (KIP-1242).
    #[field(versions = "5+")]
    pub cluster_id: Option<ByteString>,
    /// Id of the node that the client means to talk to, -1 for any (KIP-1242).
    #[field(versions = "5+", default = "-1")]
    pub node_id: i32,
}

/// The APIs and features.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = ApiVersions, versions = "0-5", flexible = "3+")]
pub struct ApiVersionsResponse {
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// The APIs that this listener answers.
    pub api_keys: Vec<ApiVersion>,
    /// How long the broker holds the client back because of a quota, ms.
    #[field(versions = "1+")]
    pub throttle_time_ms: i32,
    /// The features that this broker knows.
    #[field(versions = "3+", tag = 0)]
    pub supported_features: Vec<SupportedFeatureKey>,
    /// Epoch of the finalized features; grows with every change, -1 if unknown.
    #[field(versions = "3+", tag = 1, default = "-1")]
    pub finalized_features_epoch: i64,
    /// The features of the cluster.
    #[field(versions = "3+", tag = 2)]
    pub finalized_features: Vec<FinalizedFeatureKey>,
    /// A remnant of the ZooKeeper migration; false.
    #[field(versions = "3+", tag = 3)]
    pub zk_migration_ready: bool,
}

/// One of [`ApiVersionsResponse::api_keys`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct ApiVersion {
    /// Key of the API.
    pub api_key: i16,
    /// Oldest version.
    pub min_version: i16,
    /// Newest version.
    pub max_version: i16,
}

/// One of [`ApiVersionsResponse::supported_features`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct SupportedFeatureKey {
    /// Name of the feature.
    pub name: ByteString,
    /// The lowest level that the broker knows.
    pub min_version: i16,
    /// The highest level that the broker knows.
    pub max_version: i16,
}

/// One of [`ApiVersionsResponse::finalized_features`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct FinalizedFeatureKey {
    /// Name of the feature.
    pub name: ByteString,
    /// The level of the cluster.
    pub max_version_level: i16,
    /// The lowest level of the cluster.
    pub min_version_level: i16,
}
