use proptest::prelude::*;

use super::*;

const NOW: Duration = Duration::from_secs(1);

fn leader(isr: &[i32]) -> Leader {
    let start = LeaderStart {
        node: 1,
        epoch: 7,
        log_end: 10,
        durable_end: 10,
        high_watermark: 10,
        min_insync: 1,
        max_lag: Duration::from_secs(30),
    };
    Leader::new(start, Replicas { partition_epoch: 0, replicas: &[1, 2, 3], isr }, NOW).0
}

fn fetch(node: i32, offset: i64) -> FollowerFetch {
    FollowerFetch { node, broker_epoch: 5, offset }
}

const KNOWN: Option<Standing> = Some(Standing { epoch: 5, may_join: true });

#[test]
fn alone_the_durable_end_is_the_high_watermark() {
    let mut leader = leader(&[1]);
    assert_eq!(leader.on_durable(12), Some(12));
    assert_eq!(leader.on_durable(12), None);
    assert_eq!(leader.on_durable(11), None);
    assert_eq!(leader.on_durable(15), Some(15));
    assert_eq!((leader.epoch(), leader.in_sync()), (7, 1));
}

#[test]
fn a_leader_whose_disk_is_slow_leaves_it_to_the_others() {
    let mut leader = leader(&[1, 2, 3]);
    let at = |seconds| NOW + Duration::from_secs(seconds);
    let synced = |leader: &mut Leader, id, offset, now| drop(leader.on_fetch(fetch(id, offset), 20, KNOWN, now));
    synced(&mut leader, 2, 20, at(1));
    synced(&mut leader, 3, 15, at(1));
    assert_eq!(leader.on_tick(20, |_| KNOWN, at(5)).proposal, None);
    // It takes its time, but comes to where the others were.
    leader.on_durable(15);
    assert_eq!(leader.on_tick(20, |_| KNOWN, at(15)).proposal, None);
    synced(&mut leader, 3, 20, at(16));
    assert_eq!(leader.on_tick(20, |_| KNOWN, at(20)).proposal, None);
    leader.on_durable(16);
    assert_eq!(leader.on_tick(20, |_| KNOWN, at(25)).proposal, None);
    let asked = leader.on_tick(20, |_| KNOWN, at(28)).proposal.expect("seven and a half seconds are over");
    assert_eq!(asked.isr, [(2, 5), (3, 5)]);
    // Until the controller has agreed it counts.
    assert_eq!(leader.high_watermark(), 16);
    assert_eq!(leader.on_tick(20, |_| KNOWN, at(29)).proposal, None);
}

#[test]
fn a_follower_whose_disk_is_slow_does_not_hold_up_the_others() {
    let mut leader = leader(&[1, 2, 3]);
    let at = |seconds| NOW + Duration::from_secs(seconds);
    leader.on_durable(20);
    drop(leader.on_fetch(fetch(2, 20), 20, KNOWN, at(1)));
    drop(leader.on_fetch(fetch(3, 15), 20, KNOWN, at(1)));
    assert_eq!(leader.on_tick(20, |_| KNOWN, at(2)).proposal, None);
    // Another one is as slow: nobody is alone.
    leader.on_durable(30);
    drop(leader.on_fetch(fetch(3, 20), 30, KNOWN, at(6)));
    assert_eq!(leader.on_tick(30, |_| KNOWN, at(10)).proposal, None);
    drop(leader.on_fetch(fetch(2, 30), 30, KNOWN, at(11)));
    assert_eq!(leader.on_tick(30, |_| KNOWN, at(12)).proposal, None);
    assert_eq!(leader.on_tick(30, |_| KNOWN, at(19)).proposal, None);
    let asked = leader.on_tick(30, |_| KNOWN, at(20)).proposal.expect("seven and a half seconds are over");
    assert_eq!(asked.isr, [(1, UNKNOWN_EPOCH), (2, 5)]);
    assert_eq!(leader.high_watermark(), 20);
    let left = IsrAnswer::Altered { partition_epoch: 1, isr: vec![1, 2] };
    assert_eq!(leader.on_isr_answer(&asked, left).high_watermark, Some(30));
    // While it is slow it is not waited for: after eight seconds it is where the log ended when it asked.
    leader.on_durable(40);
    drop(leader.on_fetch(fetch(2, 40), 40, KNOWN, at(21)));
    drop(leader.on_fetch(fetch(3, 30), 40, KNOWN, at(21)));
    assert_eq!(leader.high_watermark(), 40);
    leader.on_durable(50);
    drop(leader.on_fetch(fetch(2, 50), 50, KNOWN, at(29)));
    assert_eq!(leader.on_fetch(fetch(3, 40), 50, KNOWN, at(29)).map(|effects| effects.proposal), Ok(None));
    assert_eq!(leader.high_watermark(), 50);
    // When it takes less than two it is.
    leader.on_durable(60);
    assert_eq!(leader.on_fetch(fetch(3, 50), 60, KNOWN, at(30)).map(|effects| effects.proposal.is_some()), Ok(true));
    assert_eq!(leader.on_fetch(fetch(2, 60), 60, KNOWN, at(30)).map(|effects| effects.high_watermark), Ok(None));
}

#[test]
fn a_slow_leader_stays_where_others_are_too_few() {
    let at = |seconds| NOW + Duration::from_secs(seconds);
    let mut leader = leader(&[1, 2, 3]);
    let _ = leader.on_min_insync(3);
    for id in [2, 3] {
        drop(leader.on_fetch(fetch(id, 20), 20, KNOWN, at(1)));
    }
    assert_eq!([5, 15].map(|seconds| leader.on_tick(20, |_| KNOWN, at(seconds)).proposal), [None, None]);
    let _ = leader.on_min_insync(2);
    assert_eq!(leader.on_tick(20, |_| KNOWN, at(20)).proposal, None);
    // Nor where one of them is not what the controller knows.
    let stopping = Some(Standing { epoch: 5, may_join: false });
    assert_eq!(leader.on_tick(20, |_| stopping, at(30)).proposal, None);
    assert!(leader.on_tick(20, |_| KNOWN, at(30)).proposal.is_some());
}

proptest! {
    /// Whatever happens in whatever order: the high watermark only grows, and everybody who may be in sync vouched for it.
    #[test]
    fn monotone_and_covered(events in prop::collection::vec((0_u8..6, 10_i64..30, 2_i32..4), 0..60)) {
        let mut leader = leader(&[1, 2, 3]);
        let (mut last, mut now, mut asked) = (10, NOW, None::<IsrProposal>);
        for (event, at, node) in events {
            now += Duration::from_secs(7);
            let effects = match event {
                0 => Effects { high_watermark: leader.on_durable(at), proposal: None },
                1 | 2 => leader.on_fetch(fetch(node, at), 30, KNOWN, now).expect("a replica"),
                3 => leader.on_tick(30, |_| KNOWN, now),
                _ => match asked.take() {
                    None => Effects::default(),
                    Some(proposal) => {
                        let isr = proposal.isr.iter().map(|(id, _)| *id).collect();
                        let partition_epoch = proposal.partition_epoch + 1;
                        let answers = [IsrAnswer::Ineligible, IsrAnswer::Altered { partition_epoch, isr }];
                        leader.on_isr_answer(&proposal, answers[usize::from(event - 4)].clone())
                    }
                },
            };
            let reached = leader.high_watermark();
            prop_assert!(reached >= last);
            prop_assert_eq!(effects.high_watermark, (reached > last).then_some(reached));
            if effects.high_watermark.is_some() {
                prop_assert!(reached <= leader.durable_end);
                let covered = |(id, follower): (&i32, &Follower)| {
                    !leader.isr.may_contain(*id) || follower.end.is_some_and(|end| end >= reached)
                };
                prop_assert!(leader.followers.iter().all(covered));
            }
            last = reached;
            asked = effects.proposal.or(asked);
        }
    }
}
