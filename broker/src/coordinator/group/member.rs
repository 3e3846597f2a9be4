//! A member of a classic group.

use bytes::Bytes;
use bytestring::ByteString;

use super::request::{DescribedMember, JoinRequest, JoinedMember, Protocol};
use crate::coordinator::runtime::machine::CallId;

/// A copy that does not keep the frame alive that the text was read from.
pub(super) fn own(text: &ByteString) -> ByteString {
    ByteString::from(text.to_string())
}

/// As [`own`], for bytes.
pub(super) fn own_bytes(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// A member with all that is known about it, stored or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: ByteString,
    pub(super) instance: Option<ByteString>,
    pub(super) client_id: ByteString,
    pub(super) client_host: ByteString,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// In order of preference.
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// The JoinGroup that waits for the others.
    pub(super) joining: Option<CallId>,
    /// The SyncGroup that waits for the leader.
    pub(super) syncing: Option<CallId>,
    /// Never part of a generation: it cannot send heartbeats, so waiting does not keep it alive.
    pub(super) is_new: bool,
}

impl Member {
    /// A member on its first join. Its call is not attached yet.
    pub(super) fn joining(id: &ByteString, request: &JoinRequest) -> Self {
        Self {
            id: own(id),
            instance: request.instance.as_ref().map(own),
            client_id: own(&request.client_id),
            client_host: own(&request.client_host),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: own_protocols(&request.protocols),
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
            is_new: true,
        }
    }

    /// What the member said about itself under a protocol; empty if it does not support it.
    pub(super) fn metadata(&self, protocol: Option<&ByteString>) -> Bytes {
        let offered = protocol.and_then(|name| self.protocols.iter().find(|offer| offer.name == *name));
        offered.map(|offer| offer.metadata.clone()).unwrap_or_default()
    }

    /// Whether it joins with exactly the protocols it has.
    pub(super) fn offers(&self, protocols: &[Protocol]) -> bool {
        self.protocols == protocols
    }

    /// Whether a session timeout is to be ignored because the member waits for the group, not the group for it.
    pub(super) fn is_kept_alive(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    /// How the leader sees it.
    pub(super) fn as_joined(&self, protocol: Option<&ByteString>) -> JoinedMember {
        JoinedMember { member: self.id.clone(), instance: self.instance.clone(), metadata: self.metadata(protocol) }
    }

    /// How DescribeGroups shows it, with its metadata under `protocol` if that is given.
    pub(super) fn as_described(&self, protocol: Option<&ByteString>) -> DescribedMember {
        DescribedMember {
            member: self.id.clone(),
            instance: self.instance.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            metadata: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }
}

/// Protocols that do not keep the frame alive that they were read from.
pub(super) fn own_protocols(protocols: &[Protocol]) -> Vec<Protocol> {
    protocols.iter().map(|offer| Protocol { name: own(&offer.name), metadata: own_bytes(&offer.metadata) }).collect()
}
