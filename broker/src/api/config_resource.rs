//! Resources that have a configuration, as the APIs name them: a type and a name.

use bytestring::ByteString;
use goatq_controller::decide::configs::{AlterConfigError, AlterConfigsResponse};
use goatq_controller::image::{ConfigKind, ConfigResource};
use goatq_controller::topic_name;
use goatq_protocol::ErrorCode;

use super::submit::WireError;

/// The type of broker loggers, which are no part of the metadata.
pub(super) const BROKER_LOGGER: i8 = 8;

/// What a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    /// Something with a configuration in the metadata.
    Stored(ConfigResource),
    /// The loggers of this node.
    Loggers,
}

fn invalid(message: impl Into<ByteString>) -> WireError {
    (ErrorCode::InvalidRequest, message.into())
}

/// Reads type and name, which must fit each other.
pub(super) fn parse(kind: i8, name: &str, node_id: i32) -> Result<Resource, WireError> {
    if kind == BROKER_LOGGER {
        return match name.parse::<i32>() {
            Ok(id) if id == node_id => Ok(Resource::Loggers),
            Ok(id) => Err(invalid(format!("Unexpected broker id, expected {node_id} but received {id}"))),
            Err(_) if name.is_empty() => Err(invalid("Broker id must not be empty")),
            Err(_) => Err(invalid(format!("Node id must be an integer, but it is: {name}"))),
        };
    }
    let kind = ConfigKind::from_id(kind).ok_or_else(|| invalid(format!("Unknown resource type {kind}")))?;
    if kind == ConfigKind::Topic && !name.is_empty() {
        let checked = topic_name::check(name);
        checked.map_err(|error| (ErrorCode::InvalidTopicException, error.to_string().into()))?;
    }
    Ok(Resource::Stored(ConfigResource { kind, name: name.to_owned() }))
}

/// The code of a configuration that stays as it is.
fn alter_error(kind: ConfigKind, error: &AlterConfigError) -> WireError {
    let code = match error {
        AlterConfigError::UnknownTopic(_) => ErrorCode::UnknownTopicOrPartition,
        AlterConfigError::UnknownBroker(_) => ErrorCode::BrokerIdNotRegistered,
        AlterConfigError::NotAList { .. } => ErrorCode::InvalidConfig,
        // Kafka answers for topics and for the rest with different codes.
        AlterConfigError::Config(_) if kind == ConfigKind::Topic => ErrorCode::InvalidConfig,
        AlterConfigError::TooMany => ErrorCode::PolicyViolation,
        AlterConfigError::NotANode(_)
        | AlterConfigError::NoName(_)
        | AlterConfigError::DuplicateResource
        | AlterConfigError::DuplicateKey(_)
        | AlterConfigError::NullValue(_)
        | AlterConfigError::Config(_) => ErrorCode::InvalidRequest,
    };
    (code, error.to_string().into())
}

/// What became of one resource of a request.
pub(super) fn outcome(decided: &Result<AlterConfigsResponse, WireError>, target: &ConfigResource) -> Option<WireError> {
    match decided {
        Ok(response) => {
            let (_, outcome) = response.resources.iter().find(|(decided, _)| decided == target)?;
            outcome.as_ref().err().map(|error| alter_error(target.kind, error))
        }
        Err(error) => Some(error.clone()),
    }
}
