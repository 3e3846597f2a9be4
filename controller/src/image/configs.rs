//! Run-time configuration in the image: only what was set, no defaults.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::ordered::OrderedMap;

/// What kind of thing a configuration belongs to, with Kafka's resource ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConfigKind {
    /// A topic, by name.
    Topic,
    /// A broker by id, or the default of all brokers when the name is empty.
    Broker,
    /// A client metrics subscription, by name.
    ClientMetrics,
    /// A group, by id.
    Group,
}

impl ConfigKind {
    /// Kafka's number for it.
    pub fn id(self) -> i8 {
        match self {
            ConfigKind::Topic => 2,
            ConfigKind::Broker => 4,
            ConfigKind::ClientMetrics => 16,
            ConfigKind::Group => 32,
        }
    }

    /// The kind of Kafka's number; `None` for kinds that have nothing stored in metadata (8 is loggers).
    pub fn from_id(id: i8) -> Option<Self> {
        Some(match id {
            2 => ConfigKind::Topic,
            4 => ConfigKind::Broker,
            16 => ConfigKind::ClientMetrics,
            32 => ConfigKind::Group,
            _ => return None,
        })
    }
}

impl fmt::Display for ConfigKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConfigKind::Topic => "topic",
            ConfigKind::Broker => "broker",
            ConfigKind::ClientMetrics => "client-metrics",
            ConfigKind::Group => "group",
        })
    }
}

/// Something that can be configured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigResource {
    /// What it is.
    pub kind: ConfigKind,
    /// Its name; empty with [`ConfigKind::Broker`] for the default of all brokers.
    pub name: String,
}

impl ConfigResource {
    /// A topic.
    pub fn topic(name: impl Into<String>) -> Self {
        ConfigResource { kind: ConfigKind::Topic, name: name.into() }
    }

    /// One broker.
    pub fn broker(id: i32) -> Self {
        ConfigResource { kind: ConfigKind::Broker, name: id.to_string() }
    }

    /// The default of all brokers.
    pub fn all_brokers() -> Self {
        ConfigResource { kind: ConfigKind::Broker, name: String::new() }
    }

    /// A group.
    pub fn group(id: impl Into<String>) -> Self {
        ConfigResource { kind: ConfigKind::Group, name: id.into() }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.name.as_str()) {
            (ConfigKind::Broker, "") => f.write_str("all brokers"),
            (kind, name) => write!(f, "{kind} {name}"),
        }
    }
}

/// All run-time configuration by resource. A resource without any is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigsImage {
    by_resource: OrderedMap<ConfigResource, Arc<BTreeMap<String, String>>>,
}

impl ConfigsImage {
    /// What was set for a resource; `None` when nothing is.
    pub fn get(&self, resource: &ConfigResource) -> Option<&BTreeMap<String, String>> {
        self.by_resource.get(resource).map(|found| &**found)
    }

    /// One value.
    pub fn value(&self, resource: &ConfigResource, key: &str) -> Option<&str> {
        self.get(resource)?.get(key).map(String::as_str)
    }

    /// All resources that have something set, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&ConfigResource, &BTreeMap<String, String>)> + '_ {
        self.by_resource.iter().map(|(resource, values)| (resource, &**values))
    }

    /// Number of resources that have something set.
    pub fn len(&self) -> usize {
        self.by_resource.len()
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.by_resource.is_empty()
    }

    pub(crate) fn map(&self) -> &OrderedMap<ConfigResource, Arc<BTreeMap<String, String>>> {
        &self.by_resource
    }

    /// Sets a value, or takes it out with `None`.
    pub(crate) fn set(&mut self, resource: &ConfigResource, key: &str, value: Option<&str>) {
        match (self.by_resource.get_mut(resource), value) {
            (Some(values), Some(value)) => {
                Arc::make_mut(values).insert(key.to_owned(), value.to_owned());
            }
            (Some(values), None) => {
                Arc::make_mut(values).remove(key);
                if values.is_empty() {
                    self.by_resource.remove(resource);
                }
            }
            (None, Some(value)) => {
                let values = BTreeMap::from([(key.to_owned(), value.to_owned())]);
                self.by_resource.insert(resource.clone(), Arc::new(values));
            }
            (None, None) => {}
        }
    }

    /// Forgets a resource.
    pub(crate) fn remove(&mut self, resource: &ConfigResource) {
        self.by_resource.remove(resource);
    }
}
