//! How much is logged, changeable while the node runs: what Kafka calls broker loggers.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tracing::level_filters::LevelFilter;

/// The logger that all others follow unless they have a level of their own.
pub const ROOT: &str = "root";

/// Parts of the program that can have a level of their own, by the names they log under.
const NAMES: &[&str] = &[
    ROOT,
    "goatq_broker",
    "goatq_broker::api",
    "goatq_broker::coordinator",
    "goatq_broker::metadata",
    "goatq_broker::net",
    "goatq_broker::partition",
    "goatq_broker::tasks",
    "goatq_controller",
    "goatq_storage",
    "openraft",
];

/// Names of Kafka's levels; there is none above ERROR here, so FATAL is the same.
const LEVELS: &[(&str, LevelFilter)] = &[
    ("DEBUG", LevelFilter::DEBUG),
    ("ERROR", LevelFilter::ERROR),
    ("FATAL", LevelFilter::ERROR),
    ("INFO", LevelFilter::INFO),
    ("TRACE", LevelFilter::TRACE),
    ("WARN", LevelFilter::WARN),
];

/// Puts levels into force: `root=info,goatq_broker::net=debug`.
pub type Apply = Box<dyn Fn(&str) + Send + Sync>;

/// Why a level stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoggerError {
    /// No part of the program logs under that name.
    #[error("Logger {0} does not exist!")]
    Unknown(String),
    /// Not a level.
    #[error(
        "Cannot set the log level of {0} to {1} as it is not a supported log level. Valid log levels are DEBUG, ERROR, \
         FATAL, INFO, TRACE, WARN"
    )]
    Level(String, String),
    /// The root logger always has a level.
    #[error("Removing the log level of the {ROOT} logger is not allowed")]
    Root,
}

/// The levels of one node.
pub struct Loggers {
    levels: Mutex<BTreeMap<&'static str, &'static str>>,
    apply: Apply,
}

impl Loggers {
    /// INFO for all; changes are handed to `apply`.
    pub fn new(apply: Apply) -> Self {
        Self { levels: Mutex::new(BTreeMap::from([(ROOT, "INFO")])), apply }
    }

    /// For nodes inside of other programs, which log as those do: levels are kept but change nothing.
    pub fn detached() -> Self {
        Self::new(Box::new(|_| {}))
    }

    /// Every logger with its level.
    pub fn all(&self) -> Vec<(&'static str, &'static str)> {
        let levels = self.levels.lock();
        let root = levels.get(ROOT).copied().unwrap_or("INFO");
        NAMES.iter().map(|name| (*name, inherited(&levels, name).unwrap_or(root))).collect()
    }

    /// Checks changes: a name with its new level, None to follow the root again.
    ///
    /// # Errors
    /// The first change that is not possible.
    pub fn check(changes: &[(&str, Option<&str>)]) -> Result<(), LoggerError> {
        for (name, level) in changes {
            if !NAMES.contains(name) {
                return Err(LoggerError::Unknown((*name).to_owned()));
            }
            match level {
                Some(level) if !LEVELS.iter().any(|(known, _)| known == level) => {
                    return Err(LoggerError::Level((*name).to_owned(), (*level).to_owned()));
                }
                None if *name == ROOT => return Err(LoggerError::Root),
                _ => {}
            }
        }
        Ok(())
    }

    /// Puts changes into force, all or none. They are forgotten when the node stops.
    ///
    /// # Errors
    /// See [`Self::check`].
    pub fn change(&self, changes: &[(&str, Option<&str>)]) -> Result<(), LoggerError> {
        Self::check(changes)?;
        let mut levels = self.levels.lock();
        for (name, level) in changes {
            let Some(name) = NAMES.iter().find(|known| *known == name) else { continue };
            match level.and_then(|level| LEVELS.iter().find(|(known, _)| *known == level)) {
                Some((level, _)) => levels.insert(name, level),
                None => levels.remove(name),
            };
        }
        (self.apply)(&directives(&levels));
        Ok(())
    }
}

/// The level of the nearest part above that has one of its own.
fn inherited(levels: &BTreeMap<&'static str, &'static str>, name: &str) -> Option<&'static str> {
    let above = |own: &&str| name == *own || name.strip_prefix(*own).is_some_and(|rest| rest.starts_with("::"));
    levels.iter().filter(|(own, _)| above(own)).max_by_key(|(own, _)| own.len()).map(|(_, level)| *level)
}

/// Levels in the notation of tracing's filters.
fn directives(levels: &BTreeMap<&'static str, &'static str>) -> String {
    let filter = |level: &str| LEVELS.iter().find(|(known, _)| *known == level).map(|(_, filter)| filter.to_string());
    let directive = |(name, level): (&&str, &&str)| {
        let filter = filter(level).unwrap_or_default();
        if *name == ROOT { filter } else { format!("{name}={filter}") }
    };
    levels.iter().map(directive).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn levels_change_are_inherited_and_reach_the_filter() {
        let last = Arc::new(Mutex::new(String::new()));
        let sink = last.clone();
        let loggers = Loggers::new(Box::new(move |text| text.clone_into(&mut sink.lock())));
        let level = |name: &str| loggers.all().into_iter().find(|(known, _)| *known == name).map(|(_, level)| level);
        assert_eq!(level("goatq_broker::net"), Some("INFO"));
        loggers.change(&[("goatq_broker", Some("DEBUG")), (ROOT, Some("WARN"))]).unwrap();
        assert_eq!(level("goatq_broker::net"), Some("DEBUG"));
        assert_eq!(level("goatq_storage"), Some("WARN"));
        assert_eq!(*last.lock(), "goatq_broker=debug,warn");
        loggers.change(&[("goatq_broker", None)]).unwrap();
        assert_eq!(level("goatq_broker::net"), Some("WARN"));
        assert_eq!(*last.lock(), "warn");
    }

    #[test]
    fn impossible_changes_change_nothing() {
        let loggers = Loggers::detached();
        let before = loggers.all();
        let cases = [
            ([("goatq_storage", Some("INFO")), ("nobody", Some("INFO"))], "Logger nobody does not exist!"),
            ([("goatq_storage", Some("NOISY")), (ROOT, Some("INFO"))], "to NOISY as it is not a supported"),
            ([("goatq_storage", Some("ERROR")), (ROOT, None)], "root logger is not allowed"),
        ];
        for (changes, message) in cases {
            let error = loggers.change(&changes).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            assert_eq!(loggers.all(), before);
        }
    }
}
