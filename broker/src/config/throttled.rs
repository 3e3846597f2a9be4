//! Which replicas of a topic are throttled while they are copied (KIP-73).

use std::collections::BTreeSet;

use super::check::list_items;

/// The value of `leader.replication.throttled.replicas` or `follower.replication.throttled.replicas`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ThrottledReplicas {
    /// None of them.
    #[default]
    None,
    /// All: `*`.
    All,
    /// These: partition and broker.
    These(BTreeSet<(i32, i32)>),
}

impl ThrottledReplicas {
    /// Reads a value that has been checked; what is no pair of numbers is left out.
    pub fn parse(text: &str) -> Self {
        if text.trim() == "*" {
            return Self::All;
        }
        let pair = |item: &str| {
            let (partition, broker) = item.split_once(':')?;
            Some((partition.trim().parse().ok()?, broker.trim().parse().ok()?))
        };
        let these: BTreeSet<(i32, i32)> = list_items(text).filter_map(pair).collect();
        if these.is_empty() { Self::None } else { Self::These(these) }
    }

    /// Whether the replica of a partition on a broker is one of them.
    pub fn has(&self, partition: i32, broker: i32) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::These(these) => these.contains(&(partition, broker)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_named_by_partition_and_broker() {
        let some = ThrottledReplicas::parse("0:101, 1:102");
        assert!(some.has(0, 101) && some.has(1, 102) && !some.has(0, 102));
        assert!(ThrottledReplicas::parse("*").has(7, 7));
        assert_eq!(ThrottledReplicas::parse(""), ThrottledReplicas::None);
    }
}
