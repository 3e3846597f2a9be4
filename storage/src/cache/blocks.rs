//! A bounded cache of index blocks: a look-up in the index of a sealed segment reads a few blocks, most of them shared with
//! the look-up before.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
};

use bytes::Bytes;
use parking_lot::Mutex;

/// Which block: the content id of the file ([`super::files::FileSlot::content_id`]) and the number of the block in it.
pub(crate) type BlockKey = (u64, u64);

/// Bytes that a cached block costs beside its content, roughly.
const OVERHEAD: usize = 128;

#[derive(Default)]
struct Blocks {
    map: HashMap<BlockKey, (Bytes, bool)>,
    clock: VecDeque<BlockKey>,
    bytes: usize,
}

/// Index blocks of all logs of a directory.
pub(crate) struct BlockCache {
    limit: usize,
    blocks: Mutex<Blocks>,
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockCache").field("limit", &self.limit).field("bytes", &self.bytes()).finish()
    }
}

impl BlockCache {
    /// At most `limit` bytes.
    pub(crate) fn new(limit: usize) -> BlockCache {
        BlockCache { limit, blocks: Mutex::default() }
    }

    pub(crate) fn get(&self, key: BlockKey) -> Option<Bytes> {
        let mut blocks = self.blocks.lock();
        let (content, used) = blocks.map.get_mut(&key)?;
        *used = true;
        Some(content.clone())
    }

    pub(crate) fn insert(&self, key: BlockKey, content: Bytes) {
        let cost = content.len() + OVERHEAD;
        let mut blocks = self.blocks.lock();
        if cost > self.limit || blocks.map.contains_key(&key) {
            return;
        }
        blocks.map.insert(key, (content, false));
        blocks.clock.push_back(key);
        blocks.bytes += cost;
        // Twice round at most: the first round takes the second chances away.
        for _ in 0..2 * blocks.clock.len() {
            if blocks.bytes <= self.limit {
                return;
            }
            let Some(candidate) = blocks.clock.pop_front() else { return };
            match blocks.map.get_mut(&candidate) {
                Some((_, used)) if *used => {
                    *used = false;
                    blocks.clock.push_back(candidate);
                }
                _ => {
                    if let Some((content, _)) = blocks.map.remove(&candidate) {
                        blocks.bytes -= content.len() + OVERHEAD;
                    }
                }
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.blocks.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_limit_and_prefers_what_is_used() {
        let cache = BlockCache::new(10 * (100 + OVERHEAD));
        for block in 0..10 {
            cache.insert((1, block), Bytes::from(vec![0; 100]));
        }
        assert!(cache.get((1, 0)).is_some());
        for block in 10..19 {
            cache.insert((1, block), Bytes::from(vec![0; 100]));
            assert!(cache.bytes() <= 10 * (100 + OVERHEAD));
        }
        assert!(cache.get((1, 0)).is_some(), "used since the hand passed");
        assert!(cache.get((1, 1)).is_none());
        cache.insert((2, 0), Bytes::from(vec![0; 4000]));
        assert!(cache.get((2, 0)).is_none(), "bigger than the cache");
    }
}
