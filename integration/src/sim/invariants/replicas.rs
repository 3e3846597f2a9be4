//! Replicas are the same below the least high watermark of them.

use super::Replicas;

/// Looks at the end.
pub fn check(replicas: &Replicas) -> Vec<String> {
    let mut wrong = Vec::new();
    for (place, of) in replicas {
        let mut all = of.iter();
        let Some((first, expected)) = all.next() else { continue };
        let committed = of.values().map(|replica| replica.high_watermark).min().unwrap_or(0);
        for (node, replica) in all {
            let (left, right) = (expected.records.range(..committed), replica.records.range(..committed));
            if let Some((left, right)) = left.zip(right).find(|(left, right)| left != right) {
                wrong.push(format!("equal replicas: {place:?}: {first} has {left:?}, {node} has {right:?}"));
            }
        }
    }
    wrong
}
