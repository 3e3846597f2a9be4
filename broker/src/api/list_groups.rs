//! ListGroups (16), versions 0-5: the groups that this broker coordinates.
//!
//! Version 4 filters by state (KIP-518), 5 by type (KIP-848).

use goatq_protocol::message::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use super::RequestContext;
use super::group_error::error_code;
use crate::coordinator::group::CLASSIC;
use crate::coordinator::group::request::ListFilter;

pub(crate) async fn handle(cx: &RequestContext, request: ListGroupsRequest) -> ListGroupsResponse {
    let filter = ListFilter { states: request.states_filter, types: request.types_filter };
    match cx.node.groups.list(filter).await {
        Ok(listed) => {
            let groups = listed.into_iter().map(|one| ListedGroup {
                group_id: one.group,
                protocol_type: one.protocol_type,
                group_state: one.state.name().into(),
                group_type: CLASSIC.into(),
            });
            ListGroupsResponse { groups: groups.collect(), ..ListGroupsResponse::default() }
        }
        Err(error) => ListGroupsResponse { error_code: error_code(error).code(), ..ListGroupsResponse::default() },
    }
}
