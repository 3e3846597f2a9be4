//! Records of `__consumer_offsets`, in Kafka's formats: group metadata (key version 2) and committed offsets (key
//! versions 0 and 1). Kinds of other protocols (KIP-848, share and streams groups) are skipped.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use goatq_protocol::Uuid;
use goatq_protocol::message::internal::{
    GroupMetadataKey, GroupMetadataValue, MemberMetadata, OffsetCommitKey, OffsetCommitValue, decode_versioned,
    encode_versioned, split_version,
};
use goatq_protocol::wire::{DecodeError, EncodeError, Versioned};

use super::member::{Member, own, own_bytes};
use super::state::Group;
use crate::coordinator::runtime::machine::{EncodedRecord, RecordError};

/// Version of the key of an offset that is written.
const OFFSET_KEY: i16 = 1;
/// Version of an offset's value; one with a time to expire at has to be [`EXPIRING_OFFSET_VALUE`].
const OFFSET_VALUE: i16 = 4;
const EXPIRING_OFFSET_VALUE: i16 = 1;
/// Version of the key of a group.
const GROUP_KEY: i16 = 2;
/// Version of a group's value.
const GROUP_VALUE: i16 = 3;

/// A member as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredMember {
    pub(crate) id: ByteString,
    pub(crate) instance: Option<ByteString>,
    pub(crate) client_id: ByteString,
    pub(crate) client_host: ByteString,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// What it said about itself under the group's protocol.
    pub(crate) subscription: Bytes,
    pub(crate) assignment: Bytes,
}

/// A generation of a group as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredGroup {
    pub(crate) protocol_type: Option<ByteString>,
    pub(crate) generation: i32,
    pub(crate) protocol: Option<ByteString>,
    pub(crate) leader: Option<ByteString>,
    /// When the group came into the state it was stored in, in wall time.
    pub(crate) since_ms: Option<i64>,
    pub(crate) members: Vec<StoredMember>,
}

/// A committed offset as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredOffset {
    pub(crate) offset: i64,
    /// -1 if unknown.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: ByteString,
    pub(crate) commit_ms: i64,
    /// When it goes whatever the group does, if the client asked for that.
    pub(crate) expire_ms: Option<i64>,
    /// All zeros if unknown.
    pub(crate) topic_id: Uuid,
}

/// A record of the group coordinator. No value is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GroupRecord {
    Group { group: ByteString, value: Option<Arc<StoredGroup>> },
    Offset { group: ByteString, topic: ByteString, partition: i32, value: Option<StoredOffset> },
}

impl GroupRecord {
    /// The record of a group's present generation.
    pub(super) fn group(group: &Group, assignment: impl Fn(&Member) -> Bytes) -> Self {
        Self::Group { group: group.id.clone(), value: Some(Arc::new(group.to_stored(assignment))) }
    }

    /// The record of a group that nobody has joined yet.
    pub(super) fn new_group(group: &Group) -> Self {
        let value = StoredGroup {
            protocol_type: None,
            generation: 0,
            protocol: None,
            leader: None,
            since_ms: group.since_ms,
            members: Vec::new(),
        };
        Self::Group { group: group.id.clone(), value: Some(Arc::new(value)) }
    }

    /// The end of a group.
    pub(super) fn no_group(group: &ByteString) -> Self {
        Self::Group { group: group.clone(), value: None }
    }

    /// The end of an offset.
    pub(super) fn no_offset(group: &ByteString, topic: &ByteString, partition: i32) -> Self {
        Self::Offset { group: group.clone(), topic: topic.clone(), partition, value: None }
    }

    /// The log's form.
    pub(super) fn encode(&self) -> Result<EncodedRecord, RecordError> {
        match self {
            Self::Group { group, value } => {
                let key = write("group key", &GroupMetadataKey { group: group.clone() }, GROUP_KEY)?;
                let value =
                    value.as_ref().map(|stored| write("group", &stored.to_message(), GROUP_VALUE)).transpose()?;
                Ok(EncodedRecord { key, value })
            }
            Self::Offset { group, topic, partition, value } => {
                let key = OffsetCommitKey { group: group.clone(), topic: topic.clone(), partition: *partition };
                let key = write("offset key", &key, OFFSET_KEY)?;
                let value = value.as_ref().map(StoredOffset::encode).transpose()?;
                Ok(EncodedRecord { key, value })
            }
        }
    }

    /// The typed form of a record of the log, copied out of it; `None` for a kind that is not known.
    pub(super) fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Self>, RecordError> {
        let (version, body) = split_version(key.clone()).map_err(unreadable("key"))?;
        match version {
            0 | OFFSET_KEY => {
                let key = OffsetCommitKey::from_bytes(body, version).map_err(unreadable("offset key"))?;
                let value = value.map(read_offset).transpose()?;
                let (group, topic) = (own(&key.group), own(&key.topic));
                Ok(Some(Self::Offset { group, topic, partition: key.partition, value }))
            }
            GROUP_KEY => {
                let key = GroupMetadataKey::from_bytes(body, version).map_err(unreadable("group key"))?;
                let value = value.map(read_group).transpose()?.map(Arc::new);
                Ok(Some(Self::Group { group: own(&key.group), value }))
            }
            _ => Ok(None),
        }
    }
}

impl StoredOffset {
    fn encode(&self) -> Result<Bytes, RecordError> {
        let version = if self.expire_ms.is_some() { EXPIRING_OFFSET_VALUE } else { OFFSET_VALUE };
        let message = OffsetCommitValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: self.metadata.clone(),
            commit_timestamp: self.commit_ms,
            expire_timestamp: self.expire_ms.unwrap_or(-1),
            topic_id: self.topic_id,
        };
        write("offset", &message, version)
    }
}

fn read_offset(bytes: &Bytes) -> Result<StoredOffset, RecordError> {
    let (_, value): (_, OffsetCommitValue) = decode_versioned(bytes.clone()).map_err(unreadable("offset"))?;
    Ok(StoredOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: own(&value.metadata),
        commit_ms: value.commit_timestamp,
        expire_ms: (value.expire_timestamp >= 0).then_some(value.expire_timestamp),
        topic_id: value.topic_id,
    })
}

impl StoredGroup {
    fn to_message(&self) -> GroupMetadataValue {
        let members = self.members.iter().map(|member| MemberMetadata {
            member_id: member.id.clone(),
            group_instance_id: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.subscription.clone(),
            assignment: member.assignment.clone(),
        });
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.since_ms.unwrap_or(-1),
            members: members.collect(),
        }
    }
}

fn read_group(bytes: &Bytes) -> Result<StoredGroup, RecordError> {
    let (_, value): (_, GroupMetadataValue) = decode_versioned(bytes.clone()).map_err(unreadable("group"))?;
    let members = value.members.iter().map(|member| StoredMember {
        id: own(&member.member_id),
        instance: member.group_instance_id.as_ref().map(own),
        client_id: own(&member.client_id),
        client_host: own(&member.client_host),
        // The oldest version has one timeout for both.
        rebalance_timeout_ms: match member.rebalance_timeout {
            -1 => member.session_timeout,
            timeout => timeout,
        },
        session_timeout_ms: member.session_timeout,
        subscription: own_bytes(&member.subscription),
        assignment: own_bytes(&member.assignment),
    });
    Ok(StoredGroup {
        protocol_type: Some(own(&value.protocol_type)).filter(|kind| !kind.is_empty()),
        generation: value.generation,
        protocol: value.protocol.as_ref().map(own),
        leader: value.leader.as_ref().map(own),
        since_ms: (value.current_state_timestamp >= 0).then_some(value.current_state_timestamp),
        members: members.collect(),
    })
}

fn write<M: Versioned>(what: &'static str, message: &M, version: i16) -> Result<Bytes, RecordError> {
    encode_versioned(message, version).map_err(|error: EncodeError| RecordError { what, why: error.to_string() })
}

fn unreadable(what: &'static str) -> impl Fn(DecodeError) -> RecordError {
    move |error| RecordError { what, why: error.to_string() }
}
