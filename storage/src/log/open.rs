//! Opening a log: what the directory holds, what a crash left half done, and the state that follows.
//!
//! Order: names first (leftovers removed, finished compactions taken over), then the segments ([`super::recovery`]), then what is
//! derived from them, epochs and producers ([`super::replay`]). All of it can be interrupted and repeated.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    path::Path,
    sync::Arc,
};

use super::{
    OpenOptions, files,
    loss::{self, Loss},
    recovery::{self, Recovered},
    replay,
    state::State,
};
use crate::{
    block_on::block_on,
    cache::{LogResources, tail::Tail},
    error::OpenError,
    io::{Disk, DiskFile, OpenMode},
    segment::{
        Segment,
        cursor::{Cursor, HEADER_WINDOW},
        format::{FileKind, FileName, Suffix},
    },
};

/// What the directory of a log holds.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// Lengths of the `.log` files by base offset.
    pub(super) segments: BTreeMap<i64, u64>,
    /// Base offsets of transaction indexes.
    pub(super) txns: BTreeSet<i64>,
    /// Offsets of producer snapshots.
    pub(super) snapshots: BTreeSet<i64>,
    /// What earlier starts could not keep, and nobody was told of.
    pub(super) loss: Option<Loss>,
}

/// What the directory of a log lists.
#[derive(Debug, Default)]
struct Names {
    /// Files of the log, with their lengths.
    files: Vec<(FileName, u64)>,
    /// There is a note of a loss.
    has_loss: bool,
}

/// Files to be synced before anybody hears of a log.
pub(crate) type Unsynced = Vec<Arc<dyn DiskFile>>;

/// What whoever opens a log has found out about it already, since the process started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// `partition.metadata` names the topic's id.
    pub(crate) topic_id: bool,
    /// Base offsets of segments whose `.log` file was synced.
    pub(crate) synced: BTreeSet<i64>,
}

/// A log being opened.
#[derive(Debug)]
pub(super) struct Loader<'a> {
    pub(super) resources: &'a Arc<LogResources>,
    pub(super) options: &'a OpenOptions,
    pub(super) now_ms: i64,
}

impl Loader<'_> {
    pub(super) fn disk(&self) -> &dyn Disk {
        self.resources.disk().as_ref()
    }

    pub(super) fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// A segment of this log.
    pub(super) fn segment(&self, inventory: &Inventory, base_offset: i64, len: u64) -> Arc<Segment> {
        let segment = Segment::new(&self.resources.files, self.dir(), base_offset, len, Suffix::None);
        if inventory.txns.contains(&base_offset) {
            segment.set_has_txns();
        }
        Arc::new(segment)
    }

    /// The files in the directory; `None` when there is no directory.
    fn names(&self) -> Result<Option<Names>, OpenError> {
        let entries = match self.disk().list(self.dir()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries?,
        };
        let has_loss = entries.iter().any(|entry| entry.name == loss::FILE_NAME);
        let files = entries.into_iter().filter(|entry| !entry.is_dir);
        let files = files.filter_map(|entry| Some((FileName::parse(&entry.name)?, entry.len))).collect();
        Ok(Some(Names { files, has_loss }))
    }

    /// Makes the directory when it is missing, and sees to it that it belongs to the topic. What is in it.
    fn make_dir(&self, known: &Known) -> Result<Names, OpenError> {
        let names = self.names()?;
        if names.is_none() {
            self.disk().create_dir_all(self.dir())?;
            if let Some(parent) = self.dir().parent() {
                self.disk().sync_dir(parent)?;
            }
        }
        if let Some(topic_id) = self.options.topic_id.filter(|_| !known.topic_id) {
            files::check_metadata(self.disk(), self.dir(), topic_id)?;
        }
        Ok(names.unwrap_or_default())
    }

    /// Removes leftovers among what the directory holds, and takes over what compaction had finished.
    fn inventory(&self, Names { files: mut names, has_loss }: Names) -> Result<Inventory, OpenError> {
        let found = names.len();
        let leftover = |name: &FileName| matches!(name.suffix, Suffix::Deleted | Suffix::Cleaned | Suffix::Tmp);
        for (name, _) in names.iter().filter(|(name, _)| leftover(name)) {
            self.remove(*name)?;
        }
        names.retain(|(name, _)| !leftover(name));
        let swaps: Vec<FileName> =
            names.iter().map(|(name, _)| *name).filter(|name| name.suffix == Suffix::Swap).collect();
        let complete: BTreeSet<i64> =
            swaps.iter().filter(|name| name.kind == FileKind::Log).map(|name| name.base_offset).collect();
        // Without its log the index of a swap is worth nothing.
        for name in swaps.into_iter().filter(|name| !complete.contains(&name.base_offset)) {
            self.remove(name)?;
            names.retain(|(other, _)| *other != name);
        }
        let mut changed = names.len() != found;
        for base_offset in complete {
            self.take_over(base_offset)?;
            names = self.names()?.unwrap_or_default().files;
        }
        let mut inventory = Inventory::default();
        if has_loss {
            inventory.loss = loss::read(self.disk(), self.dir())?;
        }
        for (name, len) in names.iter().filter(|(name, _)| name.suffix == Suffix::None) {
            match name.kind {
                FileKind::Log => drop(inventory.segments.insert(name.base_offset, *len)),
                FileKind::TxnIndex => drop(inventory.txns.insert(name.base_offset)),
                FileKind::Snapshot => drop(inventory.snapshots.insert(name.base_offset)),
                FileKind::OffsetIndex | FileKind::TimeIndex => {}
            }
        }
        for (name, _) in names {
            let index = matches!(name.kind, FileKind::OffsetIndex | FileKind::TimeIndex | FileKind::TxnIndex);
            changed |= index && !inventory.segments.contains_key(&name.base_offset) && self.remove(name)?;
        }
        if changed {
            self.disk().sync_dir(self.dir())?;
        }
        Ok(inventory)
    }

    fn remove(&self, name: FileName) -> Result<bool, OpenError> {
        self.disk().remove_file(&self.dir().join(name.to_string()))?;
        Ok(true)
    }

    /// A compaction had written its result and died before it had replaced the segments: finishes that. The result holds
    /// everything of the segments between its first and last offset.
    fn take_over(&self, base_offset: i64) -> Result<(), OpenError> {
        let swap = |kind| FileName { base_offset, kind, suffix: Suffix::Swap };
        let file = self.disk().open(&self.dir().join(swap(FileKind::Log).to_string()), OpenMode::Read)?;
        let mut cursor = Cursor::new(file.clone(), base_offset, 0, file.len()?, HEADER_WINDOW);
        while let Ok(Some(_)) = block_on(cursor.next()) {}
        for entry in self.disk().list(self.dir())? {
            let Some(name) = FileName::parse(&entry.name).filter(|name| name.suffix == Suffix::None) else { continue };
            let replaced = name.base_offset > base_offset && name.base_offset < cursor.floor();
            if replaced && name.kind != FileKind::Snapshot {
                self.remove(name)?;
            }
        }
        self.disk().sync_dir(self.dir())?;
        let segment = Segment::new(&self.resources.files, self.dir(), base_offset, 0, Suffix::Swap);
        Ok(segment.rename_durably(self.disk(), self.dir(), Suffix::None)?)
    }
}

/// Opens a log: the state to begin with, and what has to be synced before anybody may hear of it.
pub(super) fn load(
    resources: &Arc<LogResources>,
    options: OpenOptions,
    known: &Known,
    now_ms: i64,
) -> Result<(State, Unsynced, Option<Loss>), OpenError> {
    let loader = Loader { resources, options: &options, now_ms };
    let names = loader.make_dir(known)?;
    let mut inventory = loader.inventory(names)?;
    let recovered = recovery::recover(&loader, &mut inventory, known)?;
    let Recovered { sealed, writer, end, syncs, loss, .. } = recovered;
    let first = sealed.keys().next().copied().unwrap_or(writer.segment.base_offset);
    let mut state = State {
        config: Arc::new(options.config.clone()),
        sealed,
        writer,
        start: options.log_start_offset.max(first),
        end,
        written: end,
        staging: Default::default(),
        durable: end,
        synced: end,
        recovery_point: if options.clean { end } else { options.recovery_point.unwrap_or(0).clamp(0, end) },
        epochs: recovered.epochs,
        epochs_on_disk: None,
        producers: Default::default(),
        snapshots: std::mem::take(&mut inventory.snapshots),
        durable_snapshot: -1,
        tail: Tail::default(),
        changes: 1,
        truncated_at: 0,
        unsynced: Vec::new(),
        unsettled: syncs.unsettled,
        history: 0,
        unsynced_since_ms: None,
        flushing: false,
        untold: false,
        sync_wanted: false,
        unproven: recovered.unproven,
        unproven_bytes: recovered.unproven_bytes,
        last_checkpoint_ms: now_ms,
        doomed: VecDeque::new(),
        first_dirty: options.first_dirty_offset.min(end),
        uncleanable: None,
        closed: false,
    };
    replay::rebuild_producers(&loader, &mut state)?;
    state.epochs.truncate_start(first);
    Ok((state, syncs.files, loss))
}
