//! What a node was started with: the values of file, environment and command line, checked.

pub mod environment;
pub mod properties;
pub mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::key::{Key, Kind, Status};
use super::{check, table};

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a configuration file, on this line (0: unknown).
    File(PathBuf, usize),
    /// In this environment variable.
    Environment(String),
    /// By `--set`.
    CommandLine,
    /// By the program that embeds the node.
    Program,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, 0) => write!(f, "{}", path.display()),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine => f.write_str("--set"),
            Self::Program => f.write_str("the program"),
        }
    }
}

/// One value as it was found, before any check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name as written.
    pub name: String,
    /// Text as written.
    pub value: String,
    /// Where.
    pub origin: Origin,
}

/// Something that is wrong with the configuration, or that deserves a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, as written.
    pub key: String,
    /// Where it was set; None for problems between keys.
    pub origin: Option<Origin>,
    /// What is wrong and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)?;
        if let Some(origin) = &self.origin {
            write!(f, " ({origin})")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Everything that is wrong with a configuration, so that it can be mended in one go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<Problem>);

/// One value that was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The text.
    pub value: String,
    /// Where.
    pub origin: Origin,
}

/// What a node was started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<&'static str, Setting>,
    /// Defaults that depend on the machine or on other settings.
    defaults: BTreeMap<&'static str, String>,
    warnings: Vec<Problem>,
}

impl Settings {
    /// Takes entries in ascending order of precedence (a later one replaces an earlier one of the same name), checks
    /// each against the table, and keeps what is legal.
    ///
    /// # Errors
    /// All entries that are unknown, illegal or refused.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Result<Self, ConfigErrors> {
        let (mut settings, mut problems) = (Self::default(), Vec::new());
        for Entry { name, value, origin } in entries {
            let problem = |what: String| Problem { key: name.clone(), origin: Some(origin.clone()), what };
            match judge(&name, &value) {
                Ok((key, warning)) => {
                    settings.warnings.extend(warning.map(problem));
                    settings.values.insert(key.name, Setting { value, origin });
                }
                Err(what) => problems.push(problem(what)),
            }
        }
        if problems.is_empty() { Ok(settings) } else { Err(ConfigErrors(problems)) }
    }

    /// The text that was set for a key.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|setting| setting.value.as_str())
    }

    /// Where it was set.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.values.get(name).map(|setting| &setting.origin)
    }

    /// All that was set, by name.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.values.iter().map(|(name, setting)| (*name, setting))
    }

    /// The default of a key on this machine.
    pub fn default_of(&self, name: &str) -> Option<&str> {
        match self.defaults.get(name) {
            Some(value) => Some(value),
            None => table::broker_key(name).and_then(|key| key.default),
        }
    }

    /// Replaces a built-in default by one that fits this machine or the other settings.
    pub(super) fn derive(&mut self, name: &'static str, value: String) {
        self.defaults.insert(name, value);
    }

    /// What deserves a word at start: keys that were set but do nothing here.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

/// Finds the key of an entry and checks its value: the key with a warning, if there is one, or what is wrong.
fn judge(name: &str, value: &str) -> Result<(&'static Key, Option<String>), String> {
    let key = table::broker_key(name).ok_or_else(|| unknown(name))?;
    if key.default.is_none() && value.trim().is_empty() {
        return Ok((key, None));
    }
    let is_default = check::is_default(key, value);
    match key.status {
        Status::Refused if is_default => Ok((key, None)),
        Status::Refused => Err(format!("not supported. {}", key.doc)),
        Status::Honoured | Status::Inert => {
            // Java classes are compared by name only, never loaded.
            if key.kind != Kind::Class {
                check::check(key, value).map_err(|error| error.to_string())?;
            }
            let idle = key.status == Status::Inert && !is_default;
            Ok((key, idle.then(|| format!("has no effect. {}", key.doc))))
        }
    }
}

/// What to say about a name that is not in the table.
fn unknown(name: &str) -> String {
    if let Some(advice) = table::former_key(name) {
        return format!("not supported. {advice}");
    }
    if name.starts_with("listener.name.") {
        return "not supported. Settings of a single listener are not part of this version.".to_owned();
    }
    if table::topic_key(name).is_some() {
        let default = table::topic_synonyms(name).first();
        let default = default.map(|(key, _)| format!("; its default for all topics is {key}")).unwrap_or_default();
        return format!("unknown key: it is one of topics, not of brokers{default}");
    }
    let names = table::broker_keys().map(|key| key.name);
    match table::nearest(name, names) {
        Some(nearest) => format!("unknown key; did you mean {nearest}?"),
        None => "unknown key; `goatq config explain` lists all".to_owned(),
    }
}
