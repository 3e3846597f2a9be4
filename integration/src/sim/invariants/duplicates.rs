//! Each value is there once at most, nothing is there that nobody sent, and those of a producer are in its order without a gap.

use std::collections::BTreeMap;

use super::Replicas;
use crate::sim::history::History;

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
                let expected = next.entry(value.producer).or_default();
                if value.number != *expected {
                    wrong.push(format!(
                        "once and in order: {place:?} {offset} of {node}: {value:?}, expected was {expected}"
                    ));
                }
                *expected = value.number + 1;
            }
        }
    }
    wrong
}
