//! What was acknowledged, and what anybody has seen, is at its offset at the end.

use super::Replicas;
use crate::traffic::history::History;

/// Looks at the end.
pub fn check(history: &History, replicas: &Replicas) -> Vec<String> {
    let mut lost = Vec::new();
    for (place, content) in &history.content {
        let longest = replicas.get(place).and_then(|of| of.values().max_by_key(|replica| replica.high_watermark));
        for (offset, value) in content.range(history.deleted_to(place)..) {
            let found = longest.and_then(|replica| replica.records.get(offset)).and_then(|stored| stored.value);
            if found == Some(*value) {
                continue;
            }
            let acked = history.acked.get(place).is_some_and(|acked| acked.contains_key(value));
            let what = if acked { "acknowledged" } else { "seen" };
            lost.push(format!("nothing is lost: {place:?} {offset}: {value:?} was {what}, {found:?} is there"));
        }
    }
    lost
}
