//! Configurations as they are shown: value, source, synonyms, type, documentation. What Kafka shows, in Kafka's terms.

use std::collections::BTreeMap;

use super::check::list_items;
use super::key::{Key, Kind, Scope, Status};
use super::layers::{Layered, Layers, Source};
use super::table;

/// One value that a key has in one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    /// Name under which the layer has it.
    pub name: &'static str,
    /// The text; None for secrets.
    pub value: Option<String>,
    /// The layer.
    pub source: Source,
}

/// One key as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Name.
    pub name: &'static str,
    /// The value in force; None when it is not set, and for secrets.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: Source,
    /// Whether it can only be changed by a restart.
    pub read_only: bool,
    /// Whether it is a secret.
    pub sensitive: bool,
    /// All values the key has in all layers, the one in force first.
    pub synonyms: Vec<Synonym>,
    /// Type.
    pub kind: Kind,
    /// What the key does; for one that does nothing here, why.
    pub doc: String,
}

/// A value in its canonical form, as Kafka prints it after parsing.
fn canonical(key: &Key, text: &str) -> String {
    let text = text.trim();
    match key.kind {
        Kind::Boolean => text.to_ascii_lowercase(),
        Kind::List => list_items(text).collect::<Vec<_>>().join(","),
        Kind::Short | Kind::Int | Kind::Long => text.parse::<i64>().map_or(text.to_owned(), |n| n.to_string()),
        Kind::Double | Kind::Text | Kind::Class | Kind::Password => text.to_owned(),
    }
}

/// The text that explains a key.
pub fn documentation(key: &Key) -> String {
    match key.status {
        Status::Honoured => key.doc.to_owned(),
        Status::Inert => format!("No effect here. {}", key.doc),
        Status::Refused => format!("Not supported. {}", key.doc),
    }
}

fn described(key: &'static Key, value: Option<&str>, values: Vec<Layered<'_>>, read_only: bool) -> Described {
    let sensitive = key.kind == Kind::Password;
    let show = |text: &str| (!sensitive).then(|| text.to_owned());
    Described {
        name: key.name,
        value: value.filter(|_| !sensitive).map(|text| canonical(key, text)),
        source: values.first().map_or(Source::Default, |layered| layered.source),
        read_only,
        sensitive,
        synonyms: values
            .into_iter()
            .map(|layered| Synonym { name: layered.name, value: show(layered.value), source: layered.source })
            .collect(),
        kind: key.kind,
        doc: documentation(key),
    }
}

/// The keys of a topic that sets `overrides`.
pub fn topic(
    overrides: &BTreeMap<String, String>,
    layers: &Layers<'_>,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Described> {
    let describe = |key: &'static Key| {
        let own = overrides.get(key.name);
        let own_layer = own.map(|value| Layered { name: key.name, value, source: Source::Topic });
        let values: Vec<_> = own_layer.into_iter().chain(layers.topic_synonyms(key.name)).collect();
        let inherited = layers.topic_default(key);
        described(key, own.map(String::as_str).or(inherited.as_deref()), values, false)
    };
    table::topic_keys().filter(|key| wanted(key.name)).map(describe).collect()
}

/// The keys of this broker.
pub fn broker(layers: &Layers<'_>, wanted: impl Fn(&str) -> bool) -> Vec<Described> {
    let describe = |key: &'static Key| {
        let read_only = key.scope == Scope::ReadOnly;
        described(key, layers.value(key.name), layers.synonyms(key), read_only)
    };
    table::broker_keys().filter(|key| wanted(key.name)).map(describe).collect()
}

/// What is set for all brokers while they run, and nothing else.
pub fn all_brokers(layers: &Layers<'_>, wanted: impl Fn(&str) -> bool) -> Vec<Described> {
    let set = layers.dynamic.cluster.iter().filter_map(|(name, value)| Some((table::broker_key(name)?, value)));
    let describe = |(key, value): (&'static Key, &String)| {
        let mut values = layers.synonyms(key);
        values.retain(|layered| layered.source == Source::DynamicDefault);
        described(key, Some(value), values, key.scope == Scope::ReadOnly)
    };
    set.filter(|(key, _)| wanted(key.name)).map(describe).collect()
}
