//! What the replicas of stopped nodes have, read from their files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use bytes::Bytes;

use super::site::Site;
use crate::traffic::LOAD;
use crate::traffic::verdict::{Replica, Replicas};

/// Kafka's file of high watermarks.
const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";

/// Reads the partitions of clients at all brokers.
///
/// # Errors
/// A file is missing or damaged.
pub fn read(sites: &[Site]) -> anyhow::Result<Replicas> {
    let mut replicas = Replicas::new();
    for site in sites.iter().filter(|site| site.is_broker()) {
        let logs = site.system.logs(site);
        let committed = high_watermarks(&logs)?;
        for (topic, index, folder) in folders(&logs)? {
            if topic != LOAD && !topic.starts_with("other-") {
                continue;
            }
            let mut replica = Replica::default();
            replica
                .take(&bytes_of(&folder)?)
                .map_err(anyhow::Error::msg)
                .with_context(|| format!("{topic}-{index} of node {}", site.id))?;
            replica.high_watermark = committed.get(&(topic.clone(), index)).copied().unwrap_or(0);
            replicas.entry((topic, index)).or_default().insert(site.id, replica);
        }
    }
    Ok(replicas)
}

/// Partitions whose segments are not the same at all brokers that have them, byte for byte.
///
/// # Errors
/// A file cannot be read.
pub fn unequal(sites: &[Site]) -> anyhow::Result<Vec<String>> {
    let mut first = BTreeMap::new();
    let mut wrong = Vec::new();
    for site in sites.iter().filter(|site| site.is_broker()) {
        // Internal topics are compacted by each node in its own time.
        for (topic, index, folder) in
            folders(&site.system.logs(site))?.into_iter().filter(|(topic, ..)| !topic.starts_with("__"))
        {
            let bytes = bytes_of(&folder)?;
            let (node, expected) = first.entry((topic.clone(), index)).or_insert_with(|| (site.id, bytes.clone()));
            if *expected != bytes {
                let same = expected.iter().zip(&bytes).take_while(|(left, right)| left == right).count();
                let lengths = (expected.len(), bytes.len());
                wrong.push(format!(
                    "equal replicas: {topic}-{index}: {node} and {} differ at byte {same} of {lengths:?}",
                    site.id
                ));
            }
        }
    }
    Ok(wrong)
}

/// The folders of partitions, each with topic and index.
fn folders(logs: &Path) -> anyhow::Result<Vec<(String, i32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(logs).with_context(|| logs.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let split = name.rsplit_once('-').map(|(topic, index)| (topic.to_owned(), index.parse()));
        if let Some((topic, Ok(index))) =
            split.filter(|(topic, _)| topic != "__cluster_metadata" && entry.path().is_dir())
        {
            found.push((topic, index, entry.path()));
        }
    }
    Ok(found)
}

/// The segments of a partition, one behind the other.
fn bytes_of(folder: &Path) -> anyhow::Result<Bytes> {
    let files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    let segments: BTreeSet<_> =
        files.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "log")).collect();
    let mut bytes = Vec::new();
    for path in segments {
        bytes.extend(std::fs::read(path)?);
    }
    Ok(bytes.into())
}

fn high_watermarks(logs: &Path) -> anyhow::Result<BTreeMap<(String, i32), i64>> {
    let text = std::fs::read_to_string(logs.join(HIGH_WATERMARKS)).context(HIGH_WATERMARKS)?;
    let mut found = BTreeMap::new();
    for line in text.lines().skip(2) {
        let words: Vec<_> = line.split(' ').collect();
        ensure!(words.len() == 3, "{HIGH_WATERMARKS}: {line}");
        found.insert((words[0].to_owned(), words[1].parse()?), words[2].parse()?);
    }
    Ok(found)
}
