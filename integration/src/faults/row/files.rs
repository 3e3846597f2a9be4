//! Files that are missing, old or strange, and disks that are in the wrong place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;

use super::Fault;
use crate::faults::field::Field;
use crate::faults::site::Site;

/// How long a node may take to start, or to refuse to.
const START: Duration = Duration::from_secs(60);
/// What follows from logs, and may be missing.
const DERIVED: &[&str] = &["index", "timeindex", "snapshot"];
/// What says how far logs are known.
const CHECKPOINTS: &[&str] = &[
    "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint",
    "replication-offset-checkpoint",
    "leader-epoch-checkpoint",
    ".kafka_cleanshutdown",
];

/// Indexes, snapshots and checkpoints that are gone, too long, or of an earlier time.
#[derive(Debug, Default)]
pub struct Derived {
    old: BTreeMap<PathBuf, Vec<u8>>,
    stopped: Option<i32>,
}

impl Fault for Derived {
    fn prepare(&mut self, sites: &mut [Site]) -> anyhow::Result<()> {
        // Many segments.
        sites.iter_mut().for_each(|site| site.settings.push("log.segment.bytes=1048576".to_owned()));
        Ok(())
    }

    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let id = field.leader(0)?;
        if round.is_multiple_of(2) {
            field.site(id).kill()?
        } else {
            field.site(id).terminate()?
        }
        self.stopped = Some(id);
        let (mut derived, mut checkpoints) = (Vec::new(), Vec::new());
        for path in files(&field.site(id).data.clone())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // The quorum's log is another affair: what it has said it has.
            let is_quorum = path.components().any(|part| part.as_os_str() == "__cluster_metadata-0");
            if CHECKPOINTS.contains(&name.as_str()) && !is_quorum {
                checkpoints.push(path);
            } else if DERIVED.iter().any(|kind| path.extension().is_some_and(|found| found == *kind)) && !is_quorum {
                derived.push(path);
            }
        }
        let what = match round % 4 {
            0 => {
                derived.iter().try_for_each(std::fs::remove_file)?;
                format!("{} indexes and snapshots are gone", derived.len())
            }
            1 => {
                checkpoints.iter().try_for_each(std::fs::remove_file)?;
                format!("{} checkpoints are gone", checkpoints.len())
            }
            2 => {
                for path in &derived {
                    let mut bytes = std::fs::read(path)?;
                    bytes.extend([0xa5; 1 << 16]);
                    std::fs::write(path, bytes)?;
                }
                format!("{} indexes and snapshots are too long", derived.len())
            }
            _ => {
                let old: Vec<_> = self.old.iter().filter(|(path, _)| path.exists()).collect();
                old.iter().try_for_each(|(path, bytes)| std::fs::write(path, bytes))?;
                format!("{} checkpoints and indexes are old", old.len())
            }
        };
        for path in derived.iter().chain(&checkpoints).filter(|path| path.exists()) {
            if !self.old.contains_key(path) {
                self.old.insert(path.clone(), std::fs::read(path)?);
            }
        }
        Ok(format!("{what} at {id}"))
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        let Some(id) = self.stopped.take() else { return Ok(()) };
        field.site(id).spawn()?;
        field.site(id).until_open(START)
    }
}

/// All files below.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { found.extend(files(&entry.path())?) } else { found.push(entry.path()) }
    }
    Ok(found)
}

/// Brokers with the disk of another, an empty one, or an older copy of their own.
#[derive(Debug, Default)]
pub struct Wrong {
    swapped: Option<(i32, i32)>,
    stopped: Vec<i32>,
}

impl Fault for Wrong {
    fn strike(&mut self, field: &mut Field, round: usize) -> anyhow::Result<String> {
        let (id, other) = (field.leader(0)?, field.follower(0)?);
        match round % 3 {
            0 => {
                self.stopped = vec![id, other];
                for id in [id, other] {
                    field.site(id).terminate()?;
                }
                self.swapped = Some((id, other));
                swap(field, id, other)?;
                for id in [id, other] {
                    field.site(id).spawn()?;
                    let refused = field.site(id).until_ended(START);
                    ensure!(refused.is_ok(), "{id} works with the disk of another: {refused:?}");
                }
                Ok(format!("{id} and {other} have each other's disk"))
            }
            1 => {
                self.stopped = vec![id];
                field.site(id).kill()?;
                std::fs::remove_dir_all(&field.site(id).data)?;
                Ok(format!("{id} has an empty disk"))
            }
            _ => {
                self.stopped = vec![id];
                let data = field.site(id).data.clone();
                let copy = data.with_extension("copy");
                field.site(id).terminate()?;
                crate::crash_image::disk::run(std::process::Command::new("cp").arg("-a").arg(&data).arg(&copy))?;
                field.site(id).start()?;
                field.until_whole(START)?;
                field.hold(Duration::from_secs(4));
                field.site(id).terminate()?;
                std::fs::remove_dir_all(&data)?;
                std::fs::rename(copy, data)?;
                Ok(format!("{id} has an older copy of its disk"))
            }
        }
    }

    fn heal(&mut self, field: &mut Field) -> anyhow::Result<()> {
        if let Some((id, other)) = self.swapped.take() {
            swap(field, id, other)?;
        }
        field.start_again(&std::mem::take(&mut self.stopped), START)
    }
}

fn swap(field: &mut Field, one: i32, other: i32) -> anyhow::Result<()> {
    let (one, other) = (field.site(one).data.clone(), field.site(other).data.clone());
    let aside = one.with_extension("aside");
    std::fs::rename(&one, &aside)?;
    std::fs::rename(&other, &one)?;
    Ok(std::fs::rename(aside, other)?)
}
