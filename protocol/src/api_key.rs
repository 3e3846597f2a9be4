//! The APIs of Kafka 4.4: keys, version ranges and on which listeners they are answered.

use std::fmt;

use crate::wire::VersionRange;

/// On which listeners an API is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenerScope {
    /// Brokers only.
    Broker,
    /// Controllers only.
    Controller,
    /// Both.
    Both,
}

impl ListenerScope {
    /// Whether a broker's listener answers it.
    pub const fn on_broker(self) -> bool {
        matches!(self, Self::Broker | Self::Both)
    }

    /// Whether a controller's listener answers it.
    pub const fn on_controller(self) -> bool {
        matches!(self, Self::Controller | Self::Both)
    }
}

/// One row of the table.
struct Spec {
    name: &'static str,
    versions: VersionRange,
    latest_stable: i16,
    flexible_from: Option<i16>,
    scope: ListenerScope,
}

macro_rules! api_keys {
    ($($key:ident = $id:literal, $min:literal - $max:literal, stable $stable:literal, flexible $flexible:expr, $scope:ident;)*) => {
        /// The key of an API, the first field of every request. Keys 4 to 7 are gone since Kafka 4.0.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        #[expect(missing_docs, reason = "the names are Kafka's")]
        pub enum ApiKey {
            $($key = $id,)*
        }

        impl ApiKey {
            /// Every key, in order.
            pub const ALL: &'static [Self] = &[$(Self::$key,)*];

            /// The API with this key.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($id => Some(Self::$key),)*
                    _ => None,
                }
            }

            const fn spec(self) -> Spec {
                match self {
                    $(Self::$key => Spec {
                        name: stringify!($key),
                        versions: VersionRange::new($min, $max),
                        latest_stable: $stable,
                        flexible_from: $flexible,
                        scope: ListenerScope::$scope,
                    },)*
                }
            }
        }
    };
}

impl ApiKey {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Kafka's name, e.g. `OffsetForLeaderEpoch`.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// The versions of Kafka 4.4, unstable ones included.
    pub const fn versions(self) -> VersionRange {
        self.spec().versions
    }

    /// The versions of Kafka 4.4 that it offers unless `unstable.api.versions.enable` is set.
    pub const fn stable_versions(self) -> VersionRange {
        let Spec { versions, latest_stable, .. } = self.spec();
        VersionRange::new(versions.min, latest_stable)
    }

    /// The first version with compact lengths and tagged fields (KIP-482), if any.
    pub const fn flexible_from(self) -> Option<i16> {
        self.spec().flexible_from
    }

    /// Whether `version` of the request has compact lengths and tagged fields.
    pub const fn is_flexible(self, version: i16) -> bool {
        matches!(self.spec().flexible_from, Some(from) if version >= from)
    }

    /// Where Kafka answers it.
    pub const fn scope(self) -> ListenerScope {
        self.spec().scope
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

api_keys! {
    Produce = 0, 3 - 13, stable 13, flexible Some(9), Broker;
    Fetch = 1, 4 - 18, stable 18, flexible Some(12), Both;
    ListOffsets = 2, 1 - 11, stable 11, flexible Some(6), Broker;
    Metadata = 3, 0 - 13, stable 13, flexible Some(9), Broker;
    OffsetCommit = 8, 2 - 10, stable 10, flexible Some(8), Broker;
    OffsetFetch = 9, 1 - 10, stable 10, flexible Some(6), Broker;
    FindCoordinator = 10, 0 - 6, stable 6, flexible Some(3), Broker;
    JoinGroup = 11, 0 - 9, stable 9, flexible Some(6), Broker;
    Heartbeat = 12, 0 - 4, stable 4, flexible Some(4), Broker;
    LeaveGroup = 13, 0 - 5, stable 5, flexible Some(4), Broker;
    SyncGroup = 14, 0 - 5, stable 5, flexible Some(4), Broker;
    DescribeGroups = 15, 0 - 6, stable 6, flexible Some(5), Broker;
    ListGroups = 16, 0 - 5, stable 5, flexible Some(3), Broker;
    SaslHandshake = 17, 0 - 1, stable 1, flexible None, Both;
    ApiVersions = 18, 0 - 5, stable 5, flexible Some(3), Both;
    CreateTopics = 19, 2 - 7, stable 7, flexible Some(5), Both;
    DeleteTopics = 20, 1 - 6, stable 6, flexible Some(4), Both;
    DeleteRecords = 21, 0 - 2, stable 2, flexible Some(2), Broker;
    InitProducerId = 22, 0 - 6, stable 5, flexible Some(2), Broker;
    OffsetForLeaderEpoch = 23, 2 - 4, stable 4, flexible Some(4), Broker;
    AddPartitionsToTxn = 24, 0 - 5, stable 5, flexible Some(3), Broker;
    AddOffsetsToTxn = 25, 0 - 4, stable 4, flexible Some(3), Broker;
    EndTxn = 26, 0 - 5, stable 5, flexible Some(3), Broker;
    WriteTxnMarkers = 27, 1 - 2, stable 2, flexible Some(1), Broker;
    TxnOffsetCommit = 28, 0 - 6, stable 6, flexible Some(3), Broker;
    DescribeAcls = 29, 1 - 3, stable 3, flexible Some(2), Both;
    CreateAcls = 30, 1 - 3, stable 3, flexible Some(2), Both;
    DeleteAcls = 31, 1 - 3, stable 3, flexible Some(2), Both;
    DescribeConfigs = 32, 1 - 4, stable 4, flexible Some(4), Both;
    AlterConfigs = 33, 0 - 2, stable 2, flexible Some(2), Both;
    AlterReplicaLogDirs = 34, 1 - 2, stable 2, flexible Some(2), Broker;
    DescribeLogDirs = 35, 1 - 5, stable 5, flexible Some(2), Broker;
    SaslAuthenticate = 36, 0 - 2, stable 2, flexible Some(2), Both;
    CreatePartitions = 37, 0 - 3, stable 3, flexible Some(2), Both;
    CreateDelegationToken = 38, 1 - 3, stable 3, flexible Some(2), Both;
    RenewDelegationToken = 39, 1 - 2, stable 2, flexible Some(2), Both;
    ExpireDelegationToken = 40, 1 - 2, stable 2, flexible Some(2), Both;
    DescribeDelegationToken = 41, 1 - 3, stable 3, flexible Some(2), Both;
    DeleteGroups = 42, 0 - 3, stable 3, flexible Some(2), Broker;
    ElectLeaders = 43, 0 - 2, stable 2, flexible Some(2), Both;
    IncrementalAlterConfigs = 44, 0 - 1, stable 1, flexible Some(1), Both;
    AlterPartitionReassignments = 45, 0 - 1, stable 1, flexible Some(0), Both;
    ListPartitionReassignments = 46, 0 - 0, stable 0, flexible Some(0), Both;
    OffsetDelete = 47, 0 - 0, stable 0, flexible None, Broker;
    DescribeClientQuotas = 48, 0 - 1, stable 1, flexible Some(1), Broker;
    AlterClientQuotas = 49, 0 - 1, stable 1, flexible Some(1), Both;
    DescribeUserScramCredentials = 50, 0 - 0, stable 0, flexible Some(0), Both;
    AlterUserScramCredentials = 51, 0 - 0, stable 0, flexible Some(0), Both;
    Vote = 52, 0 - 2, stable 2, flexible Some(0), Controller;
    BeginQuorumEpoch = 53, 0 - 1, stable 1, flexible Some(1), Controller;
    EndQuorumEpoch = 54, 0 - 1, stable 1, flexible Some(1), Controller;
    DescribeQuorum = 55, 0 - 2, stable 2, flexible Some(0), Both;
    AlterPartition = 56, 2 - 3, stable 3, flexible Some(0), Controller;
    UpdateFeatures = 57, 0 - 2, stable 2, flexible Some(0), Both;
    Envelope = 58, 0 - 0, stable 0, flexible Some(0), Controller;
    FetchSnapshot = 59, 0 - 1, stable 1, flexible Some(0), Controller;
    DescribeCluster = 60, 0 - 2, stable 2, flexible Some(0), Both;
    DescribeProducers = 61, 0 - 0, stable 0, flexible Some(0), Broker;
    BrokerRegistration = 62, 0 - 4, stable 4, flexible Some(0), Controller;
    BrokerHeartbeat = 63, 0 - 2, stable 2, flexible Some(0), Controller;
    UnregisterBroker = 64, 0 - 0, stable 0, flexible Some(0), Both;
    DescribeTransactions = 65, 0 - 0, stable 0, flexible Some(0), Broker;
    ListTransactions = 66, 0 - 2, stable 2, flexible Some(0), Broker;
    AllocateProducerIds = 67, 0 - 0, stable 0, flexible Some(0), Controller;
    ConsumerGroupHeartbeat = 68, 0 - 1, stable 1, flexible Some(0), Broker;
    ConsumerGroupDescribe = 69, 0 - 1, stable 1, flexible Some(0), Broker;
    ControllerRegistration = 70, 0 - 0, stable 0, flexible Some(0), Controller;
    GetTelemetrySubscriptions = 71, 0 - 0, stable 0, flexible Some(0), Broker;
    PushTelemetry = 72, 0 - 0, stable 0, flexible Some(0), Broker;
    AssignReplicasToDirs = 73, 0 - 0, stable 0, flexible Some(0), Controller;
    ListConfigResources = 74, 0 - 1, stable 1, flexible Some(0), Broker;
    DescribeTopicPartitions = 75, 0 - 0, stable 0, flexible Some(0), Broker;
    ShareGroupHeartbeat = 76, 1 - 1, stable 1, flexible Some(0), Broker;
    ShareGroupDescribe = 77, 1 - 1, stable 1, flexible Some(0), Broker;
    ShareFetch = 78, 1 - 2, stable 2, flexible Some(0), Broker;
    ShareAcknowledge = 79, 1 - 2, stable 2, flexible Some(0), Broker;
    AddRaftVoter = 80, 0 - 1, stable 1, flexible Some(0), Both;
    RemoveRaftVoter = 81, 0 - 0, stable 0, flexible Some(0), Both;
    UpdateRaftVoter = 82, 0 - 0, stable 0, flexible Some(0), Controller;
    InitializeShareGroupState = 83, 0 - 0, stable 0, flexible Some(0), Broker;
    ReadShareGroupState = 84, 0 - 0, stable 0, flexible Some(0), Broker;
    WriteShareGroupState = 85, 0 - 1, stable 1, flexible Some(0), Broker;
    DeleteShareGroupState = 86, 0 - 0, stable 0, flexible Some(0), Broker;
    ReadShareGroupStateSummary = 87, 0 - 1, stable 1, flexible Some(0), Broker;
    StreamsGroupHeartbeat = 88, 0 - 1, stable 1, flexible Some(0), Broker;
    StreamsGroupDescribe = 89, 0 - 1, stable 1, flexible Some(0), Broker;
    DescribeShareGroupOffsets = 90, 0 - 1, stable 1, flexible Some(0), Broker;
    AlterShareGroupOffsets = 91, 0 - 0, stable 0, flexible Some(0), Broker;
    DeleteShareGroupOffsets = 92, 0 - 0, stable 0, flexible Some(0), Broker;
    StreamsGroupTopologyDescriptionUpdate = 93, 0 - 0, stable 0, flexible Some(0), Broker;
    UnregisterController = 94, 0 - 0, stable 0, flexible Some(0), Both;
}
