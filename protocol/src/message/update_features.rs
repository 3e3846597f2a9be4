//! UpdateFeatures (key 57): changing finalized feature levels.
//!
//! Version 1 can only check (KIP-584), 2 has no result per feature.

use bytestring::ByteString;

use crate::wire::Message;

/// Raises or lowers finalized features.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = UpdateFeatures, versions = "0-2", flexible = "0+")]
pub struct UpdateFeaturesRequest {
    /// How long the broker may take, ms.
    #[field(default = "60000")]
    pub timeout_ms: i32,
    /// The features to change.
    pub feature_updates: Vec<FeatureUpdateKey>,
    /// Whether the request is only checked and nothing is changed.
    #[field(versions = "1+")]
    pub validate_only: bool,
}

/// One of [`UpdateFeaturesRequest::feature_updates`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct FeatureUpdateKey {
    /// Name of the feature.
    pub feature: ByteString,
    /// The level to finalize; 0 takes the feature back.
    pub max_version_level: i16,
    /// 1 upgrade only, 2 downgrade without loss, 3 downgrade even with loss.
    #[field(versions = "1+", default = "1")]
    pub upgrade_type: i8,
    /// Whether the level may be lowered.
    #[field(versions = "0")]
    pub allow_downgrade: bool,
}

/// Whether the features were changed.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(key = UpdateFeatures, versions = "0-2", flexible = "0+")]
pub struct UpdateFeaturesResponse {
    /// How long the broker holds the client back because of a quota, ms.
    pub throttle_time_ms: i32,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
    /// One answer per feature, before version 2.
    #[field(versions = "0-1")]
    pub results: Vec<UpdatableFeatureResult>,
}

/// One of [`UpdateFeaturesResponse::results`].
#[derive(Debug, Clone, PartialEq, Message)]
pub struct UpdatableFeatureResult {
    /// Name of the feature.
    pub feature: ByteString,
    /// What went wrong; 0 for nothing.
    pub error_code: i16,
    /// What went wrong in words; null for nothing.
    pub error_message: Option<ByteString>,
}
