//! FindCoordinator (10), versions 0-6: which broker coordinates a group (or, one day, a transaction or a share group).
//!
//! Version 4 asks for many keys (KIP-699), 6 brings share groups. `__consumer_offsets` is created by the first request
//! for a group; where Kafka answers COORDINATOR_NOT_AVAILABLE meanwhile, this waits for it.

use bytestring::ByteString;
use goatq_controller::image::{Endpoint, MetadataImage};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};

use super::RequestContext;
use crate::topics::auto_create::InternalTopic;

/// Key type of groups.
const GROUP: i8 = 0;
/// Key type of transactions.
const TRANSACTION: i8 = 1;

pub(crate) async fn handle(cx: &RequestContext, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if cx.api_version >= 4 {
        let mut coordinators = Vec::new();
        for key in request.coordinator_keys {
            let found = find(cx, request.key_type, &key).await;
            coordinators.push(coordinator(key, found));
        }
        return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
    }
    let found = find(cx, request.key_type, &request.key).await;
    let error = found.as_ref().err().copied().unwrap_or(ErrorCode::None);
    let one = coordinator(request.key, found);
    FindCoordinatorResponse {
        error_code: one.error_code,
        error_message: Some(error.name().into()),
        node_id: one.node_id,
        host: one.host,
        port: one.port,
        ..FindCoordinatorResponse::default()
    }
}

async fn find(cx: &RequestContext, key_type: i8, key: &ByteString) -> Result<(i32, Endpoint), ErrorCode> {
    match key_type {
        GROUP => {}
        TRANSACTION => return Err(ErrorCode::CoordinatorNotAvailable),
        _ => return Err(ErrorCode::InvalidRequest),
    }
    let name = InternalTopic::ConsumerOffsets.name();
    if cx.node.image().topics.by_name(name).is_none()
        && cx.node.auto_create.internal(InternalTopic::ConsumerOffsets).await.is_err()
    {
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    let partition = cx.node.groups.partition_of(key);
    let leader = leader(&cx.node.image(), name, partition, &cx.connection.listener);
    leader.ok_or(ErrorCode::CoordinatorNotAvailable)
}

/// The leader of a partition and where it is reached by the listener that the client came in on.
fn leader(image: &MetadataImage, topic: &str, partition: i32, listener: &str) -> Option<(i32, Endpoint)> {
    let leader = image.topics.by_name(topic)?.partition(partition)?.leader;
    let broker = image.brokers.get(leader).filter(|broker| !broker.fenced)?;
    Some((leader, broker.endpoint(listener)?.clone()))
}

fn coordinator(key: ByteString, found: Result<(i32, Endpoint), ErrorCode>) -> Coordinator {
    let error_message = Some(ByteString::new());
    match found {
        Ok((node_id, endpoint)) => {
            Coordinator { key, node_id, host: endpoint.host, port: endpoint.port.into(), error_code: 0, error_message }
        }
        Err(error) => {
            Coordinator { key, node_id: -1, host: ByteString::new(), port: -1, error_code: error.code(), error_message }
        }
    }
}
