//! Settings in YAML: keys as they are (`log.dirs: /data`), nested (`log: {dirs: /data}`) or both.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::{Entry, Origin};

/// Deeper nesting than any key has parts is an error, not a configuration.
const MAX_DEPTH: usize = 16;

/// Why a text is not a set of settings.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// Not YAML, or YAML beyond the parser's limits.
    #[error("not valid YAML: {0}")]
    Syntax(String),
    /// The document is something else than a map of keys.
    #[error("a configuration is a map of keys and values")]
    NotAMap,
    /// One key has two values, as it is and nested or nested in two places.
    #[error("line {line}: {key} is given twice")]
    Twice {
        /// The key.
        key: String,
        /// Line of the second value.
        line: usize,
    },
    /// A map or a list where a plain value is needed.
    #[error("line {line}: {key} needs a plain value or a list of plain values")]
    NotPlain {
        /// The key.
        key: String,
        /// Line of the value.
        line: usize,
    },
    /// More levels of maps than a key has parts.
    #[error("line {line}: {key} is nested too deeply")]
    TooDeep {
        /// The key so far.
        key: String,
        /// Line of the value.
        line: usize,
    },
}

/// A piece of YAML of unknown shape.
enum Node {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Spanned<Node>)>),
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a map")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct Walk<'a> {
    path: &'a Path,
    entries: Vec<Entry>,
    seen: HashSet<String>,
}

impl Walk<'_> {
    fn add(&mut self, key: String, node: Node, line: usize, depth: usize) -> Result<(), YamlError> {
        let value = match node {
            Node::Null => String::new(),
            Node::Scalar(text) => text,
            Node::List(items) => {
                let texts: Option<Vec<String>> = items
                    .into_iter()
                    .map(|item| if let Node::Scalar(text) = item { Some(text) } else { None })
                    .collect();
                texts.ok_or_else(|| YamlError::NotPlain { key: key.clone(), line })?.join(",")
            }
            Node::Map(_) if depth == MAX_DEPTH => return Err(YamlError::TooDeep { key, line }),
            Node::Map(children) => {
                for (name, child) in children {
                    let line = line_of(&child);
                    self.add(format!("{key}.{name}"), child.value, line, depth + 1)?;
                }
                return Ok(());
            }
        };
        if !self.seen.insert(key.clone()) {
            return Err(YamlError::Twice { key, line });
        }
        let origin = Origin::File(self.path.to_owned(), line);
        self.entries.push(Entry { name: key, value, origin });
        Ok(())
    }
}

fn line_of(node: &Spanned<Node>) -> usize {
    usize::try_from(node.referenced.line()).unwrap_or(0)
}

/// Reads settings from YAML; `path` is for messages only. A null is an empty value, which unsets a key.
///
/// # Errors
/// See [`YamlError`].
pub fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, YamlError> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Vec::new());
    }
    let root: Node = serde_saphyr::from_str(text).map_err(|error| YamlError::Syntax(error.to_string()))?;
    let Node::Map(children) = root else { return Err(YamlError::NotAMap) };
    let mut walk = Walk { path, entries: Vec::new(), seen: HashSet::new() };
    for (name, child) in children {
        let line = line_of(&child);
        walk.add(name, child.value, line, 1)?;
    }
    Ok(walk.entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String, Origin)>, String> {
        let entries = parse(text, Path::new("c.yaml")).map_err(|error| error.to_string())?;
        Ok(entries.into_iter().map(|e| (e.name, e.value, e.origin)).collect())
    }

    #[test]
    fn flat_and_nested_keys_are_the_same() {
        let text = "# comment\nnode.id: 3\nlog:\n  dirs: [/a, /b]\n  retention.ms: -1\nnum:\n  partitions: 4\n\
                    listeners: 'PLAINTEXT://:9092'\nauto.create.topics.enable: false\nbroker.rack: ~\n\
                    log.cleaner.min.cleanable.ratio: 0.25\n";
        let line = |n| Origin::File("c.yaml".into(), n);
        let expected = [
            ("node.id", "3", line(2)),
            ("log.dirs", "/a,/b", line(4)),
            ("log.retention.ms", "-1", line(5)),
            ("num.partitions", "4", line(7)),
            ("listeners", "PLAINTEXT://:9092", line(8)),
            ("auto.create.topics.enable", "false", line(9)),
            ("broker.rack", "", line(10)),
            ("log.cleaner.min.cleanable.ratio", "0.25", line(11)),
        ];
        let expected = expected.map(|(k, v, o)| (k.to_owned(), v.to_owned(), o)).to_vec();
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn what_is_no_configuration_says_why() {
        assert_eq!(read("\n# nothing\n"), Ok(vec![]));
        assert!(read("a: [").unwrap_err().starts_with("not valid YAML"));
        assert!(read("- a").unwrap_err().contains("map of keys"));
        assert!(read("log.dirs: a\nlog:\n  dirs: b\n").unwrap_err().contains("line 3: log.dirs is given twice"));
        assert!(read("log.dirs: a\nlog.dirs: b\n").unwrap_err().contains("duplicate"));
        assert!(read("log.dirs: [[a]]").unwrap_err().contains("plain value"));
        let deep = (0..20).map(|n| format!("{}k:\n", " ".repeat(n))).collect::<String>() + &" ".repeat(20) + "v";
        assert!(read(&deep).unwrap_err().contains("nested too deeply"));
    }
}
