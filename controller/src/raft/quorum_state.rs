//! The file `quorum-state.bin`: the vote, and how far the log is committed, proven and purged.
//!
//! Two slots of one disk sector each. A slot holds magic, version, a sequence number, the values and a CRC; the newer valid
//! one counts. Every write goes to the slot that does not hold the last synced state, so a write that is lost or torn leaves that state.
//!
//! Vote and purge mark are synced before they count. How far the log is committed and proven is written without a sync: losing it
//! costs a scan and a replay, nothing else.

use std::{
    io::{self, IoSlice},
    path::Path,
    sync::Arc,
};

use bytes::{Buf, BufMut};
use goatq_protocol::Uuid;
use goatq_storage::io::{Disk, DiskFile, OpenMode, replace_file};

use super::{LogId, Vote, log_id};

/// Name of the file in the directory of the metadata log.
pub const FILE_NAME: &str = "quorum-state.bin";

const SLOT: usize = 512;
const MAGIC: u32 = 0x6751_5354;
const VERSION: u16 = 1;
/// Bytes of a slot that have a meaning, the CRC at their end included.
const USED: usize = 4 + 2 + 8 + 4 + 16 + 18 + 17 + 17 + 8 + 4;

/// What the file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuorumState {
    /// Which node this is; another number in the file means that a disk was swapped.
    pub node_id: u32,
    /// The log directory; as above.
    pub directory_id: Uuid,
    /// The last vote given or leader accepted.
    pub vote: Option<Vote>,
    /// Everything up to here was committed, at least.
    pub committed: Option<LogId>,
    /// Everything up to here was removed from the log because snapshots have it.
    pub purged: Option<LogId>,
    /// Entries below this index were durable: damage there is bit rot, and the end of the log does not lie there. A truncation
    /// lowers it first.
    pub proven: u64,
}

/// The open file with its content.
#[derive(Debug)]
pub struct QuorumStateFile {
    file: Arc<dyn DiskFile>,
    state: QuorumState,
    sequence: u64,
    /// The slot that holds the last synced state.
    synced_slot: usize,
}

impl QuorumStateFile {
    /// Opens the file, or makes one with the given identity. Blocks. Syncs only when it makes it.
    pub fn open(disk: &dyn Disk, dir: &Path, node_id: u32, directory_id: Uuid) -> io::Result<QuorumStateFile> {
        let path = dir.join(FILE_NAME);
        let exists = disk.exists(&path)?;
        if !exists {
            let state = QuorumState { node_id, directory_id, ..QuorumState::default() };
            let content = [encode(1, &state), encode(0, &state)].concat();
            replace_file(disk, &path, &content)?;
        }
        let file = disk.open(&path, OpenMode::Write)?;
        let mut slots = [0u8; 2 * SLOT];
        file.read_at(&mut slots, 0)?;
        let newest = (0..2)
            .filter_map(|slot| Some((slot, decode(slots.get(slot * SLOT..(slot + 1) * SLOT)?)?)))
            .max_by_key(|(_, (sequence, _))| *sequence);
        let Some((slot, (sequence, state))) = newest else {
            let reason = format!("{} holds no valid state: both copies are damaged", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        };
        check_identity(&state, node_id, directory_id)?;
        // The newer copy may be the unsynced one of a process that was killed: it is synced before anything is built on it.
        if exists {
            file.sync_now()?;
        }
        Ok(QuorumStateFile { file, state, sequence, synced_slot: slot })
    }

    /// The present state.
    pub fn state(&self) -> &QuorumState {
        &self.state
    }

    /// Writes a state; it is durable when this returns. After an error the file must not be written again.
    pub async fn save(&mut self, state: QuorumState) -> io::Result<()> {
        self.state = state;
        let slot = self.write()?;
        self.file.sync().await?;
        self.synced_slot = slot;
        // The other copy follows without a sync, so that soon a damaged sector cannot bring an older vote back.
        self.write().map(|_| ())
    }

    /// Writes how far the log is committed and proven, without a sync.
    pub fn note(&mut self, committed: Option<LogId>, proven: u64) -> io::Result<()> {
        self.state.committed = committed;
        self.state.proven = proven;
        self.write().map(|_| ())
    }

    /// Writes the state to the slot that is not the last synced one; the slot.
    fn write(&mut self) -> io::Result<usize> {
        let slot = 1 - self.synced_slot;
        self.sequence += 1;
        let content = encode(self.sequence, &self.state);
        self.file.write_at(&[IoSlice::new(&content)], (slot * SLOT) as u64)?;
        Ok(slot)
    }
}

fn check_identity(state: &QuorumState, node_id: u32, directory_id: Uuid) -> io::Result<()> {
    if (state.node_id, state.directory_id) == (node_id, directory_id) {
        return Ok(());
    }
    let reason = format!(
        "the state of the quorum belongs to node {} with log directory {}, this is node {node_id} with log directory {directory_id}",
        state.node_id, state.directory_id
    );
    Err(io::Error::new(io::ErrorKind::InvalidData, reason))
}

fn encode(sequence: u64, state: &QuorumState) -> [u8; SLOT] {
    let mut bytes = Vec::with_capacity(SLOT);
    bytes.put_u32(MAGIC);
    bytes.put_u16(VERSION);
    bytes.put_u64(sequence);
    bytes.put_u32(state.node_id);
    bytes.put_slice(&state.directory_id.0);
    let (term, voted_for) = state.vote.map_or((0, 0), |vote| (vote.leader_id.term, vote.leader_id.voted_for));
    bytes.put_u8(u8::from(state.vote.is_some()));
    bytes.put_u64(term);
    bytes.put_u64(voted_for);
    bytes.put_u8(u8::from(state.vote.is_some_and(|vote| vote.committed)));
    for position in [state.committed, state.purged] {
        let (term, index) = position.map_or((0, 0), |position| (position.leader_id.term, position.index));
        bytes.put_u8(u8::from(position.is_some()));
        bytes.put_u64(term);
        bytes.put_u64(index);
    }
    bytes.put_u64(state.proven);
    bytes.put_u32(crc32c::crc32c(&bytes));
    let mut slot = [0; SLOT];
    slot.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    slot
}

/// Sequence number and state of a slot; `None` when it does not hold one.
fn decode(slot: &[u8]) -> Option<(u64, QuorumState)> {
    let (mut bytes, mut crc) = slot.get(..USED)?.split_at_checked(USED - 4)?;
    if crc.get_u32() != crc32c::crc32c(bytes) || bytes.get_u32() != MAGIC || bytes.get_u16() != VERSION {
        return None;
    }
    let sequence = bytes.get_u64();
    let node_id = bytes.get_u32();
    let mut directory_id = [0; 16];
    bytes.copy_to_slice(&mut directory_id);
    let (has_vote, term, voted_for, established) =
        (bytes.get_u8() != 0, bytes.get_u64(), bytes.get_u64(), bytes.get_u8() != 0);
    let vote = if established { Vote::new_committed(term, voted_for) } else { Vote::new(term, voted_for) };
    let mut position = || {
        let (present, term, index) = (bytes.get_u8() != 0, bytes.get_u64(), bytes.get_u64());
        present.then(|| log_id(term, index))
    };
    let (committed, purged) = (position(), position());
    let (proven, directory_id, vote) = (bytes.get_u64(), Uuid(directory_id), has_vote.then_some(vote));
    Some((sequence, QuorumState { node_id, directory_id, vote, committed, purged, proven }))
}

#[cfg(test)]
mod tests;
