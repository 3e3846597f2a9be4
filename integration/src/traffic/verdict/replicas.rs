//! Replicas are the same below the least high watermark of them; of a compacted topic each has what it has left.

use super::Replicas;
use crate::traffic::history::{History, Place};

/// Looks at the end.
pub fn check(history: &History, replicas: &Replicas) -> Vec<String> {
    let mut wrong = Vec::new();
    for (place, of) in replicas {
        let mut all = of.iter();
        let Some((first, expected)) = all.next() else { continue };
        let committed = of.values().map(|replica| replica.high_watermark).min().unwrap_or(0);
        for (node, replica) in all {
            let from = history.deleted_to(place).min(committed);
            let both = |offset: &i64| {
                !is_compacted(place) || (expected.records.contains_key(offset) && replica.records.contains_key(offset))
            };
            let left = expected.records.range(from..committed).filter(|(offset, _)| both(offset));
            let right = replica.records.range(from..committed).filter(|(offset, _)| both(offset));
            if let Some((left, right)) = left.zip(right).find(|(left, right)| left != right) {
                wrong.push(format!("equal replicas: {place:?}: {first} has {left:?}, {node} has {right:?}"));
            }
        }
    }
    wrong
}

fn is_compacted((topic, _): &Place) -> bool {
    topic == "__consumer_offsets"
}
