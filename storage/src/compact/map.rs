//! The map of a compaction: newest offset by key, in bounded memory.
//!
//! Keys are represented by 128 bits of keyed hash: SipHash twice, under a secret of the run, so that nobody can make two keys
//! collide on purpose; by chance it does not happen.

use std::hash::{DefaultHasher, Hasher};

/// Bytes of a slot: hash and offset.
const SLOT: usize = 24;

/// Slots of a new map.
const FIRST_SLOTS: usize = 1024;

/// Marks a free slot; offsets are not negative.
const FREE: i64 = -1;

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: [u64; 2],
    offset: i64,
}

const EMPTY: Slot = Slot { hash: [0; 2], offset: FREE };

/// Newest offset by key.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    slots: Vec<Slot>,
    used: usize,
    max_slots: usize,
    seed: u64,
    /// Greatest offset put in.
    latest: Option<i64>,
}

impl OffsetMap {
    /// In at most about `bytes` of memory.
    pub(crate) fn new(bytes: usize, seed: u64) -> OffsetMap {
        // While the map grows, the old slots are there beside the new ones.
        let max_slots = (bytes / SLOT * 2 / 3).max(16);
        OffsetMap { slots: vec![EMPTY; FIRST_SLOTS.min(max_slots)], used: 0, max_slots, seed, latest: None }
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        [0x5bd1_e995, 0x27d4_eb2f].map(|half: u64| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(self.seed ^ half);
            hasher.write(key);
            hasher.finish()
        })
    }

    /// Where a key is, or where it would be put.
    fn find(slots: &[Slot], hash: [u64; 2]) -> usize {
        let len = slots.len();
        let mut at = (hash[0] % len as u64) as usize;
        // Free slots are always left: it ends.
        while slots[at].offset != FREE && slots[at].hash != hash {
            at = (at + 1) % len;
        }
        at
    }

    /// Notes that a record of the key is at an offset, which is above all before. False when the map is full: nothing was noted.
    pub(crate) fn put(&mut self, key: &[u8], offset: i64) -> bool {
        let hash = self.hash(key);
        let mut at = OffsetMap::find(&self.slots, hash);
        if self.slots[at].offset == FREE {
            if !self.reserve() {
                return false;
            }
            at = OffsetMap::find(&self.slots, hash);
            self.used += 1;
        }
        self.slots[at] = Slot { hash, offset };
        self.passed(offset);
        true
    }

    /// Makes room for one more key: at most nine slots in ten are used.
    fn reserve(&mut self) -> bool {
        if (self.used + 1) * 10 <= self.slots.len() * 9 {
            return true;
        }
        let len = (self.slots.len() * 2).min(self.max_slots);
        if len <= self.slots.len() {
            return false;
        }
        let mut slots = vec![EMPTY; len];
        for slot in self.slots.iter().filter(|slot| slot.offset != FREE) {
            let at = OffsetMap::find(&slots, slot.hash);
            slots[at] = *slot;
        }
        self.slots = slots;
        true
    }

    /// Notes that everything up to an offset was looked at.
    pub(crate) fn passed(&mut self, offset: i64) {
        self.latest = self.latest.max(Some(offset));
    }

    /// Offset of the newest record of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<i64> {
        let slot = self.slots[OffsetMap::find(&self.slots, self.hash(key))];
        (slot.offset != FREE).then_some(slot.offset)
    }

    /// Everything up to this offset was looked at.
    pub(crate) fn latest(&self) -> Option<i64> {
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn is_full_within_its_bound() {
        let mut map = OffsetMap::new(24_000, 1);
        let put = (0..10_000_i64).take_while(|offset| map.put(&offset.to_be_bytes(), *offset)).count();
        assert!((500..=667).contains(&put), "{put}");
        assert!(map.slots.len() * SLOT <= 24_000);
        assert!(map.put(&0_i64.to_be_bytes(), 20_000), "a known key needs no room");
        assert_eq!((map.get(&0_i64.to_be_bytes()), map.latest()), (Some(20_000), Some(20_000)));
    }

    proptest! {
        #[test]
        fn equals_a_plain_map(keys in proptest::collection::vec(0..300_u16, 0..2000), seed: u64) {
            let mut map = OffsetMap::new(1 << 20, seed);
            let mut model = HashMap::new();
            for (offset, key) in keys.iter().enumerate() {
                prop_assert!(map.put(&key.to_be_bytes(), offset as i64));
                model.insert(*key, offset as i64);
            }
            for key in 0..300_u16 {
                prop_assert_eq!(map.get(&key.to_be_bytes()), model.get(&key).copied());
            }
        }
    }
}
