//! JoinGroup (11), versions 0-9: becoming a member of a classic group.
//!
//! Version 4 makes new members join twice (KIP-394), 5 brings static members (KIP-345), 9 `skip_assignment` (KIP-814).
//! Kafka answers a join that a newer one of the same member replaces never; here it gets REBALANCE_IN_PROGRESS.

use std::collections::BTreeSet;

use bytestring::ByteString;
use goatq_protocol::message::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
};

use super::RequestContext;
use super::group_error::error_code;
use crate::coordinator::group::request::{JoinRequest, Protocol};

pub(crate) async fn handle(cx: &RequestContext, request: JoinGroupRequest) -> JoinGroupResponse {
    let version = cx.api_version;
    let reason = request.reason.as_deref().unwrap_or_default();
    tracing::debug!(group = %request.group_id, member = %request.member_id, reason, "a member joins");
    // Version 0 knows one timeout for both.
    let rebalance_timeout_ms = if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    let joined = cx.node.groups.join(JoinRequest {
        group: request.group_id,
        member: request.member_id,
        instance: request.group_instance_id,
        client_id: cx.client_id.clone().unwrap_or_default(),
        client_host: client_host(cx),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: request.protocol_type,
        protocols: distinct(request.protocols),
        new_member: ByteString::new(),
        two_steps: version >= 4,
        skips_assignment: version >= 9,
    });
    match joined.await {
        Ok(joined) => JoinGroupResponse {
            generation_id: joined.generation,
            protocol_type: joined.protocol_type,
            protocol_name: joined.protocol,
            leader: joined.leader,
            skip_assignment: joined.skip_assignment,
            member_id: joined.member,
            members: joined
                .members
                .into_iter()
                .map(|one| JoinGroupResponseMember {
                    member_id: one.member,
                    group_instance_id: one.instance,
                    metadata: one.metadata,
                })
                .collect(),
            ..JoinGroupResponse::default()
        },
        Err(refused) => JoinGroupResponse {
            error_code: error_code(refused.error).code(),
            member_id: refused.member,
            ..JoinGroupResponse::default()
        },
    }
}

/// The address as Java prints it, which is what tools show.
fn client_host(cx: &RequestContext) -> ByteString {
    format!("/{}", cx.connection.peer.ip()).into()
}

/// Each protocol once, at its first place.
fn distinct(protocols: Vec<JoinGroupRequestProtocol>) -> Vec<Protocol> {
    let mut seen = BTreeSet::new();
    let offers = protocols.into_iter().filter(|offer| seen.insert(offer.name.clone()));
    offers.map(|offer| Protocol { name: offer.name, metadata: offer.metadata }).collect()
}
