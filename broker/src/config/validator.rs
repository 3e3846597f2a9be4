//! The table as the controller asks it: may a resource have these values while brokers run?
//!
//! Messages are worded as Kafka's.

use std::collections::BTreeMap;
use std::sync::Arc;

use goatq_controller::decide::{ConfigValidator, InvalidConfig};
use goatq_controller::image::{ConfigKind, ConfigResource};

use super::key::{Key, Kind, Scope, Status};
use super::layers::Dynamic;
use super::{LiveConfig, check, table};

/// Answers for the configuration of one node. All nodes of a cluster run the same table.
#[derive(Debug)]
pub struct TableValidator {
    config: Arc<LiveConfig>,
}

type Checked = Result<(), InvalidConfig>;

fn refuse<T>(text: impl Into<String>) -> Result<T, InvalidConfig> {
    Err(InvalidConfig(text.into()))
}

/// A single value: its type, its range, and whether the broker can keep what it promises.
fn check_value(key: &Key, value: &str) -> Checked {
    check::check(key, value).map_err(|error| InvalidConfig(error.to_string()))?;
    if key.status == Status::Refused && !check::is_default(key, value) {
        return refuse(format!("Configuration {} is not supported. {}", key.name, key.doc));
    }
    Ok(())
}

fn check_topic(values: &BTreeMap<String, String>, changed: &[&str]) -> Checked {
    for name in changed {
        let key = table::topic_key(name);
        let key = key.ok_or_else(|| InvalidConfig(format!("Unknown topic config name: {name}")))?;
        let value = values.get(*name).map(String::as_str).unwrap_or_default();
        if key.name == "remote.storage.enable" && value.trim().eq_ignore_ascii_case("true") {
            return refuse(
                "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log \
                 storage.",
            );
        }
        check_value(key, value)?;
    }
    let number = |name: &str| values.get(name).and_then(|value| value.trim().parse::<i64>().ok());
    let (low, high) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
    match (number(low), number(high)) {
        (Some(min), Some(max)) if min > max => {
            refuse(format!("conflict topic config setting {low} ({min}) > {high} ({max})"))
        }
        _ => Ok(()),
    }
}

impl TableValidator {
    /// Answers for this configuration.
    pub fn new(config: Arc<LiveConfig>) -> Self {
        Self { config }
    }

    fn check_broker(&self, name: &str, values: &BTreeMap<String, String>, changed: &[&str]) -> Checked {
        for changed in changed {
            let Some(key) = table::broker_key(changed) else {
                return refuse(format!("Unknown broker config name: {changed}"));
            };
            if key.scope == Scope::ReadOnly {
                return refuse(format!("Cannot update these configs dynamically: [{changed}]"));
            }
            check_value(key, values.get(*changed).map(String::as_str).unwrap_or_default())?;
        }
        let mut dynamic = Dynamic::clone(&self.config.dynamic());
        if name.is_empty() {
            dynamic.cluster = values.clone();
        } else {
            dynamic.broker = values.clone();
        }
        self.config.check(&dynamic).map_err(|errors| InvalidConfig(errors.to_string()))
    }
}

impl ConfigValidator for TableValidator {
    fn validate(&self, resource: &ConfigResource, values: &BTreeMap<String, String>, changed: &[&str]) -> Checked {
        match resource.kind {
            ConfigKind::Topic => check_topic(values, changed),
            ConfigKind::Broker => self.check_broker(&resource.name, values, changed),
            // Nothing is stored that nobody would obey.
            ConfigKind::Group => refuse("Groups have no configuration: only the classic group protocol is served."),
            ConfigKind::ClientMetrics => refuse("Client telemetry (KIP-714) is not served."),
        }
    }

    fn list_base(&self, resource: &ConfigResource, key: &str) -> Option<String> {
        let key = match resource.kind {
            ConfigKind::Topic => table::topic_key(key),
            ConfigKind::Broker => table::broker_key(key),
            ConfigKind::Group | ConfigKind::ClientMetrics => None,
        };
        let key = key.filter(|key| key.kind == Kind::List)?;
        self.config.with_layers(|layers| match resource.kind {
            ConfigKind::Topic => layers.topic_default(key).map(|text| text.into_owned()),
            _ => Some(layers.value(key.name).unwrap_or_default().to_owned()),
        })
    }

    fn is_sensitive(&self, kind: ConfigKind, key: &str) -> bool {
        let key = match kind {
            ConfigKind::Topic => table::topic_key(key),
            ConfigKind::Broker => table::broker_key(key),
            ConfigKind::Group | ConfigKind::ClientMetrics => return false,
        };
        // As Kafka: what is not known may be a secret.
        key.is_none_or(|key| key.kind == Kind::Password)
    }
}
