use proptest::prelude::*;

use super::*;

const NOW: Duration = Duration::from_secs(1);

/// Names the turns that a test gives it, and notes which ones are left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Named {
    woken: Vec<u64>,
    left: Vec<u64>,
}

impl Watches for Named {
    fn take_woken(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.woken)
    }

    fn leave(&mut self, turn: u64) {
        self.left.push(turn);
    }
}

type Cache = SessionCache<Named>;

fn finish_at(
    cache: &mut Cache,
    begun: &Begun<Named>,
    told: &[Told],
    now: Duration,
    id: i32,
) -> Result<Finished, SessionError> {
    let told: Vec<_> = begun.partitions.iter().zip(told.iter().copied()).collect();
    cache.finish(begun.kind, &told, begun.watch.clone(), now, || id)
}

/// Ends a request: what is told of its partitions, in order.
fn finish(cache: &mut Cache, begun: &Begun<Named>, told: &[Told], id: i32) -> Result<Finished, SessionError> {
    finish_at(cache, begun, told, NOW, id)
}

/// Keys and offsets of what is to be read.
fn read(begun: &Begun<Named>) -> Vec<(PartitionKey, Position)> {
    begun.partitions.iter().map(|asked| (asked.key.clone(), asked.position)).collect()
}

fn cache(slots: usize) -> Cache {
    SessionCache::new(SessionConfig { slots, max_partitions: 100, ..SessionConfig::default() })
}

fn key(name: &str, partition: i32) -> PartitionKey {
    PartitionKey { topic: TopicKey::Name(name.into()), partition }
}

fn position(fetch_offset: i64) -> Position {
    Position { fetch_offset, max_bytes: 1000, current_leader_epoch: -1, last_fetched_epoch: -1, log_start_offset: -1 }
}

fn request(id: i32, epoch: i32, partitions: &[(&str, i32, i64)]) -> SessionRequest {
    SessionRequest {
        id,
        epoch,
        uses_ids: false,
        privileged: false,
        isolation: Isolation::HighWatermark,
        partitions: partitions.iter().map(|(name, index, at)| (key(name, *index), position(*at))).collect(),
        forgotten: Vec::new(),
    }
}

fn quiet(high_watermark: i64) -> Told {
    Told { records: false, high_watermark, log_start_offset: 0, error: false, notable: false, watched: false }
}

/// Opens a session with `id` over these partitions, all told a high watermark of 10.
fn open(cache: &mut Cache, id: i32, partitions: &[(&str, i32, i64)], now: Duration) -> i32 {
    let begun = cache.begin(request(0, 0, partitions), now).expect("new");
    let told = vec![quiet(10); partitions.len()];
    finish_at(cache, &begun, &told, now, id).expect("new").session_id
}

#[test]
fn epochs_wrap_around_their_special_values() {
    assert_eq!(next_epoch(INITIAL_EPOCH), 1);
    assert_eq!(next_epoch(i32::MAX), 1);
    assert_eq!(next_epoch(FINAL_EPOCH), FINAL_EPOCH);
}

#[test]
fn incremental_requests_name_what_changed_and_replies_tell_what_is_new() {
    let mut cache = cache(10);
    assert_eq!(open(&mut cache, 42, &[("a", 0, 5), ("a", 1, 6), ("b", 0, 7)], NOW), 42);

    // Nothing named: everything is read, only what is new is told.
    let begun = cache.begin(request(42, 1, &[]), NOW).expect("next epoch");
    assert_eq!(begun.partitions.len(), 3);
    let told = [quiet(10), quiet(11), Told { log_start_offset: 3, ..quiet(10) }];
    let finished = finish(&mut cache, &begun, &told, 0).expect("same epoch");
    assert_eq!(finished, Finished { session_id: 42, include: vec![false, true, true] });

    // One moves on, one is forgotten, one is new.
    let mut changed = request(42, 2, &[("a", 0, 9), ("c", 0, 1)]);
    changed.forgotten = vec![key("a", 1)];
    let begun = cache.begin(changed, NOW).expect("next epoch");
    let expected = vec![(key("a", 0), position(9)), (key("b", 0), position(7)), (key("c", 0), position(1))];
    assert_eq!(read(&begun), expected);
    assert_eq!(cache.stats().partitions, 3);
}

#[test]
fn whoever_got_records_goes_last() {
    let mut cache = cache(10);
    open(&mut cache, 42, &[("a", 0, 0), ("b", 0, 0)], NOW);
    let begun = cache.begin(request(42, 1, &[]), NOW).expect("next epoch");
    let told = [Told { records: true, ..quiet(10) }, quiet(10)];
    assert_eq!(finish(&mut cache, &begun, &told, 0).expect("fresh").include, [true, false]);
    let begun = cache.begin(request(42, 2, &[]), NOW).expect("next epoch");
    assert_eq!(read(&begun), [(key("b", 0), position(0)), (key("a", 0), position(0))]);
}

#[test]
fn errors_are_told_every_time_and_once_more_when_they_end() {
    let mut cache = cache(10);
    open(&mut cache, 42, &[("a", 0, 0)], NOW);
    let mut include = |epoch, told| {
        let begun = cache.begin(request(42, epoch, &[]), NOW).expect("next epoch");
        finish(&mut cache, &begun, &[told], 0).expect("fresh").include[0]
    };
    let failed = Told { error: true, ..quiet(-1) };
    assert!(include(1, failed));
    assert!(include(2, failed));
    assert!(include(3, quiet(10)));
    assert!(!include(4, quiet(10)));
    assert!(include(5, Told { notable: true, ..quiet(10) }));
}

#[test]
fn what_does_not_fit_a_session_is_refused() {
    let mut cache = cache(10);
    assert_eq!(cache.begin(request(42, 1, &[]), NOW), Err(SessionError::NotFound));
    open(&mut cache, 42, &[("a", 0, 0)], NOW);
    assert_eq!(cache.begin(request(42, 2, &[]), NOW), Err(SessionError::InvalidEpoch));
    let by_id = SessionRequest { uses_ids: true, ..request(42, 1, &[]) };
    assert_eq!(cache.begin(by_id, NOW), Err(SessionError::TopicIdMismatch));

    // Two requests of one session at a time: the earlier one finds out.
    let first = cache.begin(request(42, 1, &[]), NOW).expect("next epoch");
    cache.begin(request(42, 2, &[]), NOW).expect("next epoch");
    assert_eq!(finish(&mut cache, &first, &[quiet(10)], 0), Err(SessionError::InvalidEpoch));
}

#[test]
fn final_epoch_and_emptying_end_a_session() {
    let mut cache = cache(10);
    open(&mut cache, 42, &[("a", 0, 0)], NOW);
    let begun = cache.begin(request(42, FINAL_EPOCH, &[("a", 0, 0)]), NOW).expect("closing");
    assert_eq!(finish(&mut cache, &begun, &[quiet(1)], 0).expect("fresh").session_id, NO_SESSION);
    assert_eq!(cache.stats().sessions, 0);

    open(&mut cache, 43, &[("a", 0, 0)], NOW);
    let begun =
        cache.begin(SessionRequest { forgotten: vec![key("a", 0)], ..request(43, 1, &[]) }, NOW).expect("known");
    assert!(begun.partitions.is_empty());
    assert_eq!(finish(&mut cache, &begun, &[], 0).expect("fresh").session_id, NO_SESSION);
    assert_eq!(cache.stats(), SessionStats::default());
}

#[test]
fn a_partition_named_twice_counts_once() {
    let mut cache = cache(10);
    let begun = cache.begin(request(0, 0, &[("a", 0, 1), ("b", 0, 2), ("a", 0, 3)]), NOW).expect("new");
    assert_eq!(read(&begun), [(key("a", 0), position(3)), (key("b", 0), position(2))]);
}

#[test]
fn full_cache_keeps_young_sessions_and_displaces_old_or_small_ones() {
    let mut cache = cache(2);
    let old = NOW + Duration::from_secs(121);
    assert_eq!(open(&mut cache, 1, &[("a", 0, 0)], NOW), 1);
    assert_eq!(open(&mut cache, 2, &[("a", 0, 0), ("b", 0, 0)], NOW), 2);
    // Both are young: no room.
    assert_eq!(open(&mut cache, 3, &[("a", 0, 0), ("b", 0, 0)], NOW), NO_SESSION);
    // Both are in use, but have lived long enough: the smaller one makes room for a larger one, not for an equal one.
    for id in [1, 2] {
        cache.begin(request(id, 1, &[]), old).expect("known");
    }
    assert_eq!(open(&mut cache, 4, &[("a", 0, 0)], old), NO_SESSION);
    assert_eq!(open(&mut cache, 5, &[("a", 0, 0), ("b", 0, 0)], old), 5);
    assert_eq!(cache.begin(request(1, 2, &[]), old), Err(SessionError::NotFound));
    // One that was not used for long makes room for any.
    assert_eq!(open(&mut cache, 6, &[("a", 0, 0)], old + Duration::from_secs(121)), 6);
    assert_eq!(cache.stats().evictions, 2);
}

#[test]
fn followers_displace_consumers() {
    let mut cache = cache(1);
    assert_eq!(open(&mut cache, 1, &[("a", 0, 0), ("b", 0, 0)], NOW), 1);
    let follower = SessionRequest { privileged: true, ..request(0, 0, &[("a", 0, 0)]) };
    let begun = cache.begin(follower, NOW).expect("new");
    assert_eq!(finish(&mut cache, &begun, &[quiet(1)], 2).expect("fresh").session_id, 2);
    assert_eq!(open(&mut cache, 3, &[("a", 0, 0), ("b", 0, 0)], NOW), NO_SESSION);
}

#[test]
fn partitions_in_all_sessions_are_bounded() {
    let mut cache = cache(10);
    let many: Vec<_> = (0..60).map(|index| ("a", index, 0)).collect();
    assert_eq!(open(&mut cache, 1, &many, NOW), 1);
    assert_eq!(open(&mut cache, 2, &many, NOW), NO_SESSION);
    // A session that grows beyond the bound is answered without it.
    let more: Vec<_> = (0..60).map(|index| ("b", index, 0)).collect();
    let begun = cache.begin(request(1, 1, &more), NOW).expect("known");
    assert_eq!(begun.partitions.len(), 120);
    let told = vec![quiet(1); 120];
    assert_eq!(finish(&mut cache, &begun, &told, 0).expect("fresh").session_id, NO_SESSION);
    assert_eq!(cache.stats(), SessionStats::default());
}

#[test]
fn fresh_ids_are_positive_and_unused() {
    let mut cache = cache(10);
    assert_eq!(open(&mut cache, i32::MIN, &[("a", 0, 0)], NOW), 1);
    assert_eq!(open(&mut cache, 1, &[("a", 0, 0)], NOW), 2);
    assert_eq!(open(&mut cache, 0, &[("a", 0, 0)], NOW), 3);
    assert_eq!(open(&mut cache, i32::MAX, &[("a", 0, 0)], NOW), i32::MAX);
    assert_eq!(open(&mut cache, -i32::MAX, &[("a", 0, 0)], NOW), 4);
}

#[test]
fn a_thousand_quiet_partitions_cost_nothing() {
    let mut cache = Cache::new(SessionConfig::default());
    let many: Vec<_> = (0..1_000).map(|index| ("a", index, 10)).collect();
    let watched = Told { watched: true, ..quiet(10) };
    let begun = cache.begin(request(0, 0, &many), NOW).expect("new");
    finish(&mut cache, &begun, &[watched; 1_000], 42).expect("new");
    for epoch in 1..50 {
        let mut begun = cache.begin(request(42, epoch, &[("a", 5, 10)]), NOW).expect("next epoch");
        assert_eq!(read(&begun), [(key("a", 5), position(10))], "what was named");
        assert_eq!(begun.quiet, 999);
        begun.partitions.extend(cache.wake(begun.kind, vec![700, 5_000]).expect("its session"));
        assert_eq!(begun.partitions.len(), 2, "what was named and what woke");
        let finished = finish(&mut cache, &begun, &[watched, watched], 0).expect("fresh");
        assert_eq!(finished.include, [false, false]);
    }
    // The watch names some between two requests.
    let mut begun = cache.begin(request(42, 50, &[]), NOW).expect("next epoch");
    assert!(begun.partitions.is_empty() && begun.quiet == 1_000);
    begun.watch.woken = vec![3, 999];
    finish(&mut cache, &begun, &[], 0).expect("fresh");
    let begun = cache.begin(request(42, 51, &[]), NOW).expect("next epoch");
    assert_eq!(read(&begun), [(key("a", 3), position(10)), (key("a", 999), position(10))]);
    finish(&mut cache, &begun, &[watched, watched], 0).expect("fresh");

    // Who wants to see something else, or has lost its watch, looks at everything.
    let decided = SessionRequest { isolation: Isolation::LastStableOffset, ..request(42, 52, &[]) };
    assert_eq!(cache.begin(decided, NOW).expect("next epoch").partitions.len(), 1_000);
    assert_eq!(cache.begin(request(42, 53, &[]), NOW).expect("next epoch").partitions.len(), 1_000);
}

#[test]
fn what_is_forgotten_or_served_is_not_watched_any_more() {
    let mut cache = cache(10);
    let begun = cache.begin(request(0, 0, &[("a", 0, 0), ("a", 1, 0), ("a", 2, 0)]), NOW).expect("new");
    finish(&mut cache, &begun, &[Told { watched: true, ..quiet(0) }; 3], 42).expect("new");
    let mut forgetting = request(42, 1, &[("a", 0, 0)]);
    forgetting.forgotten = vec![key("a", 1)];
    let begun = cache.begin(forgetting, NOW).expect("next epoch");
    assert_eq!((begun.watch.left.as_slice(), begun.quiet), ([1].as_slice(), 1));
    finish(&mut cache, &begun, &[Told { records: true, watched: true, ..quiet(5) }], 0).expect("fresh");
    let begun = cache.begin(request(42, 2, &[]), NOW).expect("next epoch");
    assert_eq!(begun.watch.left, [1, 0]);
    assert_eq!(read(&begun), [(key("a", 0), position(0))], "whoever got records is looked at again");
}

/// One step of a consumer and of its partitions.
type Step = (Vec<(usize, i64)>, Vec<(usize, i64)>, Option<usize>);

fn step() -> impl Strategy<Value = Step> {
    let moved = prop::collection::vec((0..6_usize, 1..3_i64), 0..3);
    (moved.clone(), moved, prop::option::weighted(0.1, 0..6_usize))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Against a session in which everything is looked at each time: the client hears the same.
    #[test]
    fn quiet_partitions_have_nothing_to_tell(steps in prop::collection::vec(step(), 1..30)) {
        let mut ends = [0_i64; 6];
        let mut offsets = [0_i64; 6];
        let mut caches = [cache(10), cache(10)];
        let all: Vec<_> = (0..6).map(|index| ("a", index, 0)).collect();
        for cache in &mut caches {
            open(cache, 42, &all, NOW);
        }
        // The offsets at which places are held, by turn.
        let mut places: BTreeMap<u64, (usize, i64)> = BTreeMap::new();
        let mut woken = Vec::new();
        for (epoch, (growth, progress, failing)) in (1..).zip(steps) {
            for (at, by) in growth {
                ends[at] += by;
            }
            // Whoever fails says so.
            places.retain(|turn, (at, goal)| {
                let stays = ends[*at] < *goal && failing != Some(*at);
                woken.extend((!stays).then_some(*turn));
                stays
            });
            let named: Vec<_> = progress
                .into_iter()
                .map(|(at, by)| {
                    offsets[at] = (offsets[at] + by).min(ends[at]);
                    ("a", i32::try_from(at).unwrap(), offsets[at])
                })
                .collect();
            let heard: Vec<_> = caches.iter_mut().enumerate().map(|(which, cache)| {
                let mut begun = cache.begin(request(42, epoch, &named), NOW).expect("next epoch");
                if which == 0 {
                    let more = cache.wake(begun.kind, std::mem::take(&mut woken)).expect("its session");
                    for asked in more {
                        if begun.partitions.iter().all(|other| other.turn != asked.turn) {
                            begun.partitions.push(asked);
                        }
                    }
                }
                let told: Vec<_> = begun.partitions.iter().map(|asked| {
                    let at = usize::try_from(asked.key.partition).unwrap();
                    let error = failing == Some(at);
                    let records = !error && asked.position.fetch_offset < ends[at];
                    let watched = which == 0 && !error && !records;
                    if watched {
                        places.insert(asked.turn, (at, ends[at].max(asked.position.fetch_offset) + 1));
                    }
                    Told { records, high_watermark: if error { -1 } else { ends[at] }, error, watched, ..quiet(0) }
                }).collect();
                let finished = finish(cache, &begun, &told, 0).expect("fresh");
                let heard = begun.partitions.iter().zip(&finished.include).filter(|(_, include)| **include);
                heard.map(|(asked, _)| asked.key.partition).collect::<BTreeSet<_>>()
            }).collect();
            prop_assert_eq!(&heard[0], &heard[1]);
        }
    }
}
