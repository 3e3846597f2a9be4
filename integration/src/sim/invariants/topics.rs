//! Topics whose creation was acknowledged are there, under their ids, on every node, and those whose deletion was are gone.

use super::Sight;
use crate::traffic::history::History;

/// Looks at the end.
pub fn check(history: &History, nodes: &[Sight]) -> Vec<String> {
    let mut gone = Vec::new();
    for sight in nodes {
        let image = sight.node.image();
        let missing = history.topics.iter().filter(|(name, id)| image.topics.id_of(name) != Some(**id));
        gone.extend(missing.map(|(name, _)| format!("topics stay: {name} is gone at {}", sight.id)));
        let back = history.gone.iter().filter(|name| image.topics.id_of(name).is_some());
        gone.extend(back.map(|name| format!("deleted topics go: {name} is there at {}", sight.id)));
        let held = sight.node.partitions().all();
        let held = held.iter().filter(|partition| history.gone.contains(partition.topic()));
        gone.extend(held.map(|partition| format!("deleted topics go: {} holds {partition:?}", sight.id)));
        let partitions = |name: &str| image.topics.by_name(name).map_or(0, |topic| topic.partitions.len());
        let small = history.grown.iter().filter(|(name, count)| partitions(name) < **count);
        gone.extend(
            small.map(|(name, count)| format!("topics grow: {name} has no {count} partitions at {}", sight.id)),
        );
    }
    gone
}
