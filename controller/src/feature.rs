//! Features and the levels of them that this build supports.
//!
//! A finalized level is a promise of the whole cluster. Only what is served is supported: a client that sees
//! `group.version` 1 will use the new group protocol. See the crate's README for the reasons level by level.

use std::collections::BTreeMap;

use bytestring::ByteString;

/// The format of metadata and of what brokers say to each other.
pub const METADATA_VERSION: &str = "metadata.version";
/// The kind of quorum: 1 has voters with directory ids that change at run time (KIP-853).
pub const KRAFT_VERSION: &str = "kraft.version";
/// Transactions: 2 bumps the epoch with each one (KIP-890).
pub const TRANSACTION_VERSION: &str = "transaction.version";
/// Groups: 1 has the consumer group protocol (KIP-848).
pub const GROUP_VERSION: &str = "group.version";
/// Eligible leader replicas (KIP-966).
pub const ELIGIBLE_LEADER_REPLICAS_VERSION: &str = "eligible.leader.replicas.version";
/// Share groups: 1 has them (KIP-932), 2 has the dead-letter queue (KIP-1191).
pub const SHARE_VERSION: &str = "share.version";
/// Streams groups (KIP-1071).
pub const STREAMS_VERSION: &str = "streams.version";

/// The newest metadata version, "4.4-IV2".
pub const METADATA_VERSION_LATEST: i16 = 33;
/// The oldest metadata version, "3.3-IV3".
pub const METADATA_VERSION_MIN: i16 = 7;

/// Levels of one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureRange {
    /// Lowest level that can be finalized.
    pub min: i16,
    /// Highest level that can be finalized.
    pub max: i16,
    /// Level that a new cluster starts with.
    pub initial: i16,
}

/// All features that can be finalized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportedFeatures {
    ranges: BTreeMap<ByteString, FeatureRange>,
}

impl SupportedFeatures {
    /// Exactly these.
    pub fn new(ranges: impl IntoIterator<Item = (&'static str, FeatureRange)>) -> Self {
        SupportedFeatures {
            ranges: ranges.into_iter().map(|(name, range)| (ByteString::from_static(name), range)).collect(),
        }
    }

    /// What this build serves.
    pub fn current() -> Self {
        Self::new([
            (
                METADATA_VERSION,
                FeatureRange {
                    min: METADATA_VERSION_MIN,
                    max: METADATA_VERSION_LATEST,
                    initial: METADATA_VERSION_LATEST,
                },
            ),
            (KRAFT_VERSION, FeatureRange { min: 0, max: 1, initial: 1 }),
        ])
    }

    /// The levels of a feature; `None` when it is not supported at all.
    pub fn get(&self, name: &str) -> Option<FeatureRange> {
        self.ranges.get(name).copied()
    }

    /// All supported features in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&ByteString, FeatureRange)> + '_ {
        self.ranges.iter().map(|(name, range)| (name, *range))
    }
}

/// The release and step that a metadata version is known by, e.g. "4.4-IV2"; `None` outside the supported range.
pub fn metadata_version_name(level: i16) -> Option<&'static str> {
    const NAMES: [&str; 27] = [
        "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2", "3.7-IV0", "3.7-IV1",
        "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0", "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0",
        "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0", "4.4-IV0", "4.4-IV1", "4.4-IV2",
    ];
    let position = usize::try_from(level.checked_sub(METADATA_VERSION_MIN)?).ok()?;
    NAMES.get(position).copied()
}
