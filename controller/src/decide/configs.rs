//! Changing configuration at run time.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{Command, Context, Decision, InvalidConfig, MAX_CONFIGS_PER_REQUEST, MIN_INSYNC_REPLICAS};
use crate::{
    image::{ConfigKind, ConfigResource},
    record::{ConfigRecord, MetadataRecord, PartitionChangeRecord},
};

/// Longest value in bytes: what a string of the wire protocol can hold.
pub const MAX_VALUE: usize = i16::MAX as usize;

/// A configuration and its value. Clients can send null, which is refused.
pub type ConfigPair = (ByteString, Option<ByteString>);

/// Asks for the configuration of resources to be replaced; each succeeds or fails by itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AlterConfigs {
    /// Resources, each with everything that shall be set for it afterwards.
    pub resources: Vec<(ConfigResource, Vec<ConfigPair>)>,
    /// Only check.
    pub validate_only: bool,
}

/// Asks for single values of resources to be changed; each resource succeeds or fails by itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct IncrementalAlterConfigs {
    /// Resources, each with its changes.
    pub resources: Vec<(ConfigResource, Vec<ConfigChange>)>,
    /// Only check.
    pub validate_only: bool,
}

/// What to do with one value, with Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigOperation {
    /// Set it.
    Set,
    /// Go back to the default.
    Delete,
    /// Add to a list what is not yet in it.
    Append,
    /// Take out of a list.
    Subtract,
}

impl ConfigOperation {
    /// The operation of Kafka's number.
    pub fn from_id(id: i8) -> Option<Self> {
        Some(match id {
            0 => ConfigOperation::Set,
            1 => ConfigOperation::Delete,
            2 => ConfigOperation::Append,
            3 => ConfigOperation::Subtract,
            _ => return None,
        })
    }
}

/// The change of one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// The configuration.
    pub key: ByteString,
    /// What to do.
    pub operation: ConfigOperation,
    /// With what; not looked at for [`ConfigOperation::Delete`].
    pub value: Option<ByteString>,
}

/// Why the configuration of a resource stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AlterConfigError {
    /// The topic does not exist.
    #[error("The topic '{0}' does not exist.")]
    UnknownTopic(String),
    /// The broker is not registered.
    #[error("Broker {0} is not registered.")]
    UnknownBroker(i32),
    /// Not the number of a node.
    #[error("A broker is named by its id, a number; {0:?} is none.")]
    NotANode(String),
    /// A name is needed for this kind of resource.
    #[error("A {0} resource needs a name: there is no default for all of them.")]
    NoName(ConfigKind),
    /// The request names the resource more than once.
    #[error("The request has this resource more than once.")]
    DuplicateResource,
    /// The request names a configuration more than once.
    #[error("The request has {0} more than once.")]
    DuplicateKey(ByteString),
    /// A value is missing.
    #[error("{0} cannot be null.")]
    NullValue(ByteString),
    /// Appending to or subtracting from something that is no list.
    #[error("{operation} works on lists only; {key} is none.")]
    NotAList {
        /// Kafka's word for the operation.
        operation: Cow<'static, str>,
        /// The configuration.
        key: ByteString,
    },
    /// Not legal.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// More changes than one request may make.
    #[error("A request may make {MAX_CONFIGS_PER_REQUEST} configuration changes at most.")]
    TooMany,
}

/// Each resource of the request once, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlterConfigsResponse {
    /// Resources and what became of them.
    pub resources: Vec<(ConfigResource, Result<(), AlterConfigError>)>,
}

impl Command for AlterConfigs {
    type Response = AlterConfigsResponse;

    fn decide(self, cx: &mut Context<'_>) -> Decision<AlterConfigsResponse> {
        decide_each(self.resources, self.validate_only, cx, |cx, resource, values| {
            let keys = values.iter().map(|(key, _)| key);
            check_unique(keys)?;
            let mut after = BTreeMap::new();
            for (key, value) in values {
                after.insert(key.to_string(), present(key, value.as_ref())?.to_owned());
            }
            let changed: Vec<&str> = after.keys().map(String::as_str).collect();
            cx.validator.validate(resource, &after, &changed)?;
            Ok(after)
        })
    }
}

impl Command for IncrementalAlterConfigs {
    type Response = AlterConfigsResponse;

    fn decide(self, cx: &mut Context<'_>) -> Decision<AlterConfigsResponse> {
        decide_each(self.resources, self.validate_only, cx, |cx, resource, changes| {
            check_unique(changes.iter().map(|change| &change.key))?;
            let mut after = cx.image.config(resource).cloned().unwrap_or_default();
            for change in changes {
                apply(cx, resource, change, &mut after)?;
            }
            let changed: Vec<&str> = changes
                .iter()
                .filter(|change| change.operation != ConfigOperation::Delete)
                .map(|change| &*change.key)
                .collect();
            cx.validator.validate(resource, &after, &changed)?;
            Ok(after)
        })
    }
}

/// Decides resource by resource. `after` says what would be set for a resource that can be configured.
fn decide_each<C>(
    resources: Vec<(ConfigResource, Vec<C>)>,
    validate_only: bool,
    cx: &Context<'_>,
    after: impl Fn(&Context<'_>, &ConfigResource, &[C]) -> Result<BTreeMap<String, String>, AlterConfigError>,
) -> Decision<AlterConfigsResponse> {
    let mut times: BTreeMap<ConfigResource, usize> = BTreeMap::new();
    for (resource, _) in &resources {
        *times.entry(resource.clone()).or_default() += 1;
    }
    let mut records: Vec<MetadataRecord> = Vec::new();
    let mut answers = Vec::with_capacity(resources.len().min(1_000));
    for (resource, changes) in resources {
        let decided = match times.remove(&resource) {
            None => continue,
            Some(1) => check_resource(cx, &resource).and_then(|()| after(cx, &resource, &changes)),
            Some(_) => Err(AlterConfigError::DuplicateResource),
        };
        let decided = decided.and_then(|after| {
            let new = difference(cx, &resource, &after);
            match records.len() + new.len() > MAX_CONFIGS_PER_REQUEST {
                true => Err(AlterConfigError::TooMany),
                false => Ok(new),
            }
        });
        answers.push((resource, decided.map(|new| records.extend(new))));
    }
    records.extend(outdated_elrs(cx, &records));
    if validate_only {
        records.clear();
    }
    Decision { records, response: AlterConfigsResponse { resources: answers } }
}

/// Who is eligible to lead follows from the `min.insync.replicas` that was in force. With another one nobody can tell, so whoever
/// is not in sync is no longer eligible from the very image on in which the leaders see the new value (KIP-966).
fn outdated_elrs(cx: &Context<'_>, changes: &[MetadataRecord]) -> Vec<MetadataRecord> {
    let changed = |record: &MetadataRecord| match record {
        MetadataRecord::Config(record) if *record.key == *MIN_INSYNC_REPLICAS => Some(record.resource_name.clone()),
        _ => None,
    };
    let names: BTreeSet<ByteString> = changes.iter().filter_map(changed).collect();
    let everywhere = names.iter().any(|name| name.is_empty());
    let topics = cx.image.topics.iter().filter(|topic| everywhere || names.contains(&topic.name));
    let mut records = Vec::new();
    for topic in topics.filter(|_| !names.is_empty()) {
        for (number, _) in (0..).zip(&topic.partitions).filter(|(_, partition)| !partition.elr.is_empty()) {
            let record = PartitionChangeRecord {
                topic_id: topic.id,
                partition_id: number,
                elr: Some(Vec::new()),
                ..PartitionChangeRecord::default()
            };
            records.push(record.into());
        }
    }
    records
}

fn check_resource(cx: &Context<'_>, resource: &ConfigResource) -> Result<(), AlterConfigError> {
    match (resource.kind, resource.name.as_str()) {
        (ConfigKind::Broker, "") => Ok(()),
        (kind, "") => Err(AlterConfigError::NoName(kind)),
        (ConfigKind::Topic, name) => match cx.image.topics.by_name(name) {
            Some(_) => Ok(()),
            None => Err(AlterConfigError::UnknownTopic(name.to_owned())),
        },
        (ConfigKind::Broker, name) => {
            let id: i32 = name.parse().map_err(|_| AlterConfigError::NotANode(name.to_owned()))?;
            // "+1" and "01" are numbers, but not the name under which the broker would look.
            match cx.image.brokers.get(id) {
                Some(_) if id.to_string() == name => Ok(()),
                Some(_) => Err(AlterConfigError::NotANode(name.to_owned())),
                None => Err(AlterConfigError::UnknownBroker(id)),
            }
        }
        (ConfigKind::ClientMetrics | ConfigKind::Group, _) => Ok(()),
    }
}

fn check_unique<'a>(keys: impl Iterator<Item = &'a ByteString>) -> Result<(), AlterConfigError> {
    let mut seen = BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(AlterConfigError::DuplicateKey(key.clone()));
        }
    }
    Ok(())
}

fn present<'a>(key: &ByteString, value: Option<&'a ByteString>) -> Result<&'a str, AlterConfigError> {
    let value = value.ok_or_else(|| AlterConfigError::NullValue(key.clone()))?;
    checked_length(key, value)?;
    Ok(value)
}

fn checked_length(key: &str, value: &str) -> Result<(), InvalidConfig> {
    if value.len() > MAX_VALUE {
        return Err(InvalidConfig(format!("Value of {key} is longer than {MAX_VALUE} bytes.")));
    }
    Ok(())
}

fn apply(
    cx: &Context<'_>,
    resource: &ConfigResource,
    change: &ConfigChange,
    after: &mut BTreeMap<String, String>,
) -> Result<(), AlterConfigError> {
    let key = &change.key;
    let operation = match change.operation {
        ConfigOperation::Delete => {
            after.remove(&**key);
            return Ok(());
        }
        ConfigOperation::Set => {
            after.insert(key.to_string(), present(key, change.value.as_ref())?.to_owned());
            return Ok(());
        }
        ConfigOperation::Append => "APPEND",
        ConfigOperation::Subtract => "SUBTRACT",
    };
    let value = present(key, change.value.as_ref())?;
    let base = cx
        .validator
        .list_base(resource, key)
        .ok_or_else(|| AlterConfigError::NotAList { operation: operation.into(), key: key.clone() })?;
    let base = after.get(&**key).unwrap_or(&base);
    let mut list: Vec<&str> = base.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        match change.operation {
            ConfigOperation::Subtract => list.retain(|other| *other != item),
            _ if list.contains(&item) => {}
            _ => list.push(item),
        }
    }
    let list = list.join(",");
    checked_length(key, &list)?;
    after.insert(key.to_string(), list);
    Ok(())
}

/// The records that lead from what is set for a resource to `after`.
fn difference(cx: &Context<'_>, resource: &ConfigResource, after: &BTreeMap<String, String>) -> Vec<MetadataRecord> {
    let empty = BTreeMap::new();
    let before = cx.image.config(resource).unwrap_or(&empty);
    let set = after.iter().filter(|(key, value)| before.get(*key) != Some(*value));
    let removed = before.keys().filter(|key| !after.contains_key(*key));
    set.map(|(key, value)| config_record(resource, key, Some(value)))
        .chain(removed.map(|key| config_record(resource, key, None)))
        .collect()
}

pub(crate) fn config_record(resource: &ConfigResource, key: &str, value: Option<&String>) -> MetadataRecord {
    ConfigRecord {
        resource_type: resource.kind.id(),
        resource_name: resource.name.as_str().into(),
        key: key.into(),
        value: value.map(|value| value.as_str().into()),
    }
    .into()
}
