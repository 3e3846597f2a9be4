use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Brokers by rack and whether they are fenced.
fn brokers(of: &[(Option<u8>, bool)]) -> BrokersImage {
    let mut brokers = BrokersImage::default();
    for (id, (rack, fenced)) in (1..).zip(of) {
        brokers.set(BrokerImage {
            id,
            epoch: 0,
            incarnation: Uuid::ZERO,
            endpoints: Vec::new(),
            rack: rack.map(|rack| format!("rack-{rack}").into()),
            fenced: *fenced,
            in_controlled_shutdown: false,
            features: BTreeMap::new(),
            log_dirs: Vec::new(),
            cordoned_dirs: Vec::new(),
        });
    }
    brokers
}

fn count<K: Ord>(items: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    items.for_each(|item| *counts.entry(item).or_default() += 1);
    counts
}

fn spread(counts: &BTreeMap<i32, usize>, of: usize) -> usize {
    let most = counts.values().max().copied().unwrap_or(0);
    let least = if counts.len() < of { 0 } else { counts.values().min().copied().unwrap_or(0) };
    most - least
}

proptest! {
    #[test]
    fn placements_are_legal_and_spread_over_racks(
        of in proptest::collection::vec((proptest::option::of(0..4u8), proptest::bool::weighted(0.2)), 1..12),
        partitions in 1..40usize,
        factor in 1..12usize,
        seed: u64,
    ) {
        let brokers = brokers(&of);
        let placed = place(&brokers, &BTreeSet::new(), partitions, factor, &mut Entropy::from_number(seed));
        if factor > of.len() {
            prop_assert_eq!(placed, Err(PlacementError::TooFewBrokers { wanted: factor, registered: of.len() }));
            return Ok(());
        }
        if of.iter().all(|(_, fenced)| *fenced) {
            prop_assert_eq!(placed, Err(PlacementError::AllFenced(factor)));
            return Ok(());
        }
        let placed = placed.unwrap();
        prop_assert_eq!(placed.len(), partitions);
        let rack_of = |id: i32| brokers.get(id).unwrap().rack.clone();
        let sizes = count(brokers.iter().map(|broker| broker.rack.clone()));
        for replicas in &placed {
            prop_assert_eq!(replicas.len(), factor);
            prop_assert_eq!(check_assignment(&brokers, &[], replicas, Some(factor)), Ok(()));
            prop_assert!(!brokers.get(replicas[0]).unwrap().fenced, "a fenced broker leads");
            // A fenced broker gets what no other of its rack can.
            for fenced in replicas.iter().filter(|id| brokers.get(**id).unwrap().fenced) {
                let free = brokers.unfenced().find(|other| other.rack == rack_of(*fenced) && !replicas.contains(&other.id));
                prop_assert!(free.is_none(), "{fenced} has it and not {free:?}");
            }
            // No rack has two replicas more than another that still had a broker to give.
            let used = count(replicas.iter().map(|id| rack_of(*id)));
            let most = used.values().max().copied().unwrap_or(0);
            for (rack, size) in &sizes {
                let has = used.get(rack).copied().unwrap_or(0);
                prop_assert!(has == *size || has + 1 >= most, "{:?} in {:?}", used, sizes);
            }
        }
        let again = place(&brokers, &BTreeSet::new(), partitions, factor, &mut Entropy::from_number(seed));
        prop_assert_eq!(again, Ok(placed));
    }

    #[test]
    fn equal_racks_lead_and_hold_the_same(
        racks in 1..4usize, per_rack in 1..4usize, rounds in 1..4usize, factor in 1..4usize, seed: u64,
    ) {
        let of: Vec<_> = (0..racks * per_rack).map(|at| (Some((at % racks) as u8), false)).collect();
        prop_assume!(factor <= of.len());
        let placed = place(&brokers(&of), &BTreeSet::new(), of.len() * rounds, factor, &mut Entropy::from_number(seed)).unwrap();
        let leaders = count(placed.iter().map(|replicas| replicas[0]));
        prop_assert_eq!(spread(&leaders, of.len()), 0, "{:?}", leaders);
    }
}

proptest! {
    #[test]
    fn brokers_lead_the_same_whatever_racks_they_are_in(
        of in proptest::collection::vec((proptest::option::of(0..4u8), Just(false)), 1..12),
        partitions in 1..60usize, factor in 1..4usize, seed: u64,
    ) {
        prop_assume!(factor <= of.len());
        let placed = place(&brokers(&of), &BTreeSet::new(), partitions, factor, &mut Entropy::from_number(seed)).unwrap();
        let leaders = count(placed.iter().map(|replicas| replicas[0]));
        prop_assert!(spread(&leaders, of.len()) <= 1, "{:?}", leaders);
    }

    #[test]
    fn brokers_of_equal_racks_hold_the_same(
        racks in 1..5usize, per_rack in 1..5usize, partitions in 1..60usize, factor in 1..5usize, seed: u64,
    ) {
        let of: Vec<_> = (0..racks * per_rack).map(|at| (Some((at % racks) as u8), false)).collect();
        prop_assume!(factor <= of.len());
        let placed = place(&brokers(&of), &BTreeSet::new(), partitions, factor, &mut Entropy::from_number(seed)).unwrap();
        let held = count(placed.iter().flatten().copied());
        prop_assert!(spread(&held, of.len()) <= 2, "{:?}", held);
    }

    #[test]
    fn who_is_cordoned_or_to_be_emptied_gets_nothing(
        standing in proptest::collection::vec(0..3u8, 1..10), factor in 1..5usize, seed: u64,
    ) {
        let mut brokers = brokers(&vec![(None, false); standing.len()]);
        let of = |wanted: u8| (1..).zip(&standing).filter(move |(_, is)| **is == wanted).map(|(id, _)| id);
        for id in of(1) {
            let broker = brokers.get_mut(id).unwrap();
            broker.log_dirs = vec![Uuid::from_u128(500), Uuid::from_u128(501)];
            broker.cordoned_dirs = broker.log_dirs.clone();
        }
        let drained: BTreeSet<i32> = of(2).collect();
        let placed = place(&brokers, &drained, 20, factor, &mut Entropy::from_number(seed));
        let usable: Vec<i32> = of(0).collect();
        match placed {
            Ok(placed) => prop_assert!(placed.iter().flatten().all(|id| usable.contains(id))),
            Err(_) => prop_assert!(usable.len() < factor),
        }
    }
}

#[test]
fn a_replica_goes_to_the_directory_that_is_not_cordoned() {
    let mut brokers = brokers(&[(None, false)]);
    let broker = brokers.get_mut(1).unwrap();
    broker.log_dirs = vec![Uuid::from_u128(500), Uuid::from_u128(501)];
    broker.cordoned_dirs = vec![Uuid::from_u128(500)];
    assert_eq!(directory_of(brokers.get(1).map(|broker| &**broker)), Uuid::from_u128(501));
    let by_hand = |present: &[i32]| check_assignment(&brokers, present, &[1], None);
    assert_eq!(by_hand(&[]), Ok(()));
    brokers.get_mut(1).unwrap().cordoned_dirs.push(Uuid::from_u128(501));
    let by_hand = |present: &[i32]| check_assignment(&brokers, present, &[1], None);
    assert_eq!((by_hand(&[]), by_hand(&[1])), (Err(AssignmentError::Cordoned(1)), Ok(())));
}

#[test]
fn the_followers_of_a_leader_change() {
    let placed = place(&brokers(&[(None, false); 5]), &BTreeSet::new(), 40, 2, &mut Entropy::from_number(1)).unwrap();
    for leader in 1..=5 {
        let followers = count(placed.iter().filter(|replicas| replicas[0] == leader).map(|replicas| replicas[1]));
        assert_eq!(followers.len(), 4, "broker {leader} is followed by {followers:?} only");
    }
}

#[test]
fn nothing_is_placed_without_replicas() {
    let placed = place(&brokers(&[(None, false)]), &BTreeSet::new(), 1, 0, &mut Entropy::from_number(1));
    assert_eq!(placed, Err(PlacementError::NotPositive));
    let nobody = place(&brokers(&[]), &BTreeSet::new(), 1, 1, &mut Entropy::from_number(1));
    assert_eq!(nobody, Err(PlacementError::TooFewBrokers { wanted: 1, registered: 0 }));
}

#[test]
fn a_replica_goes_to_the_only_directory() {
    let directory = |dirs: &[u128]| {
        let mut brokers = brokers(&[(None, false)]);
        brokers.get_mut(1).unwrap().log_dirs = dirs.iter().map(|dir| Uuid::from_u128(*dir)).collect();
        directory_of(brokers.get(1).map(|broker| &**broker))
    };
    assert_eq!(directory(&[500]), Uuid::from_u128(500));
    assert_eq!(directory(&[500, 501]), Uuid::ZERO);
    assert_eq!(directory_of(None), Uuid::ZERO);
}
