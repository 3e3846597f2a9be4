use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, u8),
    Remove(u16),
    Change(u16, u8),
    /// Keep the present state to compare later ones with.
    Mark,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..600u16, any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
        3 => (0..600u16).prop_map(Step::Remove),
        2 => (0..600u16, any::<u8>()).prop_map(|(key, value)| Step::Change(key, value)),
        1 => Just(Step::Mark),
    ]
}

fn check_shape(map: &OrderedMap<u16, u8>) {
    assert!(map.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
    assert_eq!(map.iter().count(), map.len());
}

proptest! {
    #[test]
    fn behaves_as_a_plain_map_and_knows_what_changed(steps in proptest::collection::vec(step(), 0..900)) {
        let mut map = OrderedMap::<u16, u8>::default();
        let mut model = BTreeMap::new();
        let (mut marked_map, mut marked_model) = (map.clone(), model.clone());
        for step in steps {
            match step {
                Step::Insert(key, value) => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                Step::Change(key, value) => {
                    if let Some(old) = map.get_mut(&key) {
                        *old = value;
                    }
                    model.entry(key).and_modify(|old| *old = value);
                }
                Step::Mark => {
                    marked_map = map.clone();
                    marked_model = model.clone();
                }
            }
        }
        check_shape(&map);
        prop_assert!(map.iter().eq(model.iter()));
        prop_assert!(marked_map.iter().eq(marked_model.iter()), "a copy changed with its original");
        for from in [0, 1, 77, 300, 599, 700] {
            prop_assert!(map.range_from(&from).eq(model.range(from..)));
        }
        let mut replayed = marked_model;
        marked_map.diff(&map, |key, before, after| {
            assert_eq!(before, replayed.get(key));
            match after {
                Some(value) => replayed.insert(*key, *value),
                None => replayed.remove(key),
            };
        });
        prop_assert_eq!(replayed, model);
    }
}

#[test]
fn comparing_versions_looks_only_at_what_is_not_shared() {
    let before: OrderedMap<u32, u32> = (0..100_000).map(|key| (key, key)).collect();
    let mut after = before.clone();
    after.insert(50_000, 0);
    after.remove(&70_000);
    let mut visited = 0;
    before.diff(&after, |_, _, _| visited += 1);
    assert!((2..=2 * CHUNK).contains(&visited), "visited {visited} entries");
    let mut none = 0;
    before.diff(&before.clone(), |_, _, _| none += 1);
    assert_eq!(none, 0);
}

#[test]
fn keys_in_order_fill_their_chunks() {
    let map: OrderedMap<u32, ()> = (0..6_400).map(|key| (key, ())).collect();
    assert_eq!(map.chunks.len(), 6_400 / CHUNK);
}
