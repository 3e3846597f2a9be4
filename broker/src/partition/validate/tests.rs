use bytes::Bytes;
use goatq_protocol::record::{BATCH_HEADER_LEN, BatchBuilder, BatchOptions, NewRecord};

use super::*;

const NOW: i64 = 1_700_000_000_000;

fn config() -> TopicConfig {
    TopicConfig {
        log: goatq_storage::config::LogConfig::default(),
        max_message_bytes: 1_048_588,
        max_decompressed_message_bytes: UNLIMITED,
        min_insync_replicas: 1,
        compression: TopicCompression::Producer,
        log_append_time: false,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compact: false,
        delete: true,
        leader_throttled: crate::config::throttled::ThrottledReplicas::None,
        follower_throttled: crate::config::throttled::ThrottledReplicas::None,
    }
}

fn build(options: BatchOptions, records: &[(i64, Option<&str>, &str)]) -> Batch {
    let mut builder = BatchBuilder::new(options);
    for (timestamp, key, value) in records {
        let (key, value) = (key.map(str::as_bytes), Some(value.as_bytes()));
        builder.push(NewRecord { timestamp: *timestamp, key, value, headers: &[] }).expect("fits");
    }
    builder.build_batch().expect("valid")
}

fn batch(records: &[(i64, Option<&str>, &str)]) -> Batch {
    build(BatchOptions::default(), records)
}

fn compressed(codec: Compression, records: &[(i64, Option<&str>, &str)]) -> Batch {
    build(BatchOptions { compression: codec, ..BatchOptions::default() }, records)
}

fn records(batches: &[&Batch]) -> Option<Records> {
    Some(Records::from(Bytes::from(batches.iter().flat_map(|batch| batch.to_bytes()).collect::<Vec<u8>>())))
}

/// The batch with some header bytes changed and the CRC made right again.
fn forged(batch: &Batch, at: usize, bytes: &[u8]) -> Batch {
    let mut whole = batch.to_bytes().to_vec();
    whole[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c(&whole[21..]);
    whole[17..21].copy_from_slice(&crc.to_be_bytes());
    Batch::parse(whole.into()).expect("a batch by its lengths")
}

/// CRC-32C bit by bit: slow, and independent of the crate that the broker uses.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

fn kind(result: Result<Accepted, Refusal>) -> RefusalKind {
    result.expect_err("refused").kind
}

#[test]
fn a_set_holds_exactly_one_batch() {
    let one = batch(&[(NOW, None, "a")]);
    assert_eq!(single_batch(records(&[&one]), 9).as_ref(), Ok(&one));
    for none in [None, records(&[]), Some(Records::from(one.to_bytes().slice(..BATCH_HEADER_LEN)))] {
        assert_eq!(single_batch(none, 9).expect_err("none").kind, RefusalKind::Invalid);
    }
    assert_eq!(single_batch(records(&[&one, &one]), 9).expect_err("two").kind, RefusalKind::Invalid);
    let mut old = one.to_bytes().to_vec();
    old[16] = 1;
    assert_eq!(single_batch(Some(Bytes::from(old.clone()).into()), 9).expect_err("old").kind, RefusalKind::Magic);
    old[16] = 3;
    assert_eq!(single_batch(Some(Bytes::from(old).into()), 9).expect_err("no format").kind, RefusalKind::Corrupt);
}

#[test]
fn zstd_needs_version_seven() {
    let zstd = compressed(Compression::Zstd, &[(NOW, None, "a")]);
    assert_eq!(single_batch(records(&[&zstd]), 6).expect_err("too old").kind, RefusalKind::Compression);
    assert!(single_batch(records(&[&zstd]), 7).is_ok());
}

#[test]
fn a_plain_batch_is_accepted_untouched() {
    let batch = batch(&[(NOW, None, "a"), (NOW + 5, Some("k"), "b")]);
    assert_eq!(validate(batch.clone(), &config(), NOW), Ok(Accepted { batch, converted: false }));
}

#[test]
fn headers_that_lie() {
    let good = batch(&[(NOW, None, "a"), (NOW, None, "b")]);
    let cases: [(&str, usize, Vec<u8>); 7] = [
        ("base offset", 0, 1_i64.to_be_bytes().to_vec()),
        ("record count", 57, i32::MAX.to_be_bytes().to_vec()),
        ("negative count", 57, (-1_i32).to_be_bytes().to_vec()),
        ("count below content", 57, 1_i32.to_be_bytes().to_vec()),
        ("last delta", 23, 7_i32.to_be_bytes().to_vec()),
        ("control", 21, 0x20_i16.to_be_bytes().to_vec()),
        ("producer without sequence", 43, 5_i64.to_be_bytes().to_vec()),
    ];
    for (name, at, bytes) in cases {
        assert_eq!(kind(validate(forged(&good, at, &bytes), &config(), NOW)), RefusalKind::Invalid, "{name}");
    }
    let fewer = forged(&forged(&good, 57, &1_i32.to_be_bytes()), 23, &0_i32.to_be_bytes());
    assert_eq!(kind(validate(fewer, &config(), NOW)), RefusalKind::Invalid, "bytes behind the last record");
    let codec = forged(&good, 21, &5_i16.to_be_bytes());
    assert_eq!(kind(validate(codec, &config(), NOW)), RefusalKind::Compression);
    let mut bytes = good.to_bytes().to_vec();
    bytes[70] ^= 1;
    assert_eq!(kind(validate(Batch::parse(bytes.into()).expect("lengths"), &config(), NOW)), RefusalKind::Corrupt);
}

#[test]
fn size_counts_before_anything_else_in_the_batch() {
    let config = TopicConfig { max_message_bytes: 100, ..config() };
    let large = batch(&[(NOW, None, &"x".repeat(100))]);
    let mut broken = large.to_bytes().to_vec();
    broken[100] ^= 1;
    assert_eq!(kind(validate(Batch::parse(broken.into()).expect("lengths"), &config, NOW)), RefusalKind::TooLarge);
}

#[test]
fn time_stamps_far_from_now() {
    let refused = validate(batch(&[(NOW, None, "a"), (NOW + 3_600_001, None, "b")]), &config(), NOW);
    let refused = refused.expect_err("an hour ahead");
    assert_eq!((refused.kind, refused.records[0].0), (RefusalKind::Timestamp, 1));
    assert!(validate(batch(&[(NOW + 3_600_000, None, "a"), (0, None, "b"), (-1, None, "c")]), &config(), NOW).is_ok());
    let strict = TopicConfig { timestamp_before_max_ms: 1000, ..config() };
    assert_eq!(kind(validate(batch(&[(NOW - 1001, None, "a")]), &strict, NOW)), RefusalKind::Timestamp);
    let hidden = compressed(Compression::Gzip, &[(NOW, None, "a"), (NOW - 1001, None, "b")]);
    assert_eq!(kind(validate(hidden, &strict, NOW)), RefusalKind::Timestamp);
    // The broker's own time needs no checks.
    let own = TopicConfig { log_append_time: true, ..strict };
    assert!(validate(batch(&[(NOW + 9_999_999, None, "a")]), &own, NOW).is_ok());
}

#[test]
fn a_wrong_maximum_time_is_corrected() {
    let good = batch(&[(NOW, None, "a"), (NOW + 5, None, "b")]);
    let lying = forged(&good, 35, &0_i64.to_be_bytes());
    assert_eq!(validate(lying, &config(), NOW).expect("accepted").batch, good);
}

#[test]
fn log_append_time_is_the_brokers() {
    let config = TopicConfig { log_append_time: true, ..config() };
    for codec in [Compression::None, Compression::Lz4] {
        let accepted = validate(compressed(codec, &[(3, None, "a")]), &config, NOW).expect("accepted").batch;
        assert_eq!(accepted.header().timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(accepted.header().max_timestamp, NOW);
        assert!(accepted.verify_crc().is_ok());
    }
}

#[test]
fn only_the_broker_may_say_that_time_is_its_own() {
    let good = batch(&[(NOW, None, "a"), (NOW + 5, None, "b")]);
    let flagged = forged(&good, 21, &8_i16.to_be_bytes());
    assert_eq!(validate(flagged.clone(), &config(), NOW).expect("accepted").batch, good);
    let own = TopicConfig { log_append_time: true, ..config() };
    assert_eq!(kind(validate(flagged, &own, NOW)), RefusalKind::Timestamp);
}

#[test]
fn compacted_topics_need_keys() {
    let config = TopicConfig { compact: true, ..config() };
    for codec in Compression::ALL {
        let refused = validate(compressed(codec, &[(NOW, Some("k"), "a"), (NOW, None, "b")]), &config, NOW);
        let refused = refused.expect_err("no key");
        assert_eq!((refused.kind, refused.records[0].0), (RefusalKind::Invalid, 1), "{codec}");
        assert!(validate(compressed(codec, &[(NOW, Some("k"), "a")]), &config, NOW).is_ok());
    }
}

#[test]
fn a_bomb_is_refused_where_the_topic_sets_a_limit() {
    let text = "0".repeat(1_000_000);
    let limited = TopicConfig { max_decompressed_message_bytes: 100_000, ..config() };
    for codec in [Compression::Gzip, Compression::Lz4, Compression::Zstd, Compression::Snappy] {
        let bomb = compressed(codec, &[(NOW, None, &text)]);
        assert!(validate(bomb.clone(), &config(), NOW).is_ok(), "{codec}");
        assert_eq!(kind(validate(bomb, &limited, NOW)), RefusalKind::TooLarge, "{codec}");
    }
}

#[test]
fn topics_may_demand_a_codec() {
    let demand = |codec: Compression| TopicConfig {
        compression: TopicCompression::Fixed { codec: codec.codec() as i8, level: 3 },
        ..config()
    };
    let content: [(i64, Option<&str>, &str); 3] =
        [(NOW, Some("a"), "x"), (NOW - 9, None, "y"), (NOW + 2, Some(""), "")];
    let options = BatchOptions { producer_id: 7, producer_epoch: 2, base_sequence: 40, ..BatchOptions::default() };
    for from in Compression::ALL {
        let source = build(BatchOptions { compression: from, ..options.clone() }, &content);
        for to in Compression::ALL {
            let accepted = validate(source.clone(), &demand(to), NOW).expect("accepted");
            assert_eq!(accepted.converted, from != to);
            let header = accepted.batch.header();
            assert_eq!(header.compression(), Ok(to));
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 2, 40));
            assert!(accepted.batch.verify_crc().is_ok());
            let inside = |batch: &Batch| batch.records(Limits::default()).collect::<Result<Vec<_>, _>>();
            assert_eq!(inside(&accepted.batch), inside(&source));
        }
    }
}

#[test]
fn a_batch_may_not_outgrow_its_limit_by_conversion() {
    let text = "0".repeat(10_000);
    let config = TopicConfig {
        max_message_bytes: 1_000,
        compression: TopicCompression::Fixed { codec: 0, level: 0 },
        ..config()
    };
    assert_eq!(
        kind(validate(compressed(Compression::Gzip, &[(NOW, None, &text)]), &config, NOW)),
        RefusalKind::TooLarge
    );
}
