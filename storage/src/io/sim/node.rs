//! Files and directories of the simulated disk: what a reader sees now, and what would be there after a power cut.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
};

use parking_lot::Mutex;

use super::sparse::{CHUNK, SparseBytes};

/// Unsynced bytes a file may have before its oldest ones are written back, as a kernel does on its own.
const WRITE_BACK_BYTES: u64 = 64 << 20;

/// A change of a file that no sync has covered yet.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
}

impl Change {
    fn nothing() -> Change {
        Change::Write { offset: 0, data: Vec::new() }
    }

    fn overlaps(&self, other: &Change) -> bool {
        match (self, other) {
            (Change::Write { offset: a, data: x }, Change::Write { offset: b, data: y }) => {
                *a < b + y.len() as u64 && *b < a + x.len() as u64
            }
            _ => false,
        }
    }

    pub(super) fn apply(&self, content: &mut SparseBytes) {
        match self {
            Change::Write { offset, data } => content.write(*offset, data),
            Change::SetLen(len) => content.set_len(*len),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Change::Write { data, .. } => data.len() as u64,
            Change::SetLen(_) => 0,
        }
    }
}

/// A file without its name.
#[derive(Debug, Default)]
pub(super) struct FileNode {
    /// The name it last had, for choosing faults.
    pub(super) path: PathBuf,
    pub(super) live: SparseBytes,
    pub(super) durable: SparseBytes,
    pending: VecDeque<Change>,
    pending_bytes: u64,
    /// Changes ever made; `changes - pending.len()` of them are no longer pending.
    changes: u64,
    reserved: u64,
    /// A hasty disk has said of so many changes that they are durable.
    pub(super) promised: u64,
    /// Whether its room counts: it has a name.
    pub(super) linked: bool,
}

impl FileNode {
    pub(super) fn new(path: PathBuf) -> FileNode {
        FileNode { path, linked: true, ..FileNode::default() }
    }

    /// A file as found after a restart of the machine: all that is there is durable.
    pub(super) fn settled(path: PathBuf, content: SparseBytes) -> FileNode {
        FileNode { path, live: content.clone(), durable: content, linked: true, ..FileNode::default() }
    }

    pub(super) fn allocated(&self) -> u64 {
        if self.linked { self.live.allocated().max(self.reserved.div_ceil(CHUNK) * CHUNK) } else { 0 }
    }

    pub(super) fn reserve(&mut self, len: u64) {
        self.reserved = self.reserved.max(len);
    }

    /// Room inside what was reserved counts as allocated already.
    pub(super) fn unused_reservation(&self) -> u64 {
        self.allocated().saturating_sub(self.live.allocated())
    }

    pub(super) fn change(&mut self, change: Change) {
        if let Change::SetLen(len) = change {
            self.reserved = self.reserved.min(len);
        }
        change.apply(&mut self.live);
        self.changes += 1;
        self.pending_bytes += change.bytes();
        self.pending.push_back(change);
        while self.pending_bytes > WRITE_BACK_BYTES {
            self.settle_one(true);
        }
    }

    pub(super) fn pending(&self) -> impl Iterator<Item = &Change> {
        self.pending.iter()
    }

    /// Names the changes made so far, for [`FileNode::settle`].
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// A sync of the first `upto` changes ended: they are durable, or, when it failed, silently gone.
    pub(super) fn settle(&mut self, upto: u64, kept: bool) {
        while self.changes - (self.pending.len() as u64) < upto && self.settle_one(kept) {}
    }

    /// A direct write, the change of that number (counted from 1), ended: it is durable, or, when it failed, silently gone. Other
    /// changes are as uncertain as they were.
    pub(super) fn settle_alone(&mut self, number: u64, kept: bool) {
        let settled = self.changes - self.pending.len() as u64;
        let index = number.checked_sub(settled + 1).and_then(|index| usize::try_from(index).ok());
        let Some(change) = index.and_then(|index| self.pending.get_mut(index)) else { return };
        let change = std::mem::replace(change, Change::nothing());
        self.pending_bytes -= change.bytes();
        for earlier in self.pending.iter_mut().take(index.unwrap_or(0)) {
            // One that nobody waited for has landed, or is overtaken.
            if earlier.overlaps(&change) {
                self.pending_bytes -= earlier.bytes();
                *earlier = Change::nothing();
            }
        }
        if kept {
            change.apply(&mut self.durable);
        }
    }

    fn settle_one(&mut self, kept: bool) -> bool {
        let Some(change) = self.pending.pop_front() else { return false };
        self.pending_bytes -= change.bytes();
        if kept {
            change.apply(&mut self.durable);
        }
        true
    }
}

/// A file or directory.
#[derive(Clone, Debug)]
pub(super) enum Node {
    File(Arc<Mutex<FileNode>>),
    Dir(Arc<Mutex<DirNode>>),
}

impl Node {
    fn same(&self, other: &Node) -> bool {
        match (self, other) {
            (Node::File(a), Node::File(b)) => Arc::ptr_eq(a, b),
            (Node::Dir(a), Node::Dir(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// The names in one directory at one moment.
pub(super) type Names = BTreeMap<String, Node>;

/// A change of names that no sync of the directory has covered yet.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Link { name: String, node: Node },
    Unlink { name: String },
    Rename { from: String, to: String, node: Node },
}

impl NameChange {
    pub(super) fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Link { name, node } => {
                names.insert(name.clone(), node.clone());
            }
            NameChange::Unlink { name } => {
                names.remove(name);
            }
            NameChange::Rename { from, to, node } => {
                if names.get(from).is_some_and(|found| found.same(node)) {
                    names.remove(from);
                }
                // Where only some changes survive a crash the node may sit under a third name; it has one name only.
                names.retain(|_, other| !other.same(node));
                names.insert(to.clone(), node.clone());
            }
        }
    }
}

/// A directory.
#[derive(Debug, Default)]
pub(super) struct DirNode {
    pub(super) live: Names,
    pub(super) durable: Names,
    pending: VecDeque<NameChange>,
    changes: u64,
}

impl DirNode {
    /// A directory as found after a restart of the machine.
    pub(super) fn settled(names: Names) -> DirNode {
        DirNode { live: names.clone(), durable: names, ..DirNode::default() }
    }

    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.live);
        self.changes += 1;
        self.pending.push_back(change);
    }

    pub(super) fn pending(&self) -> &VecDeque<NameChange> {
        &self.pending
    }

    /// Names the changes made so far, for [`DirNode::settle`].
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// A sync of the first `upto` changes ended: they are durable, or, when it failed, silently gone.
    pub(super) fn settle(&mut self, upto: u64, kept: bool) {
        while self.changes - (self.pending.len() as u64) < upto {
            let Some(change) = self.pending.pop_front() else { return };
            if kept {
                change.apply(&mut self.durable);
            }
        }
    }
}
