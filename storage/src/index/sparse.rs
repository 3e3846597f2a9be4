//! Finding things in the files of the sparse indexes: with checks instead of trust, and without holding a file in memory.

use std::{io, sync::Arc};

use bytes::Bytes;

use super::Entry;
use crate::{
    cache::{blocks::BlockCache, files::FileSlot},
    io::DiskFile,
};

/// Bytes read at a time when a whole index is checked.
const CHUNK: usize = 64 << 10;

/// Entries of a block, the unit of reading and caching.
const fn block_entries<E: Entry>() -> u64 {
    (4096 / E::SIZE) as u64
}

/// The sane beginning of an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prefix<E> {
    /// How many entries.
    pub(crate) entries: u64,
    /// The last of them.
    pub(crate) last: Option<E>,
}

/// Reads an index from its beginning for as long as its entries follow each other and `sane` accepts them. Blocks.
pub(crate) fn valid_prefix<E: Entry>(file: &dyn DiskFile, sane: impl Fn(&E) -> bool) -> io::Result<Prefix<E>> {
    let mut prefix = Prefix { entries: 0, last: None };
    let chunk = CHUNK / E::SIZE * E::SIZE;
    let mut buffer = vec![0; chunk];
    loop {
        let read = file.read_at(&mut buffer, prefix.entries * E::SIZE as u64)?;
        for bytes in buffer[..read].chunks_exact(E::SIZE) {
            let Some(entry) = E::decode(bytes) else { return Ok(prefix) };
            let fits = prefix.last.as_ref().map_or(entry.may_be_first(), |last: &E| entry.follows(last));
            if !fits || !sane(&entry) {
                return Ok(prefix);
            }
            prefix = Prefix { entries: prefix.entries + 1, last: Some(entry) };
        }
        if read < chunk {
            return Ok(prefix);
        }
    }
}

/// The same as [`valid_prefix`] for an index that is sane up to somewhere, by bisection: a few entries are read instead of all.
/// Wrong when it is not; whoever uses it checks what the last entry says. Blocks.
pub(crate) fn sane_prefix<E: Entry>(file: &dyn DiskFile, sane: impl Fn(&E) -> bool) -> io::Result<Prefix<E>> {
    let entries = file.len()? / E::SIZE as u64;
    // A short one is read at once.
    let mut short = Vec::new();
    if entries <= block_entries::<E>() {
        short.resize(entries as usize * E::SIZE, 0);
        let read = file.read_at(&mut short, 0)?;
        short.truncate(read);
    }
    let entry = |number: u64| match entries <= block_entries::<E>() {
        true => Ok(in_block(&short, number)),
        false => entry_at::<E>(file, number),
    };
    let (mut low, mut high, mut last) = (0, entries, None);
    while low < high {
        let middle = low + (high - low) / 2;
        match entry(middle)?.filter(|entry| entry.may_be_first() && sane(entry)) {
            Some(entry) => (low, last) = (middle + 1, Some(entry)),
            None => high = middle,
        }
    }
    Ok(Prefix { entries: low, last })
}

/// One entry, read by itself. Blocks.
pub(crate) fn entry_at<E: Entry>(file: &dyn DiskFile, number: u64) -> io::Result<Option<E>> {
    let mut bytes = vec![0; E::SIZE];
    let read = file.read_at(&mut bytes, number.saturating_mul(E::SIZE as u64))?;
    Ok(if read == E::SIZE { E::decode(&bytes) } else { None })
}

/// An index that can be searched: a number of entries in a file. The entries may be damaged.
#[derive(Clone, Debug)]
pub(crate) struct SparseIndex<'a> {
    pub(crate) slot: &'a Arc<FileSlot>,
    pub(crate) blocks: &'a BlockCache,
    pub(crate) entries: u64,
}

impl SparseIndex<'_> {
    /// The entry of that number; `None` beyond the end.
    pub(crate) async fn get<E: Entry>(&self, number: u64) -> io::Result<Option<E>> {
        if number >= self.entries {
            return Ok(None);
        }
        Ok(in_block(&self.block::<E>(number / block_entries::<E>()).await?, number))
    }

    /// The number of the last entry for which `below` holds, given that it holds for a beginning of the index.
    pub(crate) async fn last_where<E: Entry>(&self, below: impl Fn(&E) -> bool) -> io::Result<Option<(u64, E)>> {
        let (mut low, mut high) = (0, self.entries);
        let mut found = None;
        let mut held: Option<(u64, Bytes)> = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let number = middle / block_entries::<E>();
            let block = match held.take() {
                Some((at, block)) if at == number => block,
                _ => self.block::<E>(number).await?,
            };
            let entry = in_block(&block, middle);
            held = Some((number, block));
            match entry {
                Some(entry) if below(&entry) => {
                    found = Some((middle, entry));
                    low = middle + 1;
                }
                _ => high = middle,
            }
        }
        Ok(found)
    }

    async fn block<E: Entry>(&self, number: u64) -> io::Result<Bytes> {
        let per_block = block_entries::<E>();
        // A last block that can still grow must not be kept: its entries belong to the key, so a grown one is another block.
        let entries = per_block.min(self.entries - number * per_block);
        let key = (self.slot.content_id(), number * (per_block + 1) + entries);
        if let Some(block) = self.blocks.get(key) {
            return Ok(block);
        }
        let file = self.slot.get()?;
        let block = file.read(number * per_block * E::SIZE as u64, entries as usize * E::SIZE).await?;
        // A slice of a bigger buffer would hold more than it is counted for.
        let block = Bytes::copy_from_slice(&block);
        self.blocks.insert(key, block.clone());
        Ok(block)
    }
}

/// The entry of that number in its block.
fn in_block<E: Entry>(block: &[u8], number: u64) -> Option<E> {
    let at = (number % block_entries::<E>()) as usize * E::SIZE;
    block.get(at..at + E::SIZE).and_then(E::decode)
}

/// How many entries an index file has before its padding, by bisection: entries that may stand in an index are a beginning of
/// it, zeros are the rest.
pub(crate) async fn count_entries<E: Entry>(slot: &Arc<FileSlot>, blocks: &BlockCache) -> io::Result<u64> {
    let entries = slot.get()?.len()? / E::SIZE as u64;
    let index = SparseIndex { slot, blocks, entries };
    let last = index.last_where::<E>(Entry::may_be_first).await?;
    Ok(last.map_or(0, |(number, _)| number + 1))
}
