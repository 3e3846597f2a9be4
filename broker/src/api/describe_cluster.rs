//! DescribeCluster (key 60, versions 0-2): id, controller and brokers (KIP-700), fenced ones on demand (KIP-1073).

use goatq_protocol::ErrorCode;
use goatq_protocol::message::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use super::metadata::controller;
use super::{RequestContext, authorized};

/// The client asks about brokers.
const BROKERS: i8 = 1;
/// The client asks about controllers (KIP-919), which only a controller's listener answers, and nothing else.
const CONTROLLERS: i8 = 2;

/// The voters, where they are reached by the listener that the request came in on.
fn controllers(cx: &RequestContext, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    let status = cx.node.controller.status();
    let voters = status.voters.iter().filter_map(|(id, voter)| {
        let at = voter.endpoints.iter().find(|endpoint| endpoint.listener == *cx.connection.listener);
        let at = at.or(voter.endpoints.first())?;
        Some(DescribeClusterBroker {
            broker_id: *id,
            host: at.host.clone(),
            port: at.port.into(),
            rack: None,
            is_fenced: false,
        })
    });
    DescribeClusterResponse {
        endpoint_type: CONTROLLERS,
        cluster_id: cx.node.image().cluster_id.clone(),
        controller_id: status.leader.unwrap_or(-1),
        brokers: voters.collect(),
        cluster_authorized_operations: authorized::on_cluster(request.include_cluster_authorized_operations),
        ..DescribeClusterResponse::default()
    }
}

pub(crate) async fn handle(cx: &RequestContext, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let refused = match request.endpoint_type {
        BROKERS if cx.on_controller() => {
            Some((ErrorCode::MismatchedEndpointType, "The request was sent to an endpoint of type CONTROLLER"))
        }
        BROKERS => None,
        CONTROLLERS if cx.on_controller() => return controllers(cx, &request),
        CONTROLLERS => Some((ErrorCode::MismatchedEndpointType, "The request was sent to an endpoint of type BROKER")),
        _ => Some((ErrorCode::UnsupportedEndpointType, "Unsupported endpoint type")),
    };
    if let Some((error, message)) = refused {
        return DescribeClusterResponse {
            error_code: error.code(),
            error_message: Some(message.into()),
            endpoint_type: request.endpoint_type,
            ..DescribeClusterResponse::default()
        };
    }
    let image = cx.node.image();
    let visible = image.brokers.iter().filter(|broker| request.include_fenced_brokers || !broker.fenced);
    let brokers = visible.filter_map(|broker| {
        let endpoint = broker.endpoint(&cx.connection.listener)?;
        Some(DescribeClusterBroker {
            broker_id: broker.id,
            host: endpoint.host.clone(),
            port: endpoint.port.into(),
            rack: broker.rack.clone(),
            is_fenced: broker.fenced,
        })
    });
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: image.cluster_id.clone(),
        controller_id: controller(cx, &image),
        brokers: brokers.collect(),
        cluster_authorized_operations: authorized::on_cluster(request.include_cluster_authorized_operations),
        ..DescribeClusterResponse::default()
    }
}
