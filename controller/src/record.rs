//! Metadata records: the only way in which metadata changes.
//!
//! Each is a struct in the protocol's own codec, so it has versions and tagged fields and can evolve. In the log a record is
//! framed by its type, its version and its length; an entry of the log carries a list of them. A type or version that is not known
//! is an error: metadata that cannot be understood must not be skipped.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use goatq_protocol::wire::{DecodeError, EncodeError, Versioned};

pub mod broker;
pub mod cluster;
pub mod config;
pub mod topic;

pub use broker::{BrokerChangeRecord, EndpointPart, FeaturePart, RegisterBrokerRecord, UnregisterBrokerRecord};
pub use cluster::{BrokerEpochRecord, ClusterRecord, FeatureLevelRecord, ProducerIdsRecord};
pub use config::ConfigRecord;
pub use topic::{NO_LEADER_CHANGE, PartitionChangeRecord, PartitionRecord, RemoveTopicRecord, TopicRecord};

/// Bytes before the body of a record: type (u16), version (i16), length of the body (u32), big-endian.
const FRAME: usize = 8;

/// Why bytes are not metadata records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end within a record.
    #[error("the bytes end within a metadata record")]
    Truncated,
    /// A type this build does not know.
    #[error("metadata record type {0} is not known: written by a newer release?")]
    UnknownType(u16),
    /// The body is not a record of its type and version.
    #[error("metadata record of type {kind} version {version}: {source}")]
    Body {
        /// Its type.
        kind: u16,
        /// Its version.
        version: i16,
        /// What is wrong with it.
        source: DecodeError,
    },
}

macro_rules! metadata_records {
    ($($(#[$doc:meta])* $id:literal v $version:literal => $variant:ident($body:ty)),+ $(,)?) => {
        /// One change of metadata.
        #[derive(Debug, Clone, PartialEq)]
        pub enum MetadataRecord {
            $($(#[$doc])* $variant($body)),+
        }

        impl MetadataRecord {
            /// The number of its type in the log.
            pub fn kind(&self) -> u16 {
                match self { $(MetadataRecord::$variant(_) => $id),+ }
            }

            /// Appends the record with its frame.
            ///
            /// # Errors
            /// When a value does not fit the codec: a string over 32 KiB.
            pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
                match self { $(MetadataRecord::$variant(body) => put(out, $id, $version, body)),+ }
            }

            fn decode_body(kind: u16, version: i16, body: Bytes) -> Result<MetadataRecord, RecordError> {
                match kind {
                    $($id => <$body>::from_bytes(body, version)
                        .map(MetadataRecord::$variant)
                        .map_err(|source| RecordError::Body { kind, version, source }),)+
                    _ => Err(RecordError::UnknownType(kind)),
                }
            }
        }

        $(impl From<$body> for MetadataRecord {
            fn from(body: $body) -> Self {
                MetadataRecord::$variant(body)
            }
        })+
    };
}

metadata_records! {
    /// Names the cluster.
    1 v 0 => Cluster(ClusterRecord),
    /// Finalizes a feature level.
    2 v 0 => FeatureLevel(FeatureLevelRecord),
    /// Registers a broker, or registers it anew.
    3 v 0 => RegisterBroker(RegisterBrokerRecord),
    /// Fences a broker, lets it serve, or changes what it said of itself.
    4 v 0 => BrokerChange(BrokerChangeRecord),
    /// Forgets a broker.
    5 v 0 => UnregisterBroker(UnregisterBrokerRecord),
    /// Creates a topic, without partitions.
    6 v 0 => Topic(TopicRecord),
    /// Adds a partition to a topic.
    7 v 0 => Partition(PartitionRecord),
    /// Changes a partition.
    8 v 0 => PartitionChange(PartitionChangeRecord),
    /// Deletes a topic with its partitions and its configuration.
    9 v 0 => RemoveTopic(RemoveTopicRecord),
    /// Sets or removes one configuration value.
    10 v 0 => Config(ConfigRecord),
    /// Hands out producer ids.
    11 v 0 => ProducerIds(ProducerIdsRecord),
    /// Says which broker epoch comes next; in snapshots only.
    12 v 0 => BrokerEpoch(BrokerEpochRecord),
}

impl MetadataRecord {
    /// Takes one framed record off the front.
    ///
    /// # Errors
    /// When the bytes are no record that this build knows.
    pub fn decode(bytes: &mut Bytes) -> Result<MetadataRecord, RecordError> {
        if bytes.len() < FRAME {
            return Err(RecordError::Truncated);
        }
        let (kind, version, length) = (bytes.get_u16(), bytes.get_i16(), bytes.get_u32());
        let length = usize::try_from(length).map_err(|_| RecordError::Truncated)?;
        if length > bytes.len() {
            return Err(RecordError::Truncated);
        }
        MetadataRecord::decode_body(kind, version, bytes.split_to(length))
    }

    /// All records that the bytes hold. Memory follows the length of the bytes: a record takes at least its frame.
    ///
    /// # Errors
    /// When some of the bytes are no record that this build knows.
    pub fn decode_all(mut bytes: Bytes) -> Result<Vec<MetadataRecord>, RecordError> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            records.push(MetadataRecord::decode(&mut bytes)?);
        }
        Ok(records)
    }
}

fn put<M: Versioned>(out: &mut BytesMut, kind: u16, version: i16, body: &M) -> Result<(), EncodeError> {
    let body = body.to_bytes(version)?;
    let length = u32::try_from(body.len()).map_err(|_| EncodeError::TooLong(body.len()))?;
    out.reserve(FRAME + body.len());
    out.put_u16(kind);
    out.put_i16(version);
    out.put_u32(length);
    out.put_slice(&body);
    Ok(())
}

#[cfg(test)]
mod tests;
