//! AlterConfigs (key 33, versions 0-2): replaces everything that is set for a resource.
//!
//! KIP-133. Clients since 2.3 use IncrementalAlterConfigs instead. Loggers cannot be replaced as a whole.

use goatq_controller::decide::configs::AlterConfigs;
use goatq_controller::image::ConfigResource;
use goatq_protocol::ErrorCode;
use goatq_protocol::message::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};

use super::RequestContext;
use super::config_resource::{Resource, outcome, parse};
use super::submit::{WireError, submit};

fn answer(resource: &AlterConfigsResource, error: Option<WireError>) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse {
        error_code: error.as_ref().map_or(ErrorCode::None, |(code, _)| *code).code(),
        error_message: error.map(|(_, message)| message),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
    }
}

fn stored(resource: &AlterConfigsResource, node_id: i32) -> Result<ConfigResource, WireError> {
    match parse(resource.resource_type, &resource.resource_name, node_id)? {
        Resource::Stored(resource) => Ok(resource),
        Resource::Loggers => {
            let message = "Broker loggers can only be changed with IncrementalAlterConfigs";
            Err((ErrorCode::InvalidRequest, message.into()))
        }
    }
}

pub(crate) async fn handle(cx: &RequestContext, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let (mut responses, mut wanted, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    for resource in request.resources {
        match stored(&resource, cx.node.id()) {
            Ok(target) => {
                let configs = resource.configs.iter().map(|config| (config.name.clone(), config.value.clone()));
                wanted.push((target.clone(), configs.collect()));
                asked.push((target, resource));
            }
            Err(error) => responses.push(answer(&resource, Some(error))),
        }
    }
    if !wanted.is_empty() {
        let command = AlterConfigs { resources: wanted, validate_only: request.validate_only };
        let decided = submit(cx, command, 0).await;
        responses.extend(asked.iter().map(|(target, resource)| answer(resource, outcome(&decided, target))));
    }
    AlterConfigsResponse { throttle_time_ms: 0, responses }
}
