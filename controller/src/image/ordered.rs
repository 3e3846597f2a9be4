//! An ordered map whose copies share their content.
//!
//! The metadata image is immutable and replaced on every change, with 100,000 entries and more in it. A plain ordered map would
//! be copied whole each time. This one is a sorted list of small sorted chunks, all behind `Arc`: a copy costs one count, a
//! change copies one chunk and the list of chunks, and comparing two versions skips the chunks they share.

use std::{borrow::Borrow, cmp::Ordering, sync::Arc};

/// Entries in a full chunk; a chunk that grows beyond is cut in two.
const CHUNK: usize = 64;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// An ordered map that is cheap to copy. Keys and values are cloned when a shared chunk changes: make them cheap to clone.
#[derive(Debug)]
pub struct OrderedMap<K, V> {
    /// Sorted, no chunk empty.
    chunks: Arc<Vec<Chunk<K, V>>>,
    len: usize,
}

impl<K, V> Clone for OrderedMap<K, V> {
    fn clone(&self) -> Self {
        OrderedMap { chunks: self.chunks.clone(), len: self.len }
    }
}

impl<K, V> Default for OrderedMap<K, V> {
    fn default() -> Self {
        OrderedMap { chunks: Arc::default(), len: 0 }
    }
}

impl<K: Ord, V: PartialEq> PartialEq for OrderedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Ord, V: Eq> Eq for OrderedMap<K, V> {}

impl<K, V> OrderedMap<K, V> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    /// All keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> + '_ {
        self.iter().map(|(key, _)| key)
    }

    /// All values in order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> + '_ {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> OrderedMap<K, V> {
    /// The chunk that holds the key if any does.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.chunks.partition_point(|chunk| chunk.last().is_some_and(|(last, _)| last.borrow() < key))
    }

    fn position<Q: Ord + ?Sized>(chunk: &[(K, V)], key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        chunk.binary_search_by(|(candidate, _)| candidate.borrow().cmp(key))
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let position = Self::position(chunk, key).ok()?;
        chunk.get(position).map(|(_, value)| value)
    }

    /// Whether the key is there.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Entries whose key is `from` or greater, in order.
    pub fn range_from<Q: Ord + ?Sized>(&self, from: &Q) -> impl Iterator<Item = (&K, &V)> + '_
    where
        K: Borrow<Q>,
    {
        let first = self.chunk_of(from);
        let skip = self.chunks.get(first).map_or(0, |chunk| Self::position(chunk, from).unwrap_or_else(|at| at));
        let chunks = self.chunks.get(first..).unwrap_or_default();
        chunks.iter().flat_map(|chunk| chunk.iter()).skip(skip).map(|(key, value)| (key, value))
    }
}

impl<K: Ord + Clone, V: Clone> OrderedMap<K, V> {
    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.chunk_of(key);
        let position = Self::position(self.chunks.get(at)?, key).ok()?;
        let chunk = Arc::make_mut(Arc::make_mut(&mut self.chunks).get_mut(at)?);
        chunk.get_mut(position).map(|(_, value)| value)
    }

    /// Sets the value of a key; the value it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let chunks = Arc::make_mut(&mut self.chunks);
        let at = chunks.partition_point(|chunk| chunk.last().is_some_and(|(last, _)| *last < key));
        // Behind the last key: the last chunk grows.
        let at = at.min(chunks.len().saturating_sub(1));
        let Some(chunk) = chunks.get_mut(at) else {
            chunks.push(Arc::new(vec![(key, value)]));
            self.len += 1;
            return None;
        };
        let entries = Arc::make_mut(chunk);
        match Self::position(entries, &key) {
            Ok(position) => entries.get_mut(position).map(|(_, old)| std::mem::replace(old, value)),
            Err(position) => {
                entries.insert(position, (key, value));
                self.len += 1;
                if entries.len() > CHUNK {
                    // Keys often come in order: a full left chunk wastes least then.
                    let cut = if position + 1 == entries.len() { CHUNK } else { CHUNK / 2 };
                    let right = entries.split_off(cut);
                    chunks.insert(at + 1, Arc::new(right));
                }
                None
            }
        }
    }

    /// Takes a key out; the value it had.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.chunk_of(key);
        let position = Self::position(self.chunks.get(at)?, key).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let entries = Arc::make_mut(chunks.get_mut(at)?);
        let (_, value) = entries.remove(position);
        if entries.is_empty() {
            chunks.remove(at);
        }
        self.len -= 1;
        Some(value)
    }
}

impl<K: Ord, V> OrderedMap<K, V> {
    /// Calls `visit(key, before, after)` for every key whose value is not known to be the same in both maps, in order.
    ///
    /// Chunks that both share are skipped; values of other chunks are all visited, so `visit` compares them itself if
    /// it matters.
    pub fn diff<'a>(&'a self, after: &'a Self, mut visit: impl FnMut(&'a K, Option<&'a V>, Option<&'a V>)) {
        let (old, new) = unshared(&self.chunks, &after.chunks);
        let mut old = old.flat_map(|chunk| chunk.iter()).peekable();
        let mut new = new.flat_map(|chunk| chunk.iter()).peekable();
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((left, _)), Some((right, _))) => left.cmp(right),
            };
            let before = if order.is_le() { old.next() } else { None };
            let now = if order.is_ge() { new.next() } else { None };
            if let Some((key, _)) = before.or(now) {
                visit(key, before.map(|(_, value)| value), now.map(|(_, value)| value));
            }
        }
    }
}

type Chunks<'a, K, V> = Box<dyn Iterator<Item = &'a Chunk<K, V>> + 'a>;

/// The chunks of each side that the other side does not have.
fn unshared<'a, K: Ord, V>(
    old: &'a Arc<Vec<Chunk<K, V>>>,
    new: &'a Arc<Vec<Chunk<K, V>>>,
) -> (Chunks<'a, K, V>, Chunks<'a, K, V>) {
    if Arc::ptr_eq(old, new) {
        return (Box::new(std::iter::empty()), Box::new(std::iter::empty()));
    }
    (Box::new(missing_in(old, new)), Box::new(missing_in(new, old)))
}

/// The chunks of `of` that are not in `other`, found by their first key.
fn missing_in<'a, K: Ord, V>(of: &'a [Chunk<K, V>], other: &'a [Chunk<K, V>]) -> impl Iterator<Item = &'a Chunk<K, V>> {
    of.iter().filter(move |chunk| {
        let same = |candidate: &&Chunk<K, V>| Arc::ptr_eq(candidate, chunk);
        let Some((first, _)) = chunk.first() else { return false };
        let at = other.partition_point(|candidate| candidate.first().is_some_and(|(key, _)| key < first));
        other.get(at).filter(same).is_none()
    })
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for OrderedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = OrderedMap::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

#[cfg(test)]
mod tests;
