//! Snapshot files: the whole image at one index.
//!
//! `<index, 20 digits>-<term, 10 digits>.checkpoint` in the directory of the metadata log. A file is a sequence of blocks, each a length
//! (u32), a CRC-32C (u32) and that many bytes:
//!
//! 1. header: magic, version, log id, membership, the image's indexes;
//! 2. any number of blocks of encoded metadata records that build the image from nothing;
//! 3. footer: magic and the number of records.
//!
//! It is written under a `.tmp` name, synced, renamed, and the directory is synced. The two newest are kept, and the log is kept back to
//! the older one, so that a damaged file costs a replay and no metadata.

use std::{
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use goatq_storage::io::{Disk, DiskFile, OpenMode};

use super::{LogId, SnapshotMeta, StoredMembership, log_id, membership};
use crate::{
    image::{MetadataImage, records},
    record::MetadataRecord,
    replay::replay,
};

const HEADER_MAGIC: u32 = 0x6751_5331;
const FOOTER_MAGIC: u32 = 0x6751_5346;
const VERSION: u16 = 1;
/// A block of records is closed once it has this many bytes.
const BLOCK: usize = 64 << 10;
/// No block is longer; a record is far shorter.
const MAX_BLOCK: usize = 16 << 20;
/// Snapshots that are kept.
const KEPT: usize = 2;
const SUFFIX: &str = ".checkpoint";

/// Longest snapshot that is read or received, in bytes.
pub const MAX_SNAPSHOT: u64 = 4 << 30;

/// A snapshot to be read: a file, or what another node sent.
#[derive(Clone, Debug)]
pub enum SnapshotData {
    /// In memory.
    Memory(Bytes),
    /// On disk.
    File {
        /// The file.
        file: Arc<dyn DiskFile>,
        /// Its length in bytes.
        len: u64,
    },
}

impl SnapshotData {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            SnapshotData::Memory(bytes) => bytes.len() as u64,
            SnapshotData::File { len, .. } => *len,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of its bytes; fewer than `len` at the end only.
    pub async fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        match self {
            SnapshotData::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.slice(start..start.saturating_add(len).min(bytes.len())))
            }
            SnapshotData::File { file, .. } => file.read(offset, len).await,
        }
    }
}

/// What a snapshot holds.
#[derive(Clone, Debug)]
pub struct SnapshotContent {
    /// The last entry that is in it; `None` while nothing was applied.
    pub last: Option<LogId>,
    /// Who was in the quorum.
    pub membership: StoredMembership,
    /// The image.
    pub image: MetadataImage,
}

impl SnapshotContent {
    /// What openraft wants to know of it.
    pub fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last, last_membership: self.membership.clone() }
    }
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

/// Puts the blocks of a snapshot together.
struct Writer {
    out: BytesMut,
    block: BytesMut,
}

impl Writer {
    fn seal(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let block = self.block.split().freeze();
        // A block is a few MiB at most: records are bounded by the codec's strings and arrays.
        self.out.put_u32(u32::try_from(block.len()).unwrap_or(u32::MAX));
        self.out.put_u32(crc32c::crc32c(&block));
        self.out.put_slice(&block);
    }

    fn push(&mut self, record: &MetadataRecord) -> io::Result<()> {
        record.encode(&mut self.block).map_err(|error| invalid(format!("a record cannot be written: {error}")))?;
        if self.block.len() >= BLOCK {
            self.seal();
        }
        Ok(())
    }
}

/// Writes a snapshot into memory. Lets other tasks run in between.
pub async fn encode(content: &SnapshotContent) -> io::Result<Bytes> {
    let mut writer = Writer { out: BytesMut::new(), block: BytesMut::new() };
    encode_header(content, &mut writer.block)?;
    writer.seal();
    let mut count: u64 = 0;
    for record in records(&content.image) {
        writer.push(&record)?;
        count += 1;
        if count.is_multiple_of(1_024) {
            tokio::task::yield_now().await;
        }
    }
    writer.seal();
    writer.block.put_u32(FOOTER_MAGIC);
    writer.block.put_u64(count);
    writer.seal();
    Ok(writer.out.freeze())
}

fn encode_header(content: &SnapshotContent, block: &mut BytesMut) -> io::Result<()> {
    let members = membership::encode(content.membership.membership()).map_err(|error| invalid(error.to_string()))?;
    block.put_u32(HEADER_MAGIC);
    block.put_u16(VERSION);
    put_log_id(block, content.last);
    put_log_id(block, *content.membership.log_id());
    block.put_i64(content.image.applied_index);
    block.put_i64(content.image.changed_index);
    block.put_u32(u32::try_from(members.len()).map_err(|_| invalid("the membership is too long"))?);
    block.put_slice(&members);
    Ok(())
}

fn put_log_id(block: &mut BytesMut, id: Option<LogId>) {
    let (term, index) = id.map_or((0, 0), |id| (id.leader_id.term, id.index));
    block.put_u8(u8::from(id.is_some()));
    block.put_u64(term);
    block.put_u64(index);
}

/// Reads blocks from a snapshot.
struct Reader {
    rest: Bytes,
}

impl Reader {
    fn block(&mut self) -> io::Result<Bytes> {
        if self.rest.len() < 8 {
            return Err(invalid("the snapshot ends within a block"));
        }
        let (length, crc) = (self.rest.get_u32(), self.rest.get_u32());
        let length = usize::try_from(length).ok().filter(|length| *length <= MAX_BLOCK.min(self.rest.len()));
        let block = self.rest.split_to(length.ok_or_else(|| invalid("a block is longer than the snapshot"))?);
        if crc32c::crc32c(&block) != crc {
            return Err(invalid("a block is damaged: its CRC does not match"));
        }
        Ok(block)
    }
}

/// Reads what [`encode`] wrote.
pub fn decode(bytes: Bytes) -> io::Result<SnapshotContent> {
    let mut reader = Reader { rest: bytes };
    let mut content = decode_header(reader.block()?)?;
    let (applied_index, changed_index) = (content.image.applied_index, content.image.changed_index);
    let mut count: u64 = 0;
    loop {
        let mut block = reader.block()?;
        if reader.rest.is_empty() {
            if block.len() != 12 || block.get_u32() != FOOTER_MAGIC || block.get_u64() != count {
                return Err(invalid("the snapshot has no footer, or not the one that belongs to it"));
            }
            break;
        }
        while !block.is_empty() {
            let record = MetadataRecord::decode(&mut block).map_err(|error| invalid(error.to_string()))?;
            replay(&mut content.image, &record).map_err(|error| invalid(error.to_string()))?;
            count += 1;
        }
    }
    content.image.applied_index = applied_index;
    content.image.changed_index = changed_index;
    Ok(content)
}

fn decode_header(mut block: Bytes) -> io::Result<SnapshotContent> {
    const FIXED: usize = 4 + 2 + 17 + 17 + 8 + 8 + 4;
    if block.len() < FIXED || block.get_u32() != HEADER_MAGIC {
        return Err(invalid("this is no metadata snapshot"));
    }
    let version = block.get_u16();
    if version != VERSION {
        return Err(invalid(format!("snapshot version {version} is not known: written by a newer release?")));
    }
    let mut position = || {
        let (present, term, index) = (block.get_u8() != 0, block.get_u64(), block.get_u64());
        present.then(|| log_id(term, index))
    };
    let (last, membership_id) = (position(), position());
    let (applied_index, changed_index) = (block.get_i64(), block.get_i64());
    if block.get_u32() as usize != block.len() {
        return Err(invalid("the membership of the snapshot is cut off"));
    }
    let members = membership::decode(block).map_err(|error| invalid(error.to_string()))?;
    let image = MetadataImage { applied_index, changed_index, ..MetadataImage::default() };
    Ok(SnapshotContent { last, membership: StoredMembership::new(membership_id, members), image })
}

/// The snapshot files of one directory.
#[derive(Debug)]
pub struct SnapshotStore {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// The newest one that is whole.
    current: Option<(SnapshotMeta, PathBuf)>,
}

impl SnapshotStore {
    /// Looks for snapshots and reads the newest one that is whole. Removes what an interrupted write left. Blocks.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> io::Result<(SnapshotStore, Option<SnapshotContent>)> {
        let mut store = SnapshotStore { disk, dir: dir.to_owned(), current: None };
        for (name, _) in store.names(&format!("{SUFFIX}.tmp"))? {
            store.disk.remove_file(&store.dir.join(name))?;
        }
        for (name, len) in store.names(SUFFIX)?.into_iter().rev() {
            let path = store.dir.join(&name);
            match store.load(&path, len) {
                Ok(content) => {
                    store.current = Some((content.meta(), path));
                    return Ok((store, Some(content)));
                }
                Err(error) => {
                    tracing::error!(snapshot = %path.display(), %error, "metadata snapshot cannot be read, trying the one before");
                }
            }
        }
        Ok((store, None))
    }

    /// Names and lengths of the files with a suffix, oldest first.
    fn names(&self, suffix: &str) -> io::Result<Vec<(String, u64)>> {
        let files =
            self.disk.list(&self.dir)?.into_iter().filter(|entry| !entry.is_dir && entry.name.ends_with(suffix));
        Ok(files.map(|entry| (entry.name, entry.len)).collect())
    }

    fn load(&self, path: &Path, len: u64) -> io::Result<SnapshotContent> {
        if len > MAX_SNAPSHOT {
            return Err(invalid(format!("it has {len} bytes, more than {MAX_SNAPSHOT}")));
        }
        let len = usize::try_from(len).map_err(|_| invalid("it does not fit the memory"))?;
        let mut bytes = vec![0; len];
        let read = self.disk.open(path, OpenMode::Read)?.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        decode(bytes.into())
    }

    /// The newest snapshot.
    pub fn current(&self) -> io::Result<Option<(SnapshotMeta, SnapshotData)>> {
        let Some((meta, path)) = &self.current else { return Ok(None) };
        let file = self.disk.open(path, OpenMode::Read)?;
        let len = file.len()?;
        Ok(Some((meta.clone(), SnapshotData::File { file, len })))
    }

    /// Keeps a snapshot: it is durable when this returns. Older ones but one are removed.
    pub async fn save(&mut self, meta: SnapshotMeta, bytes: &Bytes) -> io::Result<SnapshotData> {
        let Some(last) = meta.last_log_id else {
            // Of nothing; there is no need to keep that.
            return Ok(SnapshotData::Memory(bytes.clone()));
        };
        let name = format!("{:020}-{:010}{SUFFIX}", last.index, last.leader_id.term);
        let (path, temporary) = (self.dir.join(&name), self.dir.join(format!("{name}.tmp")));
        let file = self.disk.open(&temporary, OpenMode::Create)?;
        file.truncate(0)?;
        let mut offset = 0;
        for chunk in bytes.chunks(1 << 20) {
            file.write_at(&[IoSlice::new(chunk)], offset)?;
            offset += chunk.len() as u64;
            tokio::task::yield_now().await;
        }
        file.sync().await?;
        self.disk.rename(&temporary, &path)?;
        self.disk.open_dir(&self.dir)?.sync().await?;
        self.current = Some((meta, path));
        self.remove_old()?;
        Ok(SnapshotData::File { file, len: offset })
    }

    fn remove_old(&self) -> io::Result<()> {
        let names = self.names(SUFFIX)?;
        let current = self.current.as_ref().and_then(|(_, path)| path.file_name()?.to_str());
        let old = names.len().saturating_sub(KEPT);
        for (name, _) in names.iter().take(old).filter(|(name, _)| Some(name.as_str()) != current) {
            self.disk.remove_file(&self.dir.join(name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
