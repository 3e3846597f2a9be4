//! The error codes of Kafka 4.4.

use std::fmt;

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])* $code:literal $variant:ident $name:literal $retriable:ident;)*) => {
        /// An error code of the protocol, -1 to 136.
        ///
        /// `NONE` is the default. Only the handlers of `broker/src/api` translate errors into codes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(i16)]
        pub enum ErrorCode {
            $($(#[doc = $doc])* $variant = $code,)*
            #[default]
            /// No error.
            None = 0,
        }

        impl ErrorCode {
            /// Every code, in ascending order but for `NONE`, which is last.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)* Self::None];

            /// The error with this code; `None` for codes that Kafka 4.4 does not have.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    0 => Some(Self::None),
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Kafka's name, e.g. `UNKNOWN_TOPIC_OR_PARTITION`.
            pub const fn name(self) -> &'static str {
                match self {
                    Self::None => "NONE",
                    $(Self::$variant => $name,)*
                }
            }

            /// Whether Kafka's clients try again by themselves.
            pub const fn is_retriable(self) -> bool {
                match self {
                    Self::None => false,
                    $(Self::$variant => error_codes!(@$retriable),)*
                }
            }
        }
    };
    (@retriable) => { true };
    (@fatal) => { false };
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Whether it stands for success.
    pub const fn is_none(self) -> bool {
        matches!(self, Self::None)
    }
}

impl From<ErrorCode> for i16 {
    fn from(error: ErrorCode) -> Self {
        error.code()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

error_codes! {
    /// The server failed in a way that it has no code for.
    -1 UnknownServerError "UNKNOWN_SERVER_ERROR" fatal;
    /// The offset is below the log start or beyond the log end.
    1 OffsetOutOfRange "OFFSET_OUT_OF_RANGE" fatal;
    /// A batch fails its checksum or cannot be parsed.
    2 CorruptMessage "CORRUPT_MESSAGE" retriable;
    /// The topic or partition does not exist, or not on this broker.
    3 UnknownTopicOrPartition "UNKNOWN_TOPIC_OR_PARTITION" retriable;
    /// The fetch size makes no sense.
    4 InvalidFetchSize "INVALID_FETCH_SIZE" fatal;
    /// The partition has no leader at the moment.
    5 LeaderNotAvailable "LEADER_NOT_AVAILABLE" retriable;
    /// This broker is not the leader, or not a replica, of the partition.
    6 NotLeaderOrFollower "NOT_LEADER_OR_FOLLOWER" retriable;
    /// What was asked did not happen in the time allowed for it.
    7 RequestTimedOut "REQUEST_TIMED_OUT" retriable;
    /// The broker is not available.
    8 BrokerNotAvailable "BROKER_NOT_AVAILABLE" fatal;
    /// The replica is not available.
    9 ReplicaNotAvailable "REPLICA_NOT_AVAILABLE" retriable;
    /// A batch is larger than `max.message.bytes`.
    10 MessageTooLarge "MESSAGE_TOO_LARGE" fatal;
    /// The request comes from a controller that has been replaced.
    11 StaleControllerEpoch "STALE_CONTROLLER_EPOCH" fatal;
    /// The metadata of an offset commit is longer than `offset.metadata.max.bytes`.
    12 OffsetMetadataTooLarge "OFFSET_METADATA_TOO_LARGE" fatal;
    /// The connection ended before the response; used by clients only.
    13 NetworkException "NETWORK_EXCEPTION" retriable;
    /// The coordinator is still reading its log.
    14 CoordinatorLoadInProgress "COORDINATOR_LOAD_IN_PROGRESS" retriable;
    /// There is no coordinator yet.
    15 CoordinatorNotAvailable "COORDINATOR_NOT_AVAILABLE" retriable;
    /// This broker is not the coordinator.
    16 NotCoordinator "NOT_COORDINATOR" retriable;
    /// The topic name is illegal, or the topic does not allow the operation.
    17 InvalidTopicException "INVALID_TOPIC_EXCEPTION" fatal;
    /// The batch is larger than a segment.
    18 RecordListTooLarge "RECORD_LIST_TOO_LARGE" fatal;
    /// Fewer replicas are in sync than `min.insync.replicas` asks for; nothing was appended.
    19 NotEnoughReplicas "NOT_ENOUGH_REPLICAS" retriable;
    /// The batch was appended, but fewer replicas were then in sync than `min.insync.replicas` asks for.
    20 NotEnoughReplicasAfterAppend "NOT_ENOUGH_REPLICAS_AFTER_APPEND" retriable;
    /// `acks` is none of -1, 0 and 1.
    21 InvalidRequiredAcks "INVALID_REQUIRED_ACKS" fatal;
    /// The generation is not the group's current one.
    22 IllegalGeneration "ILLEGAL_GENERATION" fatal;
    /// The member shares no protocol with the group, or named none.
    23 InconsistentGroupProtocol "INCONSISTENT_GROUP_PROTOCOL" fatal;
    /// The group id is illegal.
    24 InvalidGroupId "INVALID_GROUP_ID" fatal;
    /// The group has no such member.
    25 UnknownMemberId "UNKNOWN_MEMBER_ID" fatal;
    /// The session timeout is outside of what the broker allows.
    26 InvalidSessionTimeout "INVALID_SESSION_TIMEOUT" fatal;
    /// The group is rebalancing; the member has to join again.
    27 RebalanceInProgress "REBALANCE_IN_PROGRESS" fatal;
    /// The offset commit is too large to be stored.
    28 InvalidCommitOffsetSize "INVALID_COMMIT_OFFSET_SIZE" fatal;
    /// The principal may not do this with the topic.
    29 TopicAuthorizationFailed "TOPIC_AUTHORIZATION_FAILED" fatal;
    /// The principal may not do this with the group.
    30 GroupAuthorizationFailed "GROUP_AUTHORIZATION_FAILED" fatal;
    /// The principal may not do this with the cluster.
    31 ClusterAuthorizationFailed "CLUSTER_AUTHORIZATION_FAILED" fatal;
    /// A record's timestamp is too far from the broker's time.
    32 InvalidTimestamp "INVALID_TIMESTAMP" fatal;
    /// The SASL mechanism is not enabled.
    33 UnsupportedSaslMechanism "UNSUPPORTED_SASL_MECHANISM" fatal;
    /// The request does not fit the state of authentication.
    34 IllegalSaslState "ILLEGAL_SASL_STATE" fatal;
    /// The version of the API is not supported.
    35 UnsupportedVersion "UNSUPPORTED_VERSION" fatal;
    /// A topic of that name exists.
    36 TopicAlreadyExists "TOPIC_ALREADY_EXISTS" fatal;
    /// The number of partitions is not positive, or not larger than before.
    37 InvalidPartitions "INVALID_PARTITIONS" fatal;
    /// The replication factor is not positive, or larger than the number of brokers.
    38 InvalidReplicationFactor "INVALID_REPLICATION_FACTOR" fatal;
    /// The replica assignment is contradictory.
    39 InvalidReplicaAssignment "INVALID_REPLICA_ASSIGNMENT" fatal;
    /// A config is unknown or has an illegal value.
    40 InvalidConfig "INVALID_CONFIG" fatal;
    /// This node is not the active controller.
    41 NotController "NOT_CONTROLLER" retriable;
    /// The request contradicts itself or the state that it is about.
    42 InvalidRequest "INVALID_REQUEST" fatal;
    /// The message format of the topic cannot do this.
    43 UnsupportedForMessageFormat "UNSUPPORTED_FOR_MESSAGE_FORMAT" fatal;
    /// A policy of the broker forbids it.
    44 PolicyViolation "POLICY_VIOLATION" fatal;
    /// A sequence number is missing between this batch and the producer's last one.
    45 OutOfOrderSequenceNumber "OUT_OF_ORDER_SEQUENCE_NUMBER" fatal;
    /// The batch has been appended already, too long ago to tell its offset.
    46 DuplicateSequenceNumber "DUPLICATE_SEQUENCE_NUMBER" fatal;
    /// The producer's epoch is older than the one the log knows.
    47 InvalidProducerEpoch "INVALID_PRODUCER_EPOCH" fatal;
    /// The transaction is in no state that allows this.
    48 InvalidTxnState "INVALID_TXN_STATE" fatal;
    /// The producer id is not the one that belongs to the transactional id.
    49 InvalidProducerIdMapping "INVALID_PRODUCER_ID_MAPPING" fatal;
    /// The transaction timeout exceeds `transaction.max.timeout.ms`.
    50 InvalidTransactionTimeout "INVALID_TRANSACTION_TIMEOUT" fatal;
    /// Another operation on the transaction is under way.
    51 ConcurrentTransactions "CONCURRENT_TRANSACTIONS" retriable;
    /// The marker comes from a transaction coordinator that has been replaced.
    52 TransactionCoordinatorFenced "TRANSACTION_COORDINATOR_FENCED" fatal;
    /// The principal may not use the transactional id.
    53 TransactionalIdAuthorizationFailed "TRANSACTIONAL_ID_AUTHORIZATION_FAILED" fatal;
    /// Security is not configured on this cluster.
    54 SecurityDisabled "SECURITY_DISABLED" fatal;
    /// Not tried, because of an earlier item of the request.
    55 OperationNotAttempted "OPERATION_NOT_ATTEMPTED" fatal;
    /// The disk of the partition has failed or is full.
    56 KafkaStorageError "KAFKA_STORAGE_ERROR" retriable;
    /// The broker has no such log directory.
    57 LogDirNotFound "LOG_DIR_NOT_FOUND" fatal;
    /// The credentials are wrong.
    58 SaslAuthenticationFailed "SASL_AUTHENTICATION_FAILED" fatal;
    /// The log no longer knows the producer id.
    59 UnknownProducerId "UNKNOWN_PRODUCER_ID" fatal;
    /// The partition is being reassigned.
    60 ReassignmentInProgress "REASSIGNMENT_IN_PROGRESS" fatal;
    /// Delegation tokens are not enabled.
    61 DelegationTokenAuthDisabled "DELEGATION_TOKEN_AUTH_DISABLED" fatal;
    /// There is no such delegation token.
    62 DelegationTokenNotFound "DELEGATION_TOKEN_NOT_FOUND" fatal;
    /// The delegation token belongs to somebody else.
    63 DelegationTokenOwnerMismatch "DELEGATION_TOKEN_OWNER_MISMATCH" fatal;
    /// Delegation tokens cannot be requested over this connection.
    64 DelegationTokenRequestNotAllowed "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED" fatal;
    /// The principal may not do this with the delegation token.
    65 DelegationTokenAuthorizationFailed "DELEGATION_TOKEN_AUTHORIZATION_FAILED" fatal;
    /// The delegation token has expired.
    66 DelegationTokenExpired "DELEGATION_TOKEN_EXPIRED" fatal;
    /// The principal type is not supported.
    67 InvalidPrincipalType "INVALID_PRINCIPAL_TYPE" fatal;
    /// The group still has members.
    68 NonEmptyGroup "NON_EMPTY_GROUP" fatal;
    /// There is no such group.
    69 GroupIdNotFound "GROUP_ID_NOT_FOUND" fatal;
    /// There is no such fetch session.
    70 FetchSessionIdNotFound "FETCH_SESSION_ID_NOT_FOUND" retriable;
    /// The fetch session epoch is not the next one.
    71 InvalidFetchSessionEpoch "INVALID_FETCH_SESSION_EPOCH" retriable;
    /// The leader has no listener of the name that the request came in on.
    72 ListenerNotFound "LISTENER_NOT_FOUND" retriable;
    /// `delete.topic.enable` is off.
    73 TopicDeletionDisabled "TOPIC_DELETION_DISABLED" fatal;
    /// The client's leader epoch is older than the broker's.
    74 FencedLeaderEpoch "FENCED_LEADER_EPOCH" retriable;
    /// The client's leader epoch is newer than the broker's.
    75 UnknownLeaderEpoch "UNKNOWN_LEADER_EPOCH" retriable;
    /// The topic or the API version does not allow this compression.
    76 UnsupportedCompressionType "UNSUPPORTED_COMPRESSION_TYPE" fatal;
    /// The broker epoch is older than the registered one.
    77 StaleBrokerEpoch "STALE_BROKER_EPOCH" fatal;
    /// The leader does not know the high watermark yet.
    78 OffsetNotAvailable "OFFSET_NOT_AVAILABLE" retriable;
    /// Join again with the member id of this response.
    79 MemberIdRequired "MEMBER_ID_REQUIRED" fatal;
    /// The preferred leader cannot lead.
    80 PreferredLeaderNotAvailable "PREFERRED_LEADER_NOT_AVAILABLE" retriable;
    /// The group has reached its maximum size.
    81 GroupMaxSizeReached "GROUP_MAX_SIZE_REACHED" fatal;
    /// Another member uses the same `group.instance.id`.
    82 FencedInstanceId "FENCED_INSTANCE_ID" fatal;
    /// No eligible leader is alive.
    83 EligibleLeadersNotAvailable "ELIGIBLE_LEADERS_NOT_AVAILABLE" retriable;
    /// The partition has the leader that was asked for.
    84 ElectionNotNeeded "ELECTION_NOT_NEEDED" retriable;
    /// The partition is not being reassigned.
    85 NoReassignmentInProgress "NO_REASSIGNMENT_IN_PROGRESS" fatal;
    /// A member is subscribed to the topic.
    86 GroupSubscribedToTopic "GROUP_SUBSCRIBED_TO_TOPIC" fatal;
    /// A record breaks a rule of the topic or of the format.
    87 InvalidRecord "INVALID_RECORD" fatal;
    /// The offset belongs to a transaction that is not finished.
    88 UnstableOffsetCommit "UNSTABLE_OFFSET_COMMIT" retriable;
    /// The quota is used up.
    89 ThrottlingQuotaExceeded "THROTTLING_QUOTA_EXCEEDED" retriable;
    /// A newer producer has the transactional id.
    90 ProducerFenced "PRODUCER_FENCED" fatal;
    /// There is no such resource.
    91 ResourceNotFound "RESOURCE_NOT_FOUND" fatal;
    /// The resource occurs twice, or exists already.
    92 DuplicateResource "DUPLICATE_RESOURCE" fatal;
    /// The credential does not meet the requirements.
    93 UnacceptableCredential "UNACCEPTABLE_CREDENTIAL" fatal;
    /// The sets of voters differ.
    94 InconsistentVoterSet "INCONSISTENT_VOTER_SET" fatal;
    /// The feature level is outside of what can be chosen.
    95 InvalidUpdateVersion "INVALID_UPDATE_VERSION" fatal;
    /// The feature could not be changed.
    96 FeatureUpdateFailed "FEATURE_UPDATE_FAILED" fatal;
    /// A forwarded principal cannot be read.
    97 PrincipalDeserializationFailure "PRINCIPAL_DESERIALIZATION_FAILURE" fatal;
    /// There is no such snapshot.
    98 SnapshotNotFound "SNAPSHOT_NOT_FOUND" fatal;
    /// The position is not inside of the snapshot.
    99 PositionOutOfRange "POSITION_OUT_OF_RANGE" fatal;
    /// No topic has this id.
    100 UnknownTopicId "UNKNOWN_TOPIC_ID" retriable;
    /// A live broker has this id.
    101 DuplicateBrokerRegistration "DUPLICATE_BROKER_REGISTRATION" fatal;
    /// No broker of this id is registered.
    102 BrokerIdNotRegistered "BROKER_ID_NOT_REGISTERED" fatal;
    /// The topic id is not that of the partition's log.
    103 InconsistentTopicId "INCONSISTENT_TOPIC_ID" retriable;
    /// The request is meant for another cluster.
    104 InconsistentClusterId "INCONSISTENT_CLUSTER_ID" fatal;
    /// There is no such transactional id.
    105 TransactionalIdNotFound "TRANSACTIONAL_ID_NOT_FOUND" fatal;
    /// Topic ids were used for a part of the fetch session only.
    106 FetchSessionTopicIdError "FETCH_SESSION_TOPIC_ID_ERROR" retriable;
    /// A proposed member of the ISR may not be in it.
    107 IneligibleReplica "INELIGIBLE_REPLICA" fatal;
    /// The partition changed, and its leader with it.
    108 NewLeaderElected "NEW_LEADER_ELECTED" fatal;
    /// The offset is in tiered storage only.
    109 OffsetMovedToTieredStorage "OFFSET_MOVED_TO_TIERED_STORAGE" fatal;
    /// The member epoch is not the one the coordinator knows; the member has to give up everything and join again.
    110 FencedMemberEpoch "FENCED_MEMBER_EPOCH" fatal;
    /// A member that has not left uses the same `group.instance.id`.
    111 UnreleasedInstanceId "UNRELEASED_INSTANCE_ID" fatal;
    /// The group supports no such assignor.
    112 UnsupportedAssignor "UNSUPPORTED_ASSIGNOR" fatal;
    /// The member epoch is behind the coordinator's.
    113 StaleMemberEpoch "STALE_MEMBER_EPOCH" fatal;
    /// The endpoint is of another type than the request expects.
    114 MismatchedEndpointType "MISMATCHED_ENDPOINT_TYPE" fatal;
    /// The endpoint type is not known.
    115 UnsupportedEndpointType "UNSUPPORTED_ENDPOINT_TYPE" fatal;
    /// There is no such controller.
    116 UnknownControllerId "UNKNOWN_CONTROLLER_ID" fatal;
    /// The telemetry subscription is unknown or outdated.
    117 UnknownSubscriptionId "UNKNOWN_SUBSCRIPTION_ID" fatal;
    /// The telemetry exceeds `telemetry.max.bytes`.
    118 TelemetryTooLarge "TELEMETRY_TOO_LARGE" fatal;
    /// The controller refuses the registration.
    119 InvalidRegistration "INVALID_REGISTRATION" fatal;
    /// The transaction failed in a way that aborting it cures.
    120 TransactionAbortable "TRANSACTION_ABORTABLE" fatal;
    /// The record is in no state that allows the acknowledgement.
    121 InvalidRecordState "INVALID_RECORD_STATE" fatal;
    /// There is no such share session.
    122 ShareSessionNotFound "SHARE_SESSION_NOT_FOUND" retriable;
    /// The share session epoch is not the next one.
    123 InvalidShareSessionEpoch "INVALID_SHARE_SESSION_EPOCH" retriable;
    /// The state epoch is not the coordinator's.
    124 FencedStateEpoch "FENCED_STATE_EPOCH" fatal;
    /// The voter key is not that of the receiving replica.
    125 InvalidVoterKey "INVALID_VOTER_KEY" fatal;
    /// The voter is in the set already.
    126 DuplicateVoter "DUPLICATE_VOTER" fatal;
    /// The voter is not in the set.
    127 VoterNotFound "VOTER_NOT_FOUND" fatal;
    /// The regular expression does not parse.
    128 InvalidRegularExpression "INVALID_REGULAR_EXPRESSION" fatal;
    /// The client's metadata is too old; it has to start from its bootstrap servers.
    129 RebootstrapRequired "REBOOTSTRAP_REQUIRED" fatal;
    /// The topology is contradictory.
    130 StreamsInvalidTopology "STREAMS_INVALID_TOPOLOGY" fatal;
    /// The topology epoch is illegal.
    131 StreamsInvalidTopologyEpoch "STREAMS_INVALID_TOPOLOGY_EPOCH" fatal;
    /// The topology epoch is behind the group's.
    132 StreamsTopologyFenced "STREAMS_TOPOLOGY_FENCED" fatal;
    /// There are as many share sessions as the broker allows.
    133 ShareSessionLimitReached "SHARE_SESSION_LIMIT_REACHED" retriable;
    /// The group could not be deleted; its message says why.
    134 GroupDeletionFailed "GROUP_DELETION_FAILED" fatal;
    /// The topology description could not be stored; the message says why.
    135 StreamsTopologyDescriptionUpdateFailed "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED" fatal;
    /// No controller of this id is registered.
    136 ControllerIdNotRegistered "CONTROLLER_ID_NOT_REGISTERED" fatal;
}
