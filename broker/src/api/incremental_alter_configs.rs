//! IncrementalAlterConfigs (key 44, versions 0-1): changes single values of a resource.
//!
//! KIP-339, and KIP-412 for this node's loggers, whose levels are forgotten when it stops.

use std::collections::BTreeSet;

use bytestring::ByteString;
use goatq_controller::decide::configs::{ConfigChange, ConfigOperation, IncrementalAlterConfigs};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::RequestContext;
use super::config_resource::{Resource, outcome, parse};
use super::submit::{WireError, submit};
use crate::loggers::{LoggerError, Loggers};

fn answer(resource: &AlterConfigsResource, error: Option<WireError>) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse {
        error_code: error.as_ref().map_or(ErrorCode::None, |(code, _)| *code).code(),
        error_message: error.map(|(_, message)| message),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
    }
}

fn changes(resource: &AlterConfigsResource) -> Result<Vec<ConfigChange>, WireError> {
    let change = |config: &AlterableConfig| {
        let operation = ConfigOperation::from_id(config.config_operation).ok_or_else(|| {
            let message = format!("Unknown operation type {} for {}", config.config_operation, config.name);
            (ErrorCode::InvalidRequest, ByteString::from(message))
        })?;
        Ok(ConfigChange { key: config.name.clone(), operation, value: config.value.clone() })
    };
    resource.configs.iter().map(change).collect()
}

fn change_loggers(cx: &RequestContext, changes: &[ConfigChange], validate_only: bool) -> Result<(), WireError> {
    let invalid = |message: String| (ErrorCode::InvalidRequest, ByteString::from(message));
    let mut levels = Vec::with_capacity(changes.len());
    let mut names = BTreeSet::new();
    for change in changes {
        if !names.insert(&change.key) {
            return Err(invalid("Error due to duplicate config keys".to_owned()));
        }
        let level = match change.operation {
            ConfigOperation::Set => Some(change.value.as_deref().unwrap_or_default()),
            ConfigOperation::Delete => None,
            ConfigOperation::Append | ConfigOperation::Subtract => {
                let operation = if change.operation == ConfigOperation::Append { "APPEND" } else { "SUBTRACT" };
                return Err(invalid(format!("{operation} operation is not allowed for the BROKER_LOGGER resource")));
            }
        };
        levels.push((&*change.key, level));
    }
    let changed = if validate_only { Loggers::check(&levels) } else { cx.node.loggers.change(&levels) };
    changed.map_err(|error| {
        let code = match error {
            LoggerError::Root => ErrorCode::InvalidRequest,
            LoggerError::Unknown(_) | LoggerError::Level(..) => ErrorCode::InvalidConfig,
        };
        (code, error.to_string().into())
    })
}

pub(crate) async fn handle(
    cx: &RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let (mut responses, mut wanted, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    for resource in request.resources {
        let parsed = parse(resource.resource_type, &resource.resource_name, cx.node.id())
            .and_then(|target| Ok((target, changes(&resource)?)));
        match parsed {
            Ok((Resource::Stored(target), changes)) => {
                wanted.push((target.clone(), changes));
                asked.push((target, resource));
            }
            Ok((Resource::Loggers, changes)) => {
                let changed = change_loggers(cx, &changes, request.validate_only);
                responses.push(answer(&resource, changed.err()));
            }
            Err(error) => responses.push(answer(&resource, Some(error))),
        }
    }
    if !wanted.is_empty() {
        let command = IncrementalAlterConfigs { resources: wanted, validate_only: request.validate_only };
        let decided = submit(cx, command, 0).await;
        responses.extend(asked.iter().map(|(target, resource)| answer(resource, outcome(&decided, target))));
    }
    IncrementalAlterConfigsResponse { throttle_time_ms: 0, responses }
}
