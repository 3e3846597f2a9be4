//! Trying everything, breadth first, and trying deep at random.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::world::{Event, Violation, World};

/// What a search found.
#[derive(Debug)]
pub(super) enum Found {
    /// All states were seen, and all are fine.
    Nothing { states: usize },
    /// The shortest way to a state that is not.
    Violation { what: Violation, trace: String },
    /// It was given up.
    TooMany,
}

fn hash(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// Looks at every state that can be reached. States are told apart by 64 bits: with a million states the odds that one is
/// taken for another are one in thirty million.
pub(super) fn search(start: World, limit: usize) -> Found {
    let mut parents = HashMap::from([(hash(&start), None)]);
    let mut queue = VecDeque::from([(hash(&start), start.clone())]);
    while let Some((from, world)) = queue.pop_front() {
        for (number, event) in world.events().into_iter().enumerate() {
            let mut next = world.clone();
            let result = next.apply(&event);
            let to = hash(&next);
            if let Err(what) = result {
                let trace = trace(start, &parents, from, event, &next);
                return Found::Violation { what, trace };
            }
            if let std::collections::hash_map::Entry::Vacant(entry) = parents.entry(to) {
                entry.insert(Some((from, u32::try_from(number).unwrap_or(u32::MAX))));
                queue.push_back((to, next));
            }
        }
        if parents.len() > limit {
            return Found::TooMany;
        }
    }
    Found::Nothing { states: parents.len() }
}

type Parents = HashMap<u64, Option<(u64, u32)>>;

fn trace(start: World, parents: &Parents, mut at: u64, last: Event, end: &World) -> String {
    let mut numbers = Vec::new();
    while let Some(Some((parent, number))) = parents.get(&at) {
        numbers.push(*number);
        at = *parent;
    }
    let (mut world, mut text) = (start, String::new());
    for number in numbers.into_iter().rev() {
        let event = world.events().swap_remove(usize::try_from(number).unwrap_or(0));
        let _ = writeln!(text, "{event:?}");
        let _ = world.apply(&event);
    }
    let _ = writeln!(text, "{last:?}\n{end:?}");
    text
}

/// A random walk. What went wrong, and how it came to that.
pub(super) fn walk(mut world: World, seed: u64, steps: usize) -> Option<(Violation, String)> {
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut text = String::new();
    for _ in 0..steps {
        let mut events = world.events();
        if events.is_empty() {
            return None;
        }
        // xorshift
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let event = events.swap_remove(usize::try_from(random % events.len() as u64).unwrap_or(0));
        let _ = writeln!(text, "{event:?}");
        if let Err(what) = world.apply(&event) {
            let _ = writeln!(text, "{world:?}");
            return Some((what, text));
        }
    }
    None
}
