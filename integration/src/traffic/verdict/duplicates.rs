//! Each value is there once at most, nothing is there that nobody sent, and those of a producer are in its order without a gap.

use std::collections::BTreeMap;

use super::{Replicas, Stored};
use crate::traffic::history::History;

/// Looks at the end.
pub fn check(history: &History, replicas: &Replicas) -> Vec<String> {
    let mut wrong = Vec::new();
    for (place, sent) in &history.sent {
        let Some(of) = replicas.get(place) else { continue };
        for (node, replica) in of {
            let mut next: BTreeMap<u32, u32> = BTreeMap::new();
            for (offset, stored) in &replica.records {
                let Some(value) = stored.value.filter(|value| sent.contains(value)) else {
                    wrong.push(format!("only what was sent: {place:?} {offset} of {node}: {stored:?}"));
                    continue;
                };
                let may_begin_later = history.deleted.contains_key(place);
                let first = if may_begin_later { value.number } else { 0 };
                let expected = next.entry(value.producer).or_insert(first);
                if value.number != *expected {
                    wrong.push(format!(
                        "once and in order: {place:?} {offset} of {node}: {value:?}, expected was {expected}"
                    ));
                }
                *expected = value.number + 1;
            }
        }
    }
    for (place, sent) in &history.careless {
        for (node, replica) in replicas.get(place).into_iter().flatten() {
            let strange = |stored: &Stored| stored.value.is_none_or(|value| !sent.contains(&value));
            let strange = replica.records.iter().filter(|(_, stored)| strange(stored));
            wrong.extend(
                strange.map(|(offset, stored)| format!("only what was sent: {place:?} {offset} of {node}: {stored:?}")),
            );
        }
    }
    wrong
}
