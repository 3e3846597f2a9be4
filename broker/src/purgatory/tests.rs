use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;

#[test]
fn woken_when_the_target_is_reached_and_not_before() {
    let (gate, purgatory) = (OffsetGate::new(5), Purgatory::new(10));
    let mut waiting = Box::pin(gate.pass(8, &purgatory));
    assert_eq!((&mut waiting).now_or_never(), None);
    gate.advance(7);
    assert_eq!((&mut waiting).now_or_never(), None);
    gate.advance(8);
    assert_eq!((&mut waiting).now_or_never(), Some(true));
    drop(waiting);
    assert_eq!(purgatory.places(), 0);
    assert_eq!(gate.pass(8, &purgatory).now_or_never(), Some(true));
}

#[test]
fn the_offset_never_goes_back() {
    let gate = OffsetGate::new(5);
    gate.advance(3);
    assert_eq!(gate.reached(), 5);
}

#[test]
fn closing_ends_every_wait() {
    let (gate, purgatory) = (OffsetGate::new(0), Purgatory::new(10));
    let mut waiting = Box::pin(gate.pass(1, &purgatory));
    assert_eq!((&mut waiting).now_or_never(), None);
    gate.close();
    assert_eq!((&mut waiting).now_or_never(), Some(false));
    assert_eq!(gate.pass(1, &purgatory).now_or_never(), Some(false));
}

#[test]
fn one_signal_at_many_gates_leaves_them_all() {
    let purgatory = Purgatory::new(10);
    let gates = [OffsetGate::new(0), OffsetGate::new(0), OffsetGate::new(0)];
    let signal = Signal::default();
    let places: Vec<_> = gates.iter().filter_map(|gate| gate.wait_for(1, &signal, &purgatory)).collect();
    assert_eq!(purgatory.places(), 3);
    gates[1].advance(1);
    gates[2].advance(1);
    assert!(signal.woken().now_or_never().is_some());
    // Two offsets moved, the waiter wakes once.
    assert!(signal.woken().now_or_never().is_none());
    drop(places);
    assert_eq!(purgatory.places(), 0);
    assert!(gates.iter().all(|gate| gate.waiters.lock().places.is_empty()));
}

#[test]
fn waiters_of_two_purgatories_do_not_take_each_others_places() {
    let gate = OffsetGate::new(0);
    let (fetches, produces) = (Purgatory::new(10), Purgatory::new(10));
    let (fetch, produce) = (Signal::default(), Signal::default());
    let _places = (gate.wait_for(1, &fetch, &fetches), gate.wait_for(1, &produce, &produces));
    gate.advance(1);
    assert!(fetch.woken().now_or_never().is_some());
    assert!(produce.woken().now_or_never().is_some());
}

#[test]
fn a_full_purgatory_takes_nobody() {
    let (gate, purgatory) = (OffsetGate::new(0), Purgatory::new(1));
    let signal = Signal::default();
    let first = gate.wait_for(1, &signal, &purgatory);
    assert!(first.is_some());
    assert!(gate.wait_for(1, &signal, &purgatory).is_none());
    assert_eq!(gate.pass(1, &purgatory).now_or_never(), Some(false));
    drop(first);
    assert!(gate.wait_for(1, &signal, &purgatory).is_some());
}

#[test]
fn a_nudge_wakes_without_moving() {
    let (gate, purgatory) = (OffsetGate::new(3), Purgatory::new(10));
    let signal = Signal::default();
    let _place = gate.wait_for(9, &signal, &purgatory);
    gate.nudge();
    assert!(signal.woken().now_or_never().is_some());
    assert!(gate.reached() == 3 && !gate.is_closed());
    let mut waiting = Box::pin(gate.pass(8, &purgatory));
    assert_eq!((&mut waiting).now_or_never(), None);
    gate.nudge();
    assert_eq!((&mut waiting).now_or_never(), None, "who waits for the offset goes on waiting");
    gate.advance(8);
    assert_eq!((&mut waiting).now_or_never(), Some(true));
}

#[test]
fn a_watch_names_what_moved_and_keeps_its_other_places() {
    let purgatory = Purgatory::new(1_000);
    let gates: Vec<_> = (0..1_000).map(|_| OffsetGate::new(0)).collect();
    let mut watch = Watch::default();
    for (mark, gate) in (0..).zip(&gates) {
        assert_eq!(watch.place(mark, gate, 1, &purgatory), Watched::Placed);
    }
    assert_eq!(purgatory.taken(), 1_000);
    for round in 1..=10 {
        gates[7].advance(round);
        gates[700].advance(round);
        assert!(watch.signal().woken().now_or_never().is_some());
        assert_eq!(watch.take_woken(), [7, 700]);
        assert_eq!(watch.place(7, &gates[7], round, &purgatory), Watched::Reached);
        for mark in [7_u16, 700] {
            let gate = &gates[usize::from(mark)];
            assert_eq!(watch.place(mark.into(), gate, round + 1, &purgatory), Watched::Placed);
            assert_eq!(watch.place(mark.into(), gate, round + 1, &purgatory), Watched::Placed, "as it was");
        }
    }
    assert_eq!(purgatory.taken(), 1_020, "two for each of ten rounds, whatever else there is");
    assert_eq!(watch.place(1_000, &OffsetGate::new(0), 1, &purgatory), Watched::Refused, "full");
    watch.leave(3);
    gates[3].advance(1);
    assert!(watch.take_woken().is_empty());
    gates[4].close();
    assert_eq!(watch.take_woken(), [4]);
    assert_eq!(watch.place(4, &gates[4], 1, &purgatory), Watched::Refused, "closed");
    assert_eq!((watch.places(), purgatory.places()), (998, 998));
    drop(watch);
    assert_eq!(purgatory.places(), 0);
    assert!(gates.iter().all(|gate| gate.waiters.lock().places.is_empty()));
}

proptest! {
    /// Against the obvious model: a waiter is woken exactly when the maximum published so far reaches its target.
    #[test]
    fn wakes_exactly_those_whose_time_has_come(
        targets in prop::collection::vec(1_i64..50, 1..20),
        offsets in prop::collection::vec(0_i64..60, 1..30),
    ) {
        let (gate, purgatory) = (OffsetGate::new(0), Purgatory::new(100));
        let signals: Vec<_> = targets.iter().map(|_| Signal::default()).collect();
        let places: Vec<_> =
            targets.iter().zip(&signals).map(|(target, signal)| gate.wait_for(*target, signal, &purgatory)).collect();
        let mut woken = vec![0; targets.len()];
        let mut max = 0;
        for offset in offsets {
            gate.advance(offset);
            max = max.max(offset);
            for (at, signal) in signals.iter().enumerate() {
                woken[at] += u32::from(signal.woken().now_or_never().is_some());
                prop_assert_eq!(woken[at], u32::from(targets[at] <= max));
            }
        }
        drop(places);
        prop_assert_eq!(purgatory.places(), 0);
    }
}
