//! DeleteGroups (42), versions 0-3: deleting groups without members, with their offsets.
//!
//! A group that is named twice is answered once, as in Kafka.

use std::collections::BTreeSet;

use bytestring::ByteString;
use goatq_protocol::message::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};

use super::RequestContext;
use super::group_error::code;

pub(crate) async fn handle(cx: &RequestContext, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut seen = BTreeSet::new();
    let groups: Vec<ByteString> = request.groups_names.into_iter().filter(|group| seen.insert(group.clone())).collect();
    let outcomes = cx.node.groups.delete_groups(groups.clone()).await;
    let results = groups.into_iter().zip(outcomes).map(|(group_id, outcome)| DeletableGroupResult {
        group_id,
        error_code: code(outcome),
        ..DeletableGroupResult::default()
    });
    DeleteGroupsResponse { results: results.collect(), ..DeleteGroupsResponse::default() }
}
