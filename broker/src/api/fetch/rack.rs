//! From which replica a consumer is to read (KIP-392): the rule of Kafka's `RackAwareReplicaSelector`. Pure.

use crate::replication::leader::FollowerState;

/// The follower that a consumer in `rack` is sent to; `None` when it is to read from the leader. That is so when the leader is in that
/// rack, or nobody is. Among several of the rack it is who has most, and of these who has caught up last.
pub(super) fn choose<'a>(
    rack: &str,
    leader: i32,
    followers: &[FollowerState],
    rack_of: impl Fn(i32) -> Option<&'a str>,
) -> Option<i32> {
    let is_near = |node: i32| rack_of(node) == Some(rack);
    if is_near(leader) {
        return None;
    }
    let near = followers.iter().filter(|follower| is_near(follower.node));
    // Equals go to the lower id.
    near.max_by_key(|follower| (follower.end, follower.caught_up, std::cmp::Reverse(follower.node)))
        .map(|follower| follower.node)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn follower(node: i32, end: i64, caught_up: u64) -> FollowerState {
        FollowerState { node, end, caught_up: Some(Duration::from_secs(caught_up)) }
    }

    #[test]
    fn consumers_read_in_their_own_rack() {
        let racks = |node| [None, Some("a"), Some("b"), Some("b"), Some("c")][usize::try_from(node).unwrap()];
        let followers = [follower(2, 10, 1), follower(3, 10, 2), follower(4, 9, 3)];
        assert_eq!(choose("a", 1, &followers, racks), None, "the leader is near");
        assert_eq!(choose("d", 1, &followers, racks), None, "nobody is");
        assert_eq!(choose("c", 1, &followers, racks), Some(4));
        assert_eq!(choose("b", 1, &followers, racks), Some(3), "who caught up last");
        assert_eq!(choose("b", 1, &[follower(2, 10, 1), follower(3, 10, 1)], racks), Some(2));
        assert_eq!(choose("b", 1, &[follower(2, 11, 1), follower(3, 10, 2)], racks), Some(2), "who has most");
        assert_eq!(choose("b", 0, &[], racks), None);
    }
}
