//! Every version of every message: bytes survive decoding and encoding, with our codec and with the `kafka-protocol` crate.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use goatq_protocol::ApiKey;
use goatq_protocol::message::internal::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, EndTxnMarker, GroupMetadataKey, GroupMetadataValue,
    LeaderChangeMessage, OffsetCommitKey, OffsetCommitValue, decode_lenient, decode_versioned, encode_versioned,
};
use goatq_protocol::wire::{DecodeError, Versioned};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message};

use crate::sample::{Half, Sample, for_each, recode};

const SEEDS: u64 = 12;

/// Decodes and encodes with the other implementation; `None` when it lacks the version.
fn oracle(key: ApiKey, half: Half, version: i16, bytes: &[u8]) -> Option<Vec<u8>> {
    macro_rules! table {
        ($($key:ident $request:ident $response:ident;)*) => {
            match (key, half) {
                $(
                    (ApiKey::$key, Half::Request) => through::<theirs::$request>(version, bytes),
                    (ApiKey::$key, Half::Response) => through::<theirs::$response>(version, bytes),
                )*
                // It came with Kafka 4.4.
                (ApiKey::UnregisterController, _) => None,
                _ => panic!("{key} is missing in this table"),
            }
        };
    }
    table! {
        Produce ProduceRequest ProduceResponse;
        Fetch FetchRequest FetchResponse;
        ListOffsets ListOffsetsRequest ListOffsetsResponse;
        Metadata MetadataRequest MetadataResponse;
        OffsetCommit OffsetCommitRequest OffsetCommitResponse;
        OffsetFetch OffsetFetchRequest OffsetFetchResponse;
        FindCoordinator FindCoordinatorRequest FindCoordinatorResponse;
        JoinGroup JoinGroupRequest JoinGroupResponse;
        Heartbeat HeartbeatRequest HeartbeatResponse;
        LeaveGroup LeaveGroupRequest LeaveGroupResponse;
        SyncGroup SyncGroupRequest SyncGroupResponse;
        DescribeGroups DescribeGroupsRequest DescribeGroupsResponse;
        ListGroups ListGroupsRequest ListGroupsResponse;
        ApiVersions ApiVersionsRequest ApiVersionsResponse;
        CreateTopics CreateTopicsRequest CreateTopicsResponse;
        DeleteTopics DeleteTopicsRequest DeleteTopicsResponse;
        DeleteRecords DeleteRecordsRequest DeleteRecordsResponse;
        InitProducerId InitProducerIdRequest InitProducerIdResponse;
        OffsetForLeaderEpoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse;
        DescribeConfigs DescribeConfigsRequest DescribeConfigsResponse;
        AlterConfigs AlterConfigsRequest AlterConfigsResponse;
        AlterReplicaLogDirs AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse;
        DescribeLogDirs DescribeLogDirsRequest DescribeLogDirsResponse;
        CreatePartitions CreatePartitionsRequest CreatePartitionsResponse;
        DeleteGroups DeleteGroupsRequest DeleteGroupsResponse;
        ElectLeaders ElectLeadersRequest ElectLeadersResponse;
        IncrementalAlterConfigs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse;
        AlterPartitionReassignments AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse;
        ListPartitionReassignments ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse;
        OffsetDelete OffsetDeleteRequest OffsetDeleteResponse;
        DescribeQuorum DescribeQuorumRequest DescribeQuorumResponse;
        UpdateFeatures UpdateFeaturesRequest UpdateFeaturesResponse;
        DescribeCluster DescribeClusterRequest DescribeClusterResponse;
        DescribeProducers DescribeProducersRequest DescribeProducersResponse;
        UnregisterBroker UnregisterBrokerRequest UnregisterBrokerResponse;
        ListConfigResources ListConfigResourcesRequest ListConfigResourcesResponse;
        DescribeTopicPartitions DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse;
        AddRaftVoter AddRaftVoterRequest AddRaftVoterResponse;
        RemoveRaftVoter RemoveRaftVoterRequest RemoveRaftVoterResponse;
    }
}

fn through<M: Message + Encodable + Decodable>(version: i16, bytes: &[u8]) -> Option<Vec<u8>> {
    if version < M::VERSIONS.min || version > M::VERSIONS.max {
        return None;
    }
    let mut input = Bytes::copy_from_slice(bytes);
    let message = M::decode(&mut input, version).expect("the oracle decodes the sample");
    assert!(input.is_empty(), "the oracle left {} bytes", input.len());
    let mut output = BytesMut::new();
    message.encode(&mut output, version).expect("the oracle encodes the sample");
    Some(output.to_vec())
}

#[test]
fn every_version_survives_decoding_and_encoding() {
    for seed in 0..SEEDS {
        for_each(seed, |codec, half, version, sample| {
            assert_eq!(recode(codec, half, version, &sample.bytes), sample.bytes, "{} {half:?} {version}", codec.key);
        });
    }
}

#[test]
fn every_version_is_what_the_other_implementation_takes_it_for() {
    let mut beyond = BTreeSet::new();
    for seed in 0..SEEDS {
        for_each(seed, |codec, half, version, sample| match oracle(codec.key, half, version, &sample.bytes) {
            Some(bytes) => assert_eq!(bytes, sample.bytes, "{} {half:?} {version}", codec.key),
            None => {
                beyond.insert((codec.key.name(), version));
            }
        });
    }
    // The crate knows Kafka 4.1. Kafka's own classes checked the rest: testdata/kafka-4.4.
    let expected = [
        ("AddRaftVoter", 1),
        ("ApiVersions", 5),
        ("DeleteGroups", 3),
        ("DescribeLogDirs", 5),
        ("InitProducerId", 6),
        ("ListOffsets", 11),
        ("OffsetCommit", 10),
        ("OffsetFetch", 10),
        ("UnregisterController", 0),
    ];
    assert_eq!(beyond.into_iter().collect::<Vec<_>>(), expected);
}

fn internal<M: Versioned>() {
    for version in M::VERSIONS.iter() {
        for seed in 0..SEEDS {
            let sample = Sample::of_fields(M::FIELDS, M::is_flexible(version), version, seed);
            let mut bytes = version.to_be_bytes().to_vec();
            bytes.extend(sample.bytes);
            let (found, message) = decode_versioned::<M>(bytes.clone().into()).expect("a valid sample");
            assert_eq!(found, version);
            assert_eq!(encode_versioned(&message, version).expect("encodes"), bytes);
        }
    }
}

#[test]
fn values_of_internal_topics_survive_decoding_and_encoding() {
    internal::<OffsetCommitKey>();
    internal::<OffsetCommitValue>();
    internal::<GroupMetadataKey>();
    internal::<GroupMetadataValue>();
    internal::<ConsumerProtocolSubscription>();
    internal::<ConsumerProtocolAssignment>();
    internal::<EndTxnMarker>();
    internal::<LeaderChangeMessage>();
}

#[test]
fn a_subscription_of_the_future_is_read_as_the_newest_known() {
    let known = ConsumerProtocolSubscription { topics: vec!["a".into()], generation_id: 7, ..Default::default() };
    let newest = ConsumerProtocolSubscription::VERSIONS.max;
    let mut bytes = (newest + 5).to_be_bytes().to_vec();
    bytes.extend(known.to_bytes(newest).expect("encodes"));
    bytes.extend(b"fields of the future");
    let bytes = Bytes::from(bytes);
    assert_eq!(decode_lenient(bytes.clone()), Ok((newest + 5, known)));
    let strict = decode_versioned::<ConsumerProtocolSubscription>(bytes);
    assert_eq!(strict, Err(DecodeError::UnsupportedVersion(newest + 5)));
}
