use proptest::prelude::*;

use super::*;

fn alone() -> Leader {
    Leader::new(1, 7, 10, 10)
}

#[test]
fn alone_the_durable_end_is_the_high_watermark() {
    let mut leader = alone();
    assert_eq!(leader.on_durable(12), Some(12));
    assert_eq!(leader.on_durable(12), None);
    assert_eq!(leader.on_durable(11), None);
    assert_eq!(leader.on_durable(15), Some(15));
    assert_eq!((leader.epoch(), leader.in_sync()), (7, 1));
}

#[test]
fn the_slowest_replica_in_sync_decides() {
    let mut leader = alone();
    assert_eq!(leader.on_replicas(&[1, 2, 3], &[1, 2]), None);
    assert_eq!(leader.on_durable(20), None);
    assert_eq!(leader.on_follower_fetch(3, 20), None);
    assert_eq!(leader.on_follower_fetch(2, 14), Some(14));
    assert_eq!(leader.on_follower_fetch(9, 20), None);
    assert_eq!(leader.in_sync(), 2);
    // Out of sync, it is waited for no longer.
    assert_eq!(leader.on_replicas(&[1, 2, 3], &[1, 3]), Some(20));
}

proptest! {
    /// Whatever happens in whatever order: it only grows, and everybody in sync vouched for what it covers.
    #[test]
    fn monotone_and_covered(events in prop::collection::vec((0_u8..4, 0_i64..100, any::<[bool; 2]>()), 0..60)) {
        let mut leader = Leader::new(1, 1, 0, 0);
        let mut last = 0;
        for (event, at, sync) in events {
            let before = leader.clone();
            let moved = match event {
                0 => leader.on_durable(at),
                1 => leader.on_follower_fetch(2, at),
                2 => leader.on_follower_fetch(3, at),
                _ => {
                    // As the controller does: nobody joins below the high watermark.
                    let caught_up = |id: i32| before.followers.get(&id).is_some_and(|r| r.end >= before.high_watermark);
                    let mut isr = vec![1];
                    isr.extend([2, 3].into_iter().zip(sync).filter(|(id, on)| *on && caught_up(*id)).map(|(id, _)| id));
                    leader.on_replicas(&[1, 2, 3], &isr)
                }
            };
            prop_assert!(leader.high_watermark() >= last);
            prop_assert_eq!(moved, (leader.high_watermark() > last).then_some(leader.high_watermark()));
            if let Some(high_watermark) = moved {
                prop_assert!(high_watermark <= leader.durable_end);
                prop_assert!(leader.followers.values().all(|r| !r.in_sync || r.end >= high_watermark));
            }
            last = leader.high_watermark();
        }
    }
}
