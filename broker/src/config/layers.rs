//! The layers a value can come from, and which one wins.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use super::check::{InvalidValue, list_items};
use super::key::Key;
use super::settings::Settings;
use super::table;

/// Where a value comes from, by Kafka's numbers in DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum Source {
    /// Set for the topic.
    Topic = 1,
    /// Set for one broker while it runs.
    DynamicBroker = 2,
    /// Set for all brokers while they run.
    DynamicDefault = 3,
    /// Set in the node's file, environment or command line.
    Static = 4,
    /// Nobody set it.
    Default = 5,
    /// Set for a group.
    Group = 8,
}

/// One value that a key has in one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layered<'a> {
    /// Name under which the layer has it: the key or one of its synonyms.
    pub name: &'static str,
    /// The text, as it was given.
    pub value: &'a str,
    /// The layer.
    pub source: Source,
}

/// Values that were set while brokers run, as the metadata image holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dynamic {
    /// For all brokers.
    pub cluster: BTreeMap<String, String>,
    /// For this one.
    pub broker: BTreeMap<String, String>,
}

/// Everything that decides about a broker key.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// What the node was started with.
    pub settings: &'a Settings,
    /// What was changed since.
    pub dynamic: &'a Dynamic,
}

impl<'a> Layers<'a> {
    /// All values of a broker key and of its synonyms, the one in force first. As Kafka does it, a layer counts more
    /// than the order of synonyms, and what stands before the first value of the key's own name is not shown.
    pub fn synonyms(&self, key: &'static Key) -> Vec<Layered<'a>> {
        let mut found = self.values(&table::broker_synonyms(key.name));
        let first = found.iter().position(|layered| layered.name == key.name).unwrap_or(found.len());
        found.drain(..first);
        found
    }

    /// All values of any of these keys: by layer, then in the order of the names.
    pub(super) fn values(&self, names: &[&'static str]) -> Vec<Layered<'a>> {
        let layers = [(&self.dynamic.broker, Source::DynamicBroker), (&self.dynamic.cluster, Source::DynamicDefault)];
        let mut found = Vec::new();
        for (map, source) in layers {
            for &name in names {
                found.extend(map.get(name).map(|value| Layered { name, value, source }));
            }
        }
        for &name in names {
            found.extend(self.settings.get(name).map(|value| Layered { name, value, source: Source::Static }));
        }
        for &name in names {
            found.extend(self.settings.default_of(name).map(|value| Layered { name, value, source: Source::Default }));
        }
        found
    }

    /// The value in force under this very name, synonyms apart.
    pub fn value(&self, name: &'static str) -> Option<&'a str> {
        self.values(&[name]).first().map(|layered| layered.value)
    }

    /// A value that is always there, as a number, a truth value or anything else that can be read from text.
    ///
    /// # Errors
    /// When it is not there or cannot be read: only for values that were not checked before they were stored.
    pub fn get<T: FromStr>(&self, name: &'static str) -> Result<T, InvalidValue> {
        self.optional(name)?.ok_or_else(|| invalid(name, "null", "must be set"))
    }

    /// Like [`Self::get`], for a value that may be missing.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn optional<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, InvalidValue> {
        let Some(text) = self.value(name).map(str::trim) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| invalid(name, text, "not of the type of the key"))
    }

    /// A truth value, in any case.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn flag(&self, name: &'static str) -> Result<bool, InvalidValue> {
        let text = self.value(name).unwrap_or_default().trim().to_ascii_lowercase();
        text.parse().map_err(|_| invalid(name, &text, "Expected value to be either true or false"))
    }

    /// The items of a list; empty when nothing is set.
    pub fn list(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        list_items(self.value(name).unwrap_or_default())
    }

    /// All values that decide about a topic key where the topic does not say: see [`Self::synonyms`].
    pub fn topic_synonyms(&self, topic_key: &str) -> Vec<Layered<'a>> {
        let names: Vec<_> = table::topic_synonyms(topic_key).iter().map(|(name, _)| *name).collect();
        let mut found = self.values(&names);
        let first = found.iter().position(|layered| layered.name == names[0]).unwrap_or(found.len());
        found.drain(..first);
        found
    }

    /// What the broker makes the default of a topic key: the first of its synonyms that is set in any layer (a
    /// synonym counts more than a layer: minutes in a dynamic layer do not beat milliseconds in the file), in the
    /// topic's unit; else the topic key's own default.
    pub fn topic_default(&self, key: &'static Key) -> Option<Cow<'a, str>> {
        for &(name, factor) in table::topic_synonyms(key.name) {
            let Some(value) = self.value(name) else { continue };
            if factor == 1 {
                return Some(Cow::Borrowed(value));
            }
            let number = value.trim().parse::<i64>().ok()?;
            // A negative number of hours means "no limit" as it does in milliseconds.
            let converted = if number < 0 { -1 } else { number.saturating_mul(factor) };
            return Some(Cow::Owned(converted.to_string()));
        }
        key.default.map(Cow::Borrowed)
    }
}

fn invalid(name: &str, value: &str, why: &str) -> InvalidValue {
    InvalidValue { key: name.to_owned(), value: value.to_owned(), why: why.to_owned() }
}
