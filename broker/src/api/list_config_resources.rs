//! ListConfigResources (key 74, versions 0-1).
//!
//! KIP-1000 (version 0: client metrics subscriptions only), KIP-1142 (version 1: resources of any type).

use std::collections::BTreeSet;

use goatq_controller::image::{ConfigKind, MetadataImage};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

use super::RequestContext;
use super::config_resource::BROKER_LOGGER;

/// Every type that can be asked for; an empty question means all.
fn all_types() -> [i8; 5] {
    [
        ConfigKind::Topic.id(),
        ConfigKind::Broker.id(),
        BROKER_LOGGER,
        ConfigKind::ClientMetrics.id(),
        ConfigKind::Group.id(),
    ]
}

fn resources(image: &MetadataImage, kind: i8) -> Vec<ConfigResource> {
    let resource = |name: &str| ConfigResource { resource_name: name.into(), resource_type: kind };
    match ConfigKind::from_id(kind) {
        Some(ConfigKind::Topic) => image.topics.iter().map(|topic| resource(&topic.name)).collect(),
        // Every broker has a configuration and loggers, whether something was set or not.
        Some(ConfigKind::Broker) | None => {
            image.brokers.iter().map(|broker| resource(&broker.id.to_string())).collect()
        }
        Some(wanted) => {
            let set = image.configs.iter().filter(|(found, _)| found.kind == wanted);
            set.map(|(found, _)| resource(&found.name)).collect()
        }
    }
}

pub(crate) async fn handle(cx: &RequestContext, request: ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let image = cx.node.image();
    let wanted: BTreeSet<i8> = match cx.api_version {
        0 => [ConfigKind::ClientMetrics.id()].into(),
        _ if request.resource_types.is_empty() => all_types().into(),
        _ => request.resource_types.into_iter().collect(),
    };
    if !wanted.iter().all(|kind| all_types().contains(kind)) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        return ListConfigResourcesResponse { error_code, ..Default::default() };
    }
    let config_resources = wanted.into_iter().flat_map(|kind| resources(&image, kind)).collect();
    ListConfigResourcesResponse { throttle_time_ms: 0, error_code: ErrorCode::None.code(), config_resources }
}
