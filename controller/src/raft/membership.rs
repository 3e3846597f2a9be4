//! Who is in the quorum, and how that is written into entries and snapshots.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use goatq_protocol::{
    Uuid,
    wire::{DecodeError, EncodeError, Message, Versioned},
};
use serde::{Deserialize, Serialize};

use super::Membership;
use crate::{
    image::{Endpoint, SecurityProtocol},
    record::EndpointPart,
};

/// A node of the quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumNode {
    /// Id of the log directory that holds its metadata log; zero when it is not known yet.
    pub directory_id: Uuid,
    /// Where its controller listener is.
    pub endpoints: Vec<Endpoint>,
}

/// Why bytes are not a membership.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipFault {
    /// Not the message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The message says something impossible.
    #[error("{0}")]
    Invalid(String),
}

#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0", flexible = "0+")]
struct MembershipValue {
    configs: Vec<ConfigPart>,
    nodes: Vec<NodePart>,
}

#[derive(Debug, Clone, PartialEq, Message)]
struct ConfigPart {
    voters: Vec<i64>,
}

#[derive(Debug, Clone, PartialEq, Message)]
struct NodePart {
    id: i64,
    directory_id: Uuid,
    endpoints: Vec<EndpointPart>,
}

/// Writes a membership.
pub fn encode(membership: &Membership) -> Result<Bytes, EncodeError> {
    let configs = membership
        .get_joint_config()
        .iter()
        .map(|voters| ConfigPart { voters: voters.iter().map(|id| id.cast_signed()).collect() })
        .collect();
    let nodes = membership
        .nodes()
        .map(|(id, node)| NodePart {
            id: id.cast_signed(),
            directory_id: node.directory_id,
            endpoints: node.endpoints.iter().map(endpoint_part).collect(),
        })
        .collect();
    MembershipValue { configs, nodes }.to_bytes(0)
}

/// Reads what [`encode`] wrote.
pub fn decode(bytes: Bytes) -> Result<Membership, MembershipFault> {
    let value = MembershipValue::from_bytes(bytes, 0)?;
    let configs: Vec<BTreeSet<u64>> =
        value.configs.iter().map(|config| config.voters.iter().map(|id| id.cast_unsigned()).collect()).collect();
    let mut nodes = BTreeMap::new();
    for part in value.nodes {
        let endpoints = part.endpoints.into_iter().map(endpoint).collect::<Result<_, _>>()?;
        nodes.insert(part.id.cast_unsigned(), QuorumNode { directory_id: part.directory_id, endpoints });
    }
    Membership::new(configs, nodes).map_err(|error| MembershipFault::Invalid(error.to_string()))
}

fn endpoint_part(endpoint: &Endpoint) -> EndpointPart {
    EndpointPart {
        listener: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security.id(),
    }
}

fn endpoint(part: EndpointPart) -> Result<Endpoint, MembershipFault> {
    let security = SecurityProtocol::from_id(part.security_protocol).ok_or_else(|| {
        MembershipFault::Invalid(format!("security protocol {} is not known", part.security_protocol))
    })?;
    // The names are copied: they would keep the whole entry or snapshot in memory.
    Ok(Endpoint { listener: (&*part.listener).into(), host: (&*part.host).into(), port: part.port, security })
}
