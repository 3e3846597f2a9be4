//! Settings in environment variables: `GOATQ_LOG_DIRS` and, as the image of Apache Kafka has it, `KAFKA_LOG_DIRS`.
//!
//! `_` stands for `.`, `__` for `_`, `___` for `-`. A variable of ours wins over the same one of Kafka's.

use super::{Entry, Origin, Problem};
use crate::config::table;

/// Variables with our prefix that are not settings.
const OURS: &[&str] = &["GOATQ_CONFIG", "GOATQ_LOG"];

/// What was found in the environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Settings, weaker ones first.
    pub entries: Vec<Entry>,
    /// Variables that look like settings and are not.
    pub warnings: Vec<Problem>,
}

/// The key that a variable's name (without prefix) stands for.
fn key_of(name: &str) -> String {
    name.replace("___", "-").replace("__", "\u{0}").replace('_', ".").replace('\u{0}', "_").to_ascii_lowercase()
}

/// Whether Kubernetes made the variable, for a service that happens to have the name of the program.
fn is_service_link(name: &str) -> bool {
    let port = |rest: &str| rest.is_empty() || rest.starts_with('_');
    name.contains("SERVICE_HOST")
        || name.contains("SERVICE_PORT")
        || name.strip_prefix("PORT").is_some_and(port)
        || name.ends_with("_PORT")
        || name.contains("_PORT_")
}

/// Picks the settings out of the environment. A variable with our prefix must name a key (the check comes later); one
/// with Kafka's prefix that names none is reported, because other programs use that prefix too.
pub fn read(variables: impl Iterator<Item = (String, String)>) -> Environment {
    let mut variables: Vec<_> = variables.collect();
    variables.sort();
    let mut found = Environment::default();
    for (prefix, strict) in [("KAFKA_", false), ("GOATQ_", true)] {
        for (variable, value) in &variables {
            let Some(name) = variable.strip_prefix(prefix) else { continue };
            if OURS.contains(&variable.as_str()) || is_service_link(name) {
                continue;
            }
            let key = key_of(name);
            let origin = Origin::Environment(variable.clone());
            if strict || table::broker_key(&key).is_some() || table::former_key(&key).is_some() {
                found.entries.push(Entry { name: key, value: value.clone(), origin });
            } else if !name.ends_with("_OPTS") {
                let what = "is not a configuration key and is ignored".to_owned();
                found.warnings.push(Problem { key, origin: Some(origin), what });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_pairs(pairs: &[(&str, &str)]) -> Environment {
        read(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn names_are_mapped_as_in_kafkas_image() {
        assert_eq!(key_of("LOG_DIRS"), "log.dirs");
        assert_eq!(key_of("A__B_C___D"), "a_b.c-d");
        let found = read_pairs(&[
            ("GOATQ_LOG_DIRS", "/ours"),
            ("GOATQ_LOG", "debug"),
            ("GOATQ_NO_SUCH", "1"),
            ("KAFKA_LOG_DIRS", "/theirs"),
            ("KAFKA_HEAP_OPTS", "-Xmx1g"),
            ("KAFKA_VERSION", "4"),
            ("PATH", "/bin"),
        ]);
        let entries: Vec<_> = found.entries.iter().map(|e| (e.name.as_str(), e.value.as_str())).collect();
        assert_eq!(entries, [("log.dirs", "/theirs"), ("log.dirs", "/ours"), ("no.such", "1")]);
        let warned: Vec<_> = found.warnings.iter().map(|w| w.key.as_str()).collect();
        assert_eq!(warned, ["version"]);
    }

    #[test]
    fn variables_of_kubernetes_services_are_not_settings() {
        let found = read_pairs(&[
            ("GOATQ_SERVICE_HOST", "10.0.0.1"),
            ("GOATQ_SERVICE_PORT_CLIENT", "9092"),
            ("GOATQ_PORT", "tcp://10.0.0.1:9092"),
            ("GOATQ_PORT_9092_TCP_ADDR", "10.0.0.1"),
            ("GOATQ_HEADLESS_SERVICE_HOST", "10.0.0.1"),
            ("GOATQ_CLIENT_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
            ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
        ]);
        assert_eq!(found, Environment::default());
    }
}
