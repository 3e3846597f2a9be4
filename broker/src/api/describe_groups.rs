//! DescribeGroups (15), versions 0-6: state and members of classic groups.
//!
//! A group that does not exist is "Dead"; from version 6 on that is an error (KIP-1043).

use bytestring::ByteString;
use futures_util::future::join_all;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

use super::group_error::error_code;
use super::{RequestContext, authorized};
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::request;
use crate::coordinator::group::state::GroupState;

pub(crate) async fn handle(cx: &RequestContext, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let described = request.groups.into_iter().map(async |group| {
        let mut described = match cx.node.groups.describe(&group).await {
            Ok(found) => describe(group, found),
            Err(GroupError::GroupNotFound) => missing(group, cx.api_version),
            Err(error) => {
                DescribedGroup { group_id: group, error_code: error_code(error).code(), ..DescribedGroup::default() }
            }
        };
        let told = request.include_authorized_operations && described.error_code == 0;
        described.authorized_operations = authorized::on_group(told);
        described
    });
    DescribeGroupsResponse { groups: join_all(described).await, ..DescribeGroupsResponse::default() }
}

fn describe(group_id: ByteString, found: request::DescribedGroup) -> DescribedGroup {
    let members = found.members.into_iter().map(|member| DescribedGroupMember {
        member_id: member.member,
        group_instance_id: member.instance,
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    });
    DescribedGroup {
        group_id,
        group_state: found.state.name().into(),
        protocol_type: found.protocol_type,
        protocol_data: found.protocol,
        members: members.collect(),
        ..DescribedGroup::default()
    }
}

fn missing(group_id: ByteString, version: i16) -> DescribedGroup {
    let error = if version >= 6 { ErrorCode::GroupIdNotFound } else { ErrorCode::None };
    let error_message = (version >= 6).then(|| format!("Group {group_id} not found.").into());
    let group_state = GroupState::Dead.name().into();
    DescribedGroup { group_id, group_state, error_code: error.code(), error_message, ..DescribedGroup::default() }
}
