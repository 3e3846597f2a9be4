//! DescribeConfigs (key 32, versions 1-4).
//!
//! KIP-226 (sources and synonyms), KIP-569 (types and documentation), KIP-1142. Topics, this broker, the defaults of all
//! brokers (empty name) and this node's loggers; groups and client metrics have no configuration here, so nothing is
//! shown for them. Secrets are never shown.

use std::collections::BTreeMap;

use bytestring::ByteString;
use goatq_controller::image::{ConfigKind, ConfigResource};
use goatq_protocol::ErrorCode;
use goatq_protocol::message::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::RequestContext;
use super::config_resource::{Resource, parse};
use super::submit::WireError;
use crate::config::describe::{self, Described};
use crate::config::key::Kind;

/// The source of loggers' levels (DYNAMIC_BROKER_LOGGER_CONFIG).
const LOGGER_SOURCE: i8 = 6;

/// Kafka's number of a type.
fn type_id(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::Text => 2,
        Kind::Int => 3,
        Kind::Short => 4,
        Kind::Long => 5,
        Kind::Double => 6,
        Kind::List => 7,
        Kind::Class => 8,
        Kind::Password => 9,
    }
}

/// What the client wants to see.
struct Wish<'a> {
    keys: Option<&'a [ByteString]>,
    synonyms: bool,
    documentation: bool,
}

impl Wish<'_> {
    fn wants(&self, name: &str) -> bool {
        // No keys and an empty list of keys both mean all.
        self.keys.is_none_or(|keys| keys.is_empty() || keys.iter().any(|key| &**key == name))
    }

    fn show(&self, entry: Described) -> DescribeConfigsResourceResult {
        let synonyms = if self.synonyms { entry.synonyms } else { Vec::new() };
        DescribeConfigsResourceResult {
            name: entry.name.into(),
            value: entry.value.map(ByteString::from),
            read_only: entry.read_only,
            config_source: entry.source as i8,
            is_sensitive: entry.sensitive,
            synonyms: synonyms
                .into_iter()
                .map(|synonym| DescribeConfigsSynonym {
                    name: synonym.name.into(),
                    value: synonym.value.map(ByteString::from),
                    source: synonym.source as i8,
                })
                .collect(),
            config_type: type_id(entry.kind),
            documentation: self.documentation.then(|| entry.doc.into()),
        }
    }
}

fn invalid<T>(message: impl Into<ByteString>) -> Result<T, WireError> {
    Err((ErrorCode::InvalidRequest, message.into()))
}

fn topic(cx: &RequestContext, name: &str, wish: &Wish<'_>) -> Result<Vec<Described>, WireError> {
    if name.is_empty() {
        return Err((
            ErrorCode::InvalidTopicException,
            "Topic name is invalid: the empty string is not allowed".into(),
        ));
    }
    let image = cx.node.image();
    if image.topics.by_name(name).is_none() {
        let message = "This server does not host this topic-partition.";
        return Err((ErrorCode::UnknownTopicOrPartition, message.into()));
    }
    let none = BTreeMap::new();
    let overrides = image.config(&ConfigResource::topic(name)).unwrap_or(&none);
    Ok(cx.node.config.with_layers(|layers| describe::topic(overrides, layers, |key| wish.wants(key))))
}

fn broker(cx: &RequestContext, name: &str, wish: &Wish<'_>) -> Result<Vec<Described>, WireError> {
    if name.is_empty() {
        return Ok(cx.node.config.with_layers(|layers| describe::all_brokers(layers, |key| wish.wants(key))));
    }
    let own = cx.node.id();
    match name.parse::<i32>() {
        Ok(id) if id == own => Ok(cx.node.config.with_layers(|layers| describe::broker(layers, |key| wish.wants(key)))),
        Ok(id) => invalid(format!("Unexpected broker id, expected {own} or empty string, but received {id}")),
        Err(_) => invalid(format!("Broker id must be an integer, but it is: {name}")),
    }
}

fn loggers(cx: &RequestContext, wish: &Wish<'_>) -> Vec<DescribeConfigsResourceResult> {
    let logger = |(name, level): (&'static str, &'static str)| DescribeConfigsResourceResult {
        name: name.into(),
        value: Some(level.into()),
        config_source: LOGGER_SOURCE,
        ..Default::default()
    };
    cx.node.loggers.all().into_iter().filter(|(name, _)| wish.wants(name)).map(logger).collect()
}

fn describe(
    cx: &RequestContext,
    resource: &DescribeConfigsResource,
    wish: &Wish<'_>,
) -> Result<Vec<DescribeConfigsResourceResult>, WireError> {
    let entries = match parse(resource.resource_type, &resource.resource_name, cx.node.id())? {
        Resource::Loggers => return Ok(loggers(cx, wish)),
        Resource::Stored(ConfigResource { kind: ConfigKind::Topic, name }) => topic(cx, &name, wish)?,
        Resource::Stored(ConfigResource { kind: ConfigKind::Broker, name }) => broker(cx, &name, wish)?,
        Resource::Stored(ConfigResource { kind: ConfigKind::Group, name }) if name.is_empty() => {
            return invalid("Group name must not be empty");
        }
        Resource::Stored(ConfigResource { kind: ConfigKind::ClientMetrics, name }) if name.is_empty() => {
            return invalid("Client metrics subscription name must not be empty");
        }
        Resource::Stored(_) => Vec::new(),
    };
    Ok(entries.into_iter().map(|entry| wish.show(entry)).collect())
}

pub(crate) async fn handle(cx: &RequestContext, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.iter().map(|resource| {
        let wish = Wish {
            keys: resource.configuration_keys.as_deref(),
            synonyms: request.include_synonyms,
            documentation: request.include_documentation,
        };
        let (error, configs) = match describe(cx, resource, &wish) {
            Ok(configs) => (None, configs),
            Err(error) => (Some(error), Vec::new()),
        };
        DescribeConfigsResult {
            error_code: error.as_ref().map_or(ErrorCode::None, |(code, _)| *code).code(),
            error_message: error.map(|(_, message)| message),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            configs,
        }
    });
    DescribeConfigsResponse { throttle_time_ms: 0, results: results.collect() }
}
