//! `meta.properties`: which cluster, node and directory a log directory belongs to (version 1, KRaft).

use std::{collections::BTreeMap, fmt::Write, str::FromStr};

use goatq_protocol::Uuid;

/// Name of the file in a log directory.
pub(super) const FILE_NAME: &str = "meta.properties";

/// Most bytes of such a file that are looked at.
pub(super) const MAX_LEN: usize = 64 << 10;

/// The identity of a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// `cluster.id`.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: i32,
    /// `directory.id`; directories formatted before Kafka 3.7 have none.
    pub directory_id: Option<Uuid>,
}

impl MetaProperties {
    /// Reads a file; the reason when it cannot be used.
    pub fn parse(content: &[u8]) -> Result<MetaProperties, String> {
        let properties = properties(std::str::from_utf8(content).map_err(|_| "it is not text".to_owned())?)?;
        let get = |key: &str| properties.get(key).map(String::as_str);
        let required = |key: &str| get(key).ok_or_else(|| format!("it has no {key}"));
        match required("version")? {
            "1" => {}
            "0" => {
                return Err(
                    "it is from Kafka with ZooKeeper; migrate that cluster to KRaft with Kafka first".to_owned()
                );
            }
            other => return Err(format!("its version is {other}; this program knows version 1")),
        }
        let node_id = required("node.id")?;
        let directory_id = get("directory.id").map(|id| match Uuid::from_str(id) {
            Ok(id) if !id.is_reserved() => Ok(id),
            _ => Err(format!("directory.id {id:?} is no directory id")),
        });
        Ok(MetaProperties {
            cluster_id: required("cluster.id")?.to_owned(),
            node_id: node_id.parse().map_err(|_| format!("node.id {node_id:?} is no number"))?,
            directory_id: directory_id.transpose()?,
        })
    }

    /// The content of the file.
    pub fn encode(&self) -> String {
        let mut text = String::from("#\n");
        let mut line = |key: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key}={}", escape(value));
        };
        line("cluster.id", &self.cluster_id);
        if let Some(id) = self.directory_id {
            line("directory.id", &id.to_string());
        }
        line("node.id", &self.node_id.to_string());
        line("version", "1");
        text
    }
}

/// Escapes what Java's properties give a meaning to.
fn escape(value: &str) -> String {
    value.chars().fold(String::with_capacity(value.len()), |mut text, char| {
        if matches!(char, ':' | '=' | '#' | '!' | '\\') {
            text.push('\\');
        }
        text.push(char);
        text
    })
}

/// Java's properties, without continued lines and \u escapes, which no program writes here.
fn properties(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut properties = BTreeMap::new();
    for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with(['#', '!'])) {
        let (key, rest) = token(line, |char| matches!(char, '=' | ':') || char.is_whitespace())?;
        let rest = rest.trim_start();
        let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
        let (value, _) = token(rest, |_| false)?;
        properties.insert(key, value);
    }
    Ok(properties)
}

/// Takes characters up to an unescaped one that ends the token, and gives the rest from there on.
fn token(text: &str, ends: impl Fn(char) -> bool) -> Result<(String, &str), String> {
    let mut token = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some((_, 't')) => token.push('\t'),
                Some((_, 'u')) | None => {
                    return Err(format!("its line {text:?} has an escape this program does not know"));
                }
                Some((_, escaped)) => token.push(escaped),
            },
            char if ends(char) => return Ok((token, &text[at..])),
            char => token.push(char),
        }
    }
    Ok((token, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_file_is_read() {
        let file = b"#\n#Sat Nov 21 11:48:22 UTC 2026\nnode.id=1\ndirectory.id=rGEy-fKaQXzR7Q-7pLFgkQ\nversion=1\n\
                     cluster.id=MkU3OEVBNTcwNTJENDM2Qg\n";
        let meta = MetaProperties::parse(file).unwrap();
        assert_eq!((meta.cluster_id.as_str(), meta.node_id), ("MkU3OEVBNTcwNTJENDM2Qg", 1));
        assert_eq!(meta.directory_id.unwrap().to_string(), "rGEy-fKaQXzR7Q-7pLFgkQ");
        assert_eq!(MetaProperties::parse(meta.encode().as_bytes()), Ok(meta));
    }

    #[test]
    fn odd_but_legal_files_are_read_as_java_reads_them() {
        let file = b"! old\n  node.id : 7\r\nversion 1\ncluster.id=a\\:b\\=c d\nother.key=x\n";
        let meta = MetaProperties::parse(file).unwrap();
        assert_eq!(meta, MetaProperties { cluster_id: "a:b=c d".to_owned(), node_id: 7, directory_id: None });
        assert_eq!(MetaProperties::parse(meta.encode().as_bytes()), Ok(meta));
    }

    #[test]
    fn unusable_files_say_why() {
        for (content, reason) in [
            (&b""[..], "no version"),
            (b"version=0\nbroker.id=1\n", "ZooKeeper"),
            (b"version=2\n", "version is 2"),
            (b"version=1\nnode.id=1\n", "no cluster.id"),
            (b"version=1\ncluster.id=x\n", "no node.id"),
            (b"version=1\ncluster.id=x\nnode.id=one\n", "no number"),
            (b"version=1\ncluster.id=x\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAA\n", "no directory id"),
            (b"version=1\ncluster.id=x\\", "escape"),
            (b"\xff", "not text"),
        ] {
            let error = MetaProperties::parse(content).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
