use super::*;

const NOW: Duration = Duration::from_secs(1);

fn cache(slots: usize) -> SessionCache {
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
        partitions: partitions.iter().map(|(name, index, at)| (key(name, *index), position(*at))).collect(),
        forgotten: Vec::new(),
    }
}

fn quiet(high_watermark: i64) -> Told {
    Told { records: false, high_watermark, log_start_offset: 0, error: false, notable: false }
}

/// Opens a session with `id` over these partitions, all told a high watermark of 10.
fn open(cache: &mut SessionCache, id: i32, partitions: &[(&str, i32, i64)], now: Duration) -> i32 {
    let begun = cache.begin(request(0, 0, partitions), now).expect("new");
    let told = vec![quiet(10); partitions.len()];
    cache.finish(&begun, &told, now, || id).expect("new").session_id
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
    let finished = cache.finish(&begun, &told, NOW, || 0).expect("same epoch");
    assert_eq!(finished, Finished { session_id: 42, include: vec![false, true, true] });

    // One moves on, one is forgotten, one is new.
    let mut changed = request(42, 2, &[("a", 0, 9), ("c", 0, 1)]);
    changed.forgotten = vec![key("a", 1)];
    let begun = cache.begin(changed, NOW).expect("next epoch");
    let expected = vec![(key("a", 0), position(9)), (key("b", 0), position(7)), (key("c", 0), position(1))];
    assert_eq!(begun.partitions, expected);
    assert_eq!(cache.stats().partitions, 3);
}

#[test]
fn whoever_got_records_goes_last() {
    let mut cache = cache(10);
    open(&mut cache, 42, &[("a", 0, 0), ("b", 0, 0)], NOW);
    let begun = cache.begin(request(42, 1, &[]), NOW).expect("next epoch");
    let told = [Told { records: true, ..quiet(10) }, quiet(10)];
    assert_eq!(cache.finish(&begun, &told, NOW, || 0).expect("fresh").include, [true, false]);
    let begun = cache.begin(request(42, 2, &[]), NOW).expect("next epoch");
    assert_eq!(begun.partitions, [(key("b", 0), position(0)), (key("a", 0), position(0))]);
}

#[test]
fn errors_are_told_every_time_and_once_more_when_they_end() {
    let mut cache = cache(10);
    open(&mut cache, 42, &[("a", 0, 0)], NOW);
    let mut include = |epoch, told| {
        let begun = cache.begin(request(42, epoch, &[]), NOW).expect("next epoch");
        cache.finish(&begun, &[told], NOW, || 0).expect("fresh").include[0]
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
    assert_eq!(cache.finish(&first, &[quiet(10)], NOW, || 0), Err(SessionError::InvalidEpoch));
}

#[test]
fn final_epoch_and_emptying_end_a_session() {
    let mut cache = cache(10);
    open(&mut cache, 42, &[("a", 0, 0)], NOW);
    let begun = cache.begin(request(42, FINAL_EPOCH, &[("a", 0, 0)]), NOW).expect("closing");
    assert_eq!(cache.finish(&begun, &[quiet(1)], NOW, || 0).expect("fresh").session_id, NO_SESSION);
    assert_eq!(cache.stats().sessions, 0);

    open(&mut cache, 43, &[("a", 0, 0)], NOW);
    let begun =
        cache.begin(SessionRequest { forgotten: vec![key("a", 0)], ..request(43, 1, &[]) }, NOW).expect("known");
    assert!(begun.partitions.is_empty());
    assert_eq!(cache.finish(&begun, &[], NOW, || 0).expect("fresh").session_id, NO_SESSION);
    assert_eq!(cache.stats(), SessionStats::default());
}

#[test]
fn a_partition_named_twice_counts_once() {
    let mut cache = cache(10);
    let begun = cache.begin(request(0, 0, &[("a", 0, 1), ("b", 0, 2), ("a", 0, 3)]), NOW).expect("new");
    assert_eq!(begun.partitions, [(key("a", 0), position(3)), (key("b", 0), position(2))]);
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
    assert_eq!(cache.finish(&begun, &[quiet(1)], NOW, || 2).expect("fresh").session_id, 2);
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
    assert_eq!(cache.finish(&begun, &told, NOW, || 0).expect("fresh").session_id, NO_SESSION);
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
