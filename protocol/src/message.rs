//! The messages of the protocol, one file per API.
//!
//! A struct with its attributes *is* the schema: field names are Kafka's in snake case, the order is that of the wire, and
//! the attributes say which versions have the field (see `goatq_protocol_derive`). A handler fills in one current struct
//! for all versions; what a version lacks is left out on the wire and read as its default. Structs within messages have
//! Kafka's names and are found in the module of their API.

pub mod internal;

use bytes::Bytes;

use crate::ApiKey;
use crate::wire::{DecodeError, EncodeError, Field, Message, Request, VersionRange, Versioned};

/// An API whose messages this crate knows, for tools and tests that treat all of them alike.
#[derive(Debug, Clone, Copy)]
pub struct Codec {
    /// The API.
    pub key: ApiKey,
    /// The versions that can be read and written.
    pub versions: VersionRange,
    /// The first flexible version.
    pub flexible_from: Option<i16>,
    /// The fields of the request.
    pub request: &'static [Field],
    /// The fields of the response.
    pub response: &'static [Field],
    /// Decodes a request body and encodes it again.
    pub recode_request: fn(Bytes, i16) -> Result<Result<Bytes, EncodeError>, DecodeError>,
    /// Decodes a response body and encodes it again.
    pub recode_response: fn(Bytes, i16) -> Result<Result<Bytes, EncodeError>, DecodeError>,
}

impl Codec {
    const fn of<R: Request>() -> Self {
        Self {
            key: R::KEY,
            versions: R::VERSIONS,
            flexible_from: R::FLEXIBLE_FROM,
            request: R::FIELDS,
            response: <R::Response as Message>::FIELDS,
            recode_request: recode::<R>,
            recode_response: recode::<R::Response>,
        }
    }

    /// The codec of an API, if its messages are known.
    pub fn find(key: ApiKey) -> Option<&'static Self> {
        CODECS.binary_search_by_key(&key, |codec| codec.key).ok().and_then(|index| CODECS.get(index))
    }
}

fn recode<M: Versioned>(body: Bytes, version: i16) -> Result<Result<Bytes, EncodeError>, DecodeError> {
    M::from_bytes(body, version).map(|message| message.to_bytes(version))
}

macro_rules! apis {
    ($($module:ident $request:ident $response:ident;)*) => {
        $(
            pub mod $module;
            pub use $module::{$request, $response};
        )*

        /// All known APIs in order of their keys.
        pub const CODECS: &[Codec] = &[$(Codec::of::<$request>(),)*];
    };
}

apis! {
    produce ProduceRequest ProduceResponse;
    fetch FetchRequest FetchResponse;
    list_offsets ListOffsetsRequest ListOffsetsResponse;
    metadata MetadataRequest MetadataResponse;
    offset_commit OffsetCommitRequest OffsetCommitResponse;
    offset_fetch OffsetFetchRequest OffsetFetchResponse;
    find_coordinator FindCoordinatorRequest FindCoordinatorResponse;
    join_group JoinGroupRequest JoinGroupResponse;
    heartbeat HeartbeatRequest HeartbeatResponse;
    leave_group LeaveGroupRequest LeaveGroupResponse;
    sync_group SyncGroupRequest SyncGroupResponse;
    describe_groups DescribeGroupsRequest DescribeGroupsResponse;
    list_groups ListGroupsRequest ListGroupsResponse;
    api_versions ApiVersionsRequest ApiVersionsResponse;
    create_topics CreateTopicsRequest CreateTopicsResponse;
    delete_topics DeleteTopicsRequest DeleteTopicsResponse;
    delete_records DeleteRecordsRequest DeleteRecordsResponse;
    init_producer_id InitProducerIdRequest InitProducerIdResponse;
    offset_for_leader_epoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse;
    describe_configs DescribeConfigsRequest DescribeConfigsResponse;
    alter_configs AlterConfigsRequest AlterConfigsResponse;
    alter_replica_log_dirs AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse;
    describe_log_dirs DescribeLogDirsRequest DescribeLogDirsResponse;
    create_partitions CreatePartitionsRequest CreatePartitionsResponse;
    delete_groups DeleteGroupsRequest DeleteGroupsResponse;
    elect_leaders ElectLeadersRequest ElectLeadersResponse;
    incremental_alter_configs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse;
    alter_partition_reassignments AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse;
    list_partition_reassignments ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse;
    offset_delete OffsetDeleteRequest OffsetDeleteResponse;
    describe_quorum DescribeQuorumRequest DescribeQuorumResponse;
    update_features UpdateFeaturesRequest UpdateFeaturesResponse;
    describe_cluster DescribeClusterRequest DescribeClusterResponse;
    describe_producers DescribeProducersRequest DescribeProducersResponse;
    unregister_broker UnregisterBrokerRequest UnregisterBrokerResponse;
    list_config_resources ListConfigResourcesRequest ListConfigResourcesResponse;
    describe_topic_partitions DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse;
    add_raft_voter AddRaftVoterRequest AddRaftVoterResponse;
    remove_raft_voter RemoveRaftVoterRequest RemoveRaftVoterResponse;
    unregister_controller UnregisterControllerRequest UnregisterControllerResponse;
}
