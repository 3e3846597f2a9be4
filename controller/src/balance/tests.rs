use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn broker(rack: Option<u8>, standing: Standing) -> BrokerLoad {
    BrokerLoad { rack: rack.map(|rack| format!("rack-{rack}").into()), standing, free_bytes: None }
}

fn partition(topic: &str, number: i32, replicas: &[i32], bytes: u64) -> PartitionLoad {
    PartitionLoad {
        topic: topic.to_owned().into(),
        partition: number,
        replicas: replicas.to_vec(),
        in_sync: replicas.to_vec(),
        leader: replicas.first().copied().unwrap_or(-1),
        adding: Vec::new(),
        moving: false,
        bytes,
    }
}

fn load(racks: &[Option<u8>], partitions: Vec<PartitionLoad>) -> Load {
    let brokers = (1..).zip(racks).map(|(id, rack)| (id, broker(*rack, Standing::Serving)));
    Load { brokers: brokers.collect(), partitions }
}

fn at<'a>(load: &'a mut Load, change: &ReplicaChange) -> &'a mut PartitionLoad {
    let same = |one: &&mut PartitionLoad| one.topic == change.topic && one.partition == change.partition;
    load.partitions.iter_mut().find(same).unwrap()
}

/// A change begins: the image says at once what the partition will have.
fn begin(load: &mut Load, change: &ReplicaChange) {
    assert_eq!(change.from.len(), change.to.len(), "{change:?}");
    assert_eq!(change.to.iter().collect::<BTreeSet<_>>().len(), change.to.len(), "{change:?}");
    let partition = at(load, change);
    assert_eq!(partition.replicas, change.from);
    partition.replicas.clone_from(&change.to);
    partition.adding = change.to.iter().copied().filter(|id| !change.from.contains(id)).collect();
    partition.moving = !change.is_order();
}

fn end(partition: &mut PartitionLoad) {
    partition.in_sync.clone_from(&partition.replicas);
    partition.leader = partition.replicas.first().copied().unwrap_or(-1);
    partition.adding.clear();
    partition.moving = false;
}

/// Plans and carries out until there is nothing left; how many replicas were moved.
fn settle(load: &mut Load, limits: &Limits) -> usize {
    let mut moved = 0;
    for _ in 0..10_000 {
        let plan = plan(load, Goals::Even, limits);
        if plan.changes.is_empty() {
            return moved;
        }
        assert!(plan.changes.len() <= limits.changes);
        for change in &plan.changes {
            begin(load, change);
            moved += at(load, change).adding.len();
            end(at(load, change));
        }
    }
    panic!("replicas move for ever: {load:?}");
}

fn racks_of(load: &Load, replicas: &[i32]) -> usize {
    let rack = |id: &i32| load.brokers.get(id).and_then(|broker| broker.rack.clone());
    replicas.iter().map(rack).collect::<BTreeSet<_>>().len()
}

/// Least and most of what brokers have.
fn ends(load: &Load, members: &[i32], count: impl Fn(&PartitionLoad, i32) -> u64) -> (u64, u64) {
    let of = |id: &i32| load.partitions.iter().map(|partition| count(partition, *id)).sum::<u64>();
    let counts: Vec<u64> = members.iter().map(of).collect();
    (counts.iter().copied().min().unwrap_or(0), counts.iter().copied().max().unwrap_or(0))
}

fn holds(partition: &PartitionLoad, id: i32) -> u64 {
    u64::from(partition.replicas.contains(&id))
}

fn prefers(partition: &PartitionLoad, id: i32) -> u64 {
    u64::from(partition.replicas.first() == Some(&id))
}

const EXACT: Limits = Limits { changes: 7, per_broker: 3, spread_percent: 0, bytes_percent: 20, bytes_floor: 1_000 };

/// Brokers with racks and standings, and partitions anywhere on them.
fn clusters() -> impl Strategy<Value = Load> {
    let standing = prop_oneof![
        8 => Just(Standing::Serving),
        1 => Just(Standing::Cordoned),
        1 => Just(Standing::Away),
        1 => Just(Standing::Lost),
        1 => Just(Standing::Drained),
    ];
    let brokers = prop::collection::vec((prop::option::of(0..3u8), standing), 1..9);
    let partitions = prop::collection::vec((0..3usize, 1..4usize, any::<u64>(), 0..100_000u64), 0..40);
    (brokers, partitions).prop_map(|(brokers, partitions)| {
        let count = brokers.len();
        let partitions = (0..).zip(partitions).map(|(number, (topic, factor, seed, bytes))| {
            let mut ids: Vec<i32> = (1..=i32::try_from(count).unwrap()).collect();
            crate::entropy::Entropy::from_number(seed).shuffle(&mut ids);
            ids.truncate(factor);
            partition(&format!("t{topic}"), number, &ids, bytes)
        });
        let partitions = partitions.collect();
        let brokers = (1..).zip(brokers).map(|(id, (rack, standing))| (id, broker(rack, standing)));
        Load { brokers: brokers.collect(), partitions }
    })
}

proptest! {
    #[test]
    fn a_cluster_settles_and_loses_nothing(mut load in clusters()) {
        let before = load.clone();
        let moved = settle(&mut load, &EXACT);
        prop_assert!(moved <= 4 * before.partitions.iter().map(|one| one.replicas.len()).sum::<usize>() + 40);
        let serving: Vec<i32> = (1..).zip(load.brokers.values())
            .filter(|(_, broker)| broker.standing == Standing::Serving).map(|(id, _)| id).collect();
        let stuck = plan(&load, Goals::Even, &EXACT).stuck;
        for (old, new) in before.partitions.iter().zip(&load.partitions) {
            prop_assert_eq!(old.replicas.len(), new.replicas.len());
            let of = |partition: &PartitionLoad, standing| {
                let has = |id: &&i32| load.brokers[*id].standing == standing;
                partition.replicas.iter().filter(has).copied().collect::<BTreeSet<_>>()
            };
            // Who gets nothing new got nothing new, who is to have nothing has nothing unless nobody else can have it.
            for standing in [Standing::Cordoned, Standing::Away, Standing::Lost, Standing::Drained] {
                prop_assert!(of(new, standing).is_subset(&of(old, standing)), "{:?} -> {:?}", old, new);
            }
            let left = of(new, Standing::Lost).len() + of(new, Standing::Drained).len();
            let told = stuck.iter().any(|(topic, number, _)| *topic == new.topic && *number == new.partition);
            prop_assert_eq!(left > 0, told);
            prop_assert!(left == 0 || serving.iter().all(|id| new.replicas.contains(id)));
            if left == 0 && of(old, Standing::Lost).is_empty() && of(old, Standing::Drained).is_empty() {
                prop_assert!(racks_of(&load, &new.replicas) >= racks_of(&load, &old.replicas));
            }
        }
    }

    #[test]
    fn brokers_without_racks_become_even(
        brokers in 2..8usize, seed: u64, partitions in 0..60i32, factor in 1..4usize, together: bool,
    ) {
        prop_assume!(factor <= brokers);
        let mut entropy = crate::entropy::Entropy::from_number(seed);
        let partitions = (0..partitions).map(|number| {
            let mut ids: Vec<i32> = (1..=i32::try_from(brokers).unwrap()).collect();
            if !together { entropy.shuffle(&mut ids) }
            ids.truncate(factor);
            partition("t", number, &ids, 0)
        });
        let mut load = load(&vec![None; brokers], partitions.collect());
        settle(&mut load, &EXACT);
        let members: Vec<i32> = load.brokers.keys().copied().collect();
        let (least, most) = ends(&load, &members, holds);
        prop_assert!(most - least <= 1, "{} to {} replicas", least, most);
        let (least, most) = ends(&load, &members, prefers);
        prop_assert!(most - least <= 1, "{} to {} leaders", least, most);
    }

    #[test]
    fn brokers_of_equal_racks_become_even(racks in 2..4u8, per_rack in 1..4u8, seed: u64, partitions in 0..40i32) {
        let of: Vec<_> = (0..racks * per_rack).map(|at| Some(at % racks)).collect();
        let mut entropy = crate::entropy::Entropy::from_number(seed);
        let factor = usize::from(racks);
        let partitions = (0..partitions).map(|number| {
            let mut ids: Vec<i32> = (1..=i32::try_from(of.len()).unwrap()).collect();
            entropy.shuffle(&mut ids);
            ids.truncate(factor);
            partition("t", number, &ids, 0)
        });
        let mut load = load(&of, partitions.collect());
        settle(&mut load, &EXACT);
        prop_assert!(load.partitions.iter().all(|partition| racks_of(&load, &partition.replicas) == factor));
        let members: Vec<i32> = load.brokers.keys().copied().collect();
        let (least, most) = ends(&load, &members, holds);
        prop_assert!(most - least <= 1, "{} to {} replicas", least, most);
    }

    /// Moves end in any order and some never, brokers come and go meanwhile; then it is quiet, and the cluster settles.
    #[test]
    fn nothing_that_happens_meanwhile_leads_astray(
        mut load in clusters(),
        events in prop::collection::vec((0..4u8, any::<prop::sample::Index>()), 0..40),
    ) {
        let count = load.partitions.len();
        for (what, which) in events {
            if load.brokers.is_empty() || load.partitions.is_empty() {
                return Ok(());
            }
            let id = i32::try_from(which.index(load.brokers.len())).unwrap() + 1;
            match what {
                0 => end(&mut load.partitions[which.index(count)]),
                1 => {
                    let broker = load.brokers.get_mut(&id).unwrap();
                    broker.standing = match broker.standing {
                        Standing::Serving => Standing::Away,
                        Standing::Away => Standing::Lost,
                        _ => Standing::Serving,
                    };
                }
                _ => {
                    for change in plan(&load, Goals::Even, &EXACT).changes {
                        begin(&mut load, &change);
                    }
                }
            }
            let busy = |id: i32| load.partitions.iter().filter(|partition| partition.adding.contains(&id)).count();
            prop_assert!(load.brokers.keys().all(|id| busy(*id) <= EXACT.per_broker));
        }
        load.partitions.iter_mut().for_each(end);
        settle(&mut load, &EXACT);
    }
}

#[test]
fn an_empty_broker_gets_its_share_of_each_topic() {
    let of = |topic: &str, count: i32| -> Vec<_> {
        (0..count).map(|number| partition(topic, number, &[number % 3 + 1, (number + 1) % 3 + 1], 10)).collect()
    };
    let mut load = load(&[None; 4], [of("a", 24), of("b", 12)].concat());
    let moved = settle(&mut load, &Limits { changes: 5, ..EXACT });
    assert_eq!(moved, 18, "no more replicas move than the empty broker is to have");
    for (topic, share) in [("a", 12), ("b", 6)] {
        let of_topic = load.partitions.iter().filter(|partition| *partition.topic == *topic);
        assert_eq!(of_topic.filter(|partition| partition.replicas.contains(&4)).count(), share);
    }
    assert_eq!(ends(&load, &[1, 2, 3, 4], prefers), (9, 9));
}

#[test]
fn a_drained_broker_is_empty_in_the_end_and_a_lost_one_too() {
    let partitions = (0..30).map(|number| partition("t", number, &[number % 4 + 1, (number + 1) % 4 + 1], 0));
    let mut load = load(&[None; 4], partitions.collect());
    for standing in [Standing::Drained, Standing::Lost] {
        load.brokers.get_mut(&2).unwrap().standing = standing;
        settle(&mut load, &EXACT);
        assert_eq!(ends(&load, &[2], holds), (0, 0));
        assert_eq!(ends(&load, &[1, 3, 4], holds), (20, 20));
        load.brokers.get_mut(&2).unwrap().standing = Standing::Serving;
        settle(&mut load, &EXACT);
        assert_eq!(ends(&load, &[1, 2, 3, 4], holds), (15, 15));
    }
    // One that was unregistered is lost at once.
    load.brokers.remove(&3);
    settle(&mut load, &EXACT);
    assert_eq!(ends(&load, &[1, 2, 4], holds), (20, 20));
}

#[test]
fn a_large_partition_changes_places_with_a_small_one() {
    let sizes = [9_000, 8_000, 100, 200];
    let partitions = (0..).zip(sizes).map(|(number, bytes)| partition("t", number, &[number / 2 + 1], bytes));
    let mut load = load(&[None; 2], partitions.collect());
    let plan = plan(&load, Goals::Even, &EXACT);
    assert!(plan.changes.iter().all(|change| matches!(change.reason, Reason::Bytes { most: (1, 17_000), .. })));
    settle(&mut load, &EXACT);
    let bytes = |partition: &PartitionLoad, id| holds(partition, id) * partition.bytes;
    assert_eq!(ends(&load, &[1, 2], bytes), (8_200, 9_100));
    assert_eq!(ends(&load, &[1, 2], holds), (2, 2));
}

#[test]
fn what_does_not_fit_or_nobody_leads_stays_and_is_told() {
    let mut load = load(&[None; 2], vec![partition("t", 0, &[1], 500), partition("t", 1, &[1], 10)]);
    load.brokers.get_mut(&1).unwrap().standing = Standing::Drained;
    load.brokers.get_mut(&2).unwrap().free_bytes = Some(400);
    let planned = plan(&load, Goals::Repair, &EXACT);
    assert_eq!(
        planned.changes.iter().map(|change| (change.partition, &*change.to)).collect::<Vec<_>>(),
        [(1, &[2][..])]
    );
    assert_eq!(planned.stuck, [("t".into(), 0, Reason::Drained(1))]);
    load.brokers.get_mut(&2).unwrap().free_bytes = None;
    load.partitions[0].leader = -1;
    assert_eq!(plan(&load, Goals::Repair, &EXACT).stuck, [("t".into(), 0, Reason::Drained(1))]);
}

#[test]
fn repair_alone_makes_nothing_even() {
    let load = load(&[None; 2], (0..10).map(|number| partition("t", number, &[1], 0)).collect());
    assert_eq!(plan(&load, Goals::Repair, &EXACT), Plan::default());
    let all = plan(&load, Goals::Even, &Limits::UNBOUNDED);
    assert_eq!(all.changes.len(), 5);
    assert_eq!(all.changes[0].reason.to_string(), "broker 1 has 10 replicas, broker 2 has 0");
}

mod turns {
    use super::*;
    use crate::{
        record::{BrokerChangeRecord, RegisterBrokerRecord},
        replay::replay,
    };

    fn image(brokers: &[(i32, bool)]) -> MetadataImage {
        let mut image = MetadataImage::default();
        for (id, fenced) in brokers {
            let record = RegisterBrokerRecord { broker_id: *id, fenced: *fenced, ..Default::default() };
            replay(&mut image, &record.into()).unwrap();
        }
        image
    }

    fn fence(image: &mut MetadataImage, id: i32, fenced: i8) {
        let record = BrokerChangeRecord { broker_id: id, broker_epoch: 0, fenced, ..Default::default() };
        replay(image, &record.into()).unwrap();
        image.changed_index += 1;
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_is_away_for_too_long_is_lost() {
        let settings = BalanceSettings { repair_delay: s(60), ..BalanceSettings::default() };
        let (mut turns, mut image) = (Turns::default(), image(&[(1, false), (2, false)]));
        let first = turns.look(&image, &settings, s(1));
        assert_eq!(
            (first.goals, first.leaders),
            (Some(Goals::Repair), false),
            "a new leader does not know what was left"
        );
        turns.planned(&image, &settings, 0, false, s(1));
        fence(&mut image, 2, 1);
        assert_eq!(turns.look(&image, &settings, s(10)), Look::default());
        assert_eq!(turns.wake(&settings, s(10)), s(70));
        assert_eq!(turns.look(&image, &settings, s(69)), Look::default());
        let lost = turns.look(&image, &settings, s(70));
        assert_eq!((lost.lost.clone(), lost.goals), (BTreeSet::from([2]), Some(Goals::Repair)));
        // Work goes on while there is some, then it rests until something changes.
        turns.planned(&image, &settings, 3, false, s(70));
        assert_eq!(turns.wake(&settings, s(70)), s(70) + Turns::PACE);
        assert_eq!(turns.look(&image, &settings, s(71)), lost);
        turns.planned(&image, &settings, 0, true, s(71));
        assert_eq!(turns.look(&image, &settings, s(72)), lost);
        turns.planned(&image, &settings, 0, false, s(72));
        assert_eq!(turns.look(&image, &settings, s(100)).goals, None);
        image.changed_index += 1;
        assert_eq!(turns.look(&image, &settings, s(101)), lost);
        // Who comes back is not lost, and has all the time again.
        fence(&mut image, 2, -1);
        assert_eq!(turns.look(&image, &settings, s(110)), Look::default());
        fence(&mut image, 2, 1);
        assert_eq!(turns.look(&image, &settings, s(130)), Look::default());
    }

    #[test]
    fn evenness_is_looked_at_now_and_then_until_it_is_reached() {
        let settings = BalanceSettings { interval: s(300), leader_interval: s(200), ..BalanceSettings::default() };
        let (mut turns, image) = (Turns::default(), image(&[(1, false)]));
        turns.look(&image, &settings, s(0));
        turns.planned(&image, &settings, 0, false, s(0));
        assert_eq!(turns.wake(&settings, s(0)), s(200));
        assert!(turns.look(&image, &settings, s(200)).leaders);
        assert_eq!(turns.look(&image, &settings, s(201)), Look::default());
        assert_eq!(turns.look(&image, &settings, s(300)).goals, Some(Goals::Even));
        turns.planned(&image, &settings, 5, false, s(300));
        assert_eq!(turns.look(&image, &settings, s(310)).goals, Some(Goals::Even));
        turns.planned(&image, &settings, 0, false, s(310));
        assert_eq!(turns.look(&image, &settings, s(609)).goals, None);
        assert_eq!(turns.look(&image, &settings, s(610)).goals, Some(Goals::Even));
        let off = BalanceSettings { mode: BalanceMode::Off, restore_leaders: false, ..settings };
        assert_eq!(turns.look(&image, &off, s(10_000)), Look::default());
    }

    #[test]
    fn who_is_drained_or_unregistered_is_left_at_once() {
        let mut settings = BalanceSettings::default();
        let (mut turns, mut image) = (Turns::default(), image(&[(1, false), (2, false)]));
        turns.look(&image, &settings, s(0));
        turns.planned(&image, &settings, 0, false, s(0));
        settings.drain.insert(2);
        image.changed_index += 1;
        assert_eq!(turns.look(&image, &settings, s(10)).goals, Some(Goals::Repair));
        turns.planned(&image, &settings, 0, false, s(10));
        settings.drain.clear();
        image.brokers.remove(2);
        image.changed_index += 1;
        assert_eq!(turns.look(&image, &settings, s(20)).goals, Some(Goals::Repair));
    }
}
