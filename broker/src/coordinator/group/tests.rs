//! Scripts for every rule, and random members who must end up in a stable group.

mod chaos;
mod scripts;
mod show;

use std::sync::Arc;
use std::time::Duration;

use super::partition_of;
use super::shard::GroupShard;
use super::state::GroupState;
use super::turn::GroupRules;
use crate::coordinator::runtime::testing::TestShard;
use crate::metrics::coordinator::GroupMetrics;

fn rules() -> GroupRules {
    GroupRules {
        min_session_timeout_ms: 6_000,
        max_session_timeout_ms: 1_800_000,
        initial_rebalance_delay: Duration::from_secs(3),
        max_members: usize::MAX,
        max_pending_members: 3,
        max_groups: 100,
        new_member_timeout: Duration::from_mins(5),
        max_offset_metadata: 16,
        offsets_retention_ms: 86_400_000,
        expiry_interval: Duration::from_mins(10),
    }
}

fn shard(rules: GroupRules) -> TestShard<GroupShard> {
    let (rules, metrics) = (Arc::new(rules), Arc::new(GroupMetrics::default()));
    TestShard::new(move || GroupShard::new(rules.clone(), metrics.clone()))
}

/// Invariant: durable state is the replay of the log; and a group at rest is what its record says.
fn check_replay(shard: &TestShard<GroupShard>) {
    let live = shard.machine();
    assert_eq!(live.durable(), shard.replayed().durable(), "live state is not the replay of the log");
    for group in live.groups.values() {
        let Some(stored) = &group.stored else { continue };
        let at_rest = matches!(group.state, GroupState::Stable | GroupState::Empty) && group.joining_count() == 0;
        if at_rest && !group.unstored {
            let mut now = group.to_stored(|member| member.assignment.clone());
            now.since_ms = stored.since_ms;
            assert_eq!(now, **stored, "group {} is not what its record says", group.id);
        }
    }
}

#[test]
fn groups_are_spread_as_kafka_does() {
    // Java: "my-group".hashCode() is 1,154,318,116; "polygenelubricants" has the one hash without an absolute value.
    assert_eq!(partition_of("", 50), 0);
    assert_eq!(partition_of("a", 50), 97 % 50);
    assert_eq!(partition_of("polygenelubricants", 50), 0);
    assert_eq!(partition_of("gruppe-ä-\u{1F410}", 50), java_partition("gruppe-ä-\u{1F410}", 50));
    assert_eq!(partition_of("a", 0), 0);
}

/// The definition of Java's hash, in other words: a polynomial in 31 over UTF-16, in 32 bits.
fn java_partition(group: &str, partitions: i64) -> i32 {
    let units: Vec<u16> = group.encode_utf16().collect();
    let powers = (0..units.len()).rev().map(|power| (0..power).fold(1_i64, |p, _| (p * 31) % (1 << 32)));
    let sum = units.iter().zip(powers).fold(0_i64, |sum, (unit, power)| (sum + i64::from(*unit) * power) % (1 << 32));
    let signed = if sum >= 1 << 31 { sum - (1 << 32) } else { sum };
    i32::try_from(signed.abs() % partitions).expect("below the number of partitions")
}

#[test]
fn member_ids_end_in_a_random_uuid() {
    assert_eq!(super::uuid_text(0), "00000000-0000-4000-8000-000000000000");
    assert_eq!(super::uuid_text(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
}
