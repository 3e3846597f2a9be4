//! Topics whose creation was acknowledged are there, under their ids, on every node.

use super::Sight;
use crate::sim::history::History;

/// Looks at the end.
pub fn check(history: &History, nodes: &[Sight]) -> Vec<String> {
    let mut gone = Vec::new();
    for sight in nodes {
        let image = sight.node.image();
        let missing = history.topics.iter().filter(|(name, id)| image.topics.id_of(name) != Some(**id));
        gone.extend(missing.map(|(name, _)| format!("topics stay: {name} is gone at {}", sight.id)));
    }
    gone
}
