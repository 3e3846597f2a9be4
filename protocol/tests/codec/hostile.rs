//! What enemies send. Nothing here may panic, and nothing may allocate by a length that was not checked.

use bytes::Bytes;
use goatq_protocol::frame::{FrameError, request_length};
use goatq_protocol::header::{HeaderError, RequestHeader};
use goatq_protocol::message::{Codec, MetadataRequest, ProduceRequest};
use goatq_protocol::wire::{DecodeError, MAX_ELEMENTS, Versioned};
use goatq_protocol::{ApiKey, wire};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use crate::sample::{Counts, Half, Sample, for_each, recode, try_recode};

/// What a hostile length must be refused with.
type Expected = fn(&DecodeError) -> bool;

fn truncated(error: &DecodeError) -> bool {
    matches!(error, DecodeError::Truncated { .. })
}

const LARGEST_VARINT: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];
/// As a compact length 2^31-1.
const LARGEST_LENGTH: [u8; 5] = [0x80, 0x80, 0x80, 0x80, 0x08];

/// Replacements for a length, by what it counts and how it is written.
fn hostile_lengths(counts: Counts, flexible: bool) -> Vec<(Vec<u8>, Expected)> {
    let too_many: Expected = |error| matches!(error, DecodeError::TooManyElements(_));
    let too_long: Expected = |error| matches!(error, DecodeError::StringTooLong(_));
    let overlong: Expected = |error| *error == DecodeError::VarintTooLong;
    let varints = |largest: [u8; 5], most: Expected| -> Vec<(Vec<u8>, Expected)> {
        vec![
            (largest.to_vec(), most),
            (vec![0xff, 0xff, 0xff, 0xff, 0x1f], overlong),
            (vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x00], overlong),
        ]
    };
    match (counts, flexible) {
        (Counts::Elements, false) => vec![
            (i32::MAX.to_be_bytes().to_vec(), too_many),
            (1_000_001i32.to_be_bytes().to_vec(), too_many),
            (1_000_000i32.to_be_bytes().to_vec(), truncated),
        ],
        (Counts::Elements, true) => {
            let mut cases = varints(LARGEST_LENGTH, too_many);
            // 1,000,001 and 1,000,000, both plus one.
            cases.push((vec![0xc2, 0x84, 0x3d], too_many));
            cases.push((vec![0xc1, 0x84, 0x3d], truncated));
            cases
        }
        (Counts::Text, false) => vec![(i16::MAX.to_be_bytes().to_vec(), truncated)],
        (Counts::Text, true) => varints(LARGEST_LENGTH, too_long),
        (Counts::Bytes, false) => vec![(i32::MAX.to_be_bytes().to_vec(), truncated)],
        (Counts::Bytes, true) => varints(LARGEST_LENGTH, truncated),
        (Counts::TaggedFields, _) => {
            let too_many: Expected = |error| matches!(error, DecodeError::TooManyTags(_));
            let mut cases = varints(LARGEST_VARINT, too_many);
            // 10,001
            cases.push((vec![0x91, 0x4e], |error| *error == DecodeError::TooManyTags(10_001)));
            cases
        }
        (Counts::TagSize, _) => varints(LARGEST_VARINT, truncated),
    }
}

#[test]
fn hostile_lengths_are_refused_wherever_a_length_is() {
    for_each(1, |codec, half, version, sample| {
        for length in &sample.lengths {
            for (replacement, expected) in hostile_lengths(length.counts, sample.is_flexible()) {
                let outcome = try_recode(codec, half, version, sample.with_length(*length, &replacement));
                let error = outcome.expect_err("a hostile length");
                // The size of an enclosing tagged field may be exceeded first.
                let refused = expected(&error) || (length.in_tag && truncated(&error));
                assert!(refused, "{} {half:?} {version} {length:?} {replacement:?}: {error}", codec.key);
            }
        }
    });
}

/// Null as it should be written, and other negative lengths.
fn nulls(counts: Counts, flexible: bool) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let short = |length: i16| length.to_be_bytes().to_vec();
    let long = |length: i32| length.to_be_bytes().to_vec();
    match (counts, flexible) {
        (Counts::TaggedFields | Counts::TagSize, _) => None,
        // -2 and -2^31, both plus one.
        (_, true) => Some((vec![0], vec![LARGEST_VARINT.to_vec(), vec![0x81, 0x80, 0x80, 0x80, 0x08]])),
        (Counts::Text, false) => Some((short(-1), vec![short(-2), short(i16::MIN)])),
        (Counts::Elements | Counts::Bytes, false) => Some((long(-1), vec![long(-2), long(i32::MIN)])),
    }
}

#[test]
fn any_negative_length_is_null() {
    for_each(1, |codec, half, version, sample| {
        // Sizes of tagged fields do not follow what is replaced in them.
        for length in sample.lengths.iter().filter(|length| !length.in_tag) {
            let Some((null, others)) = nulls(length.counts, sample.is_flexible()) else { continue };
            let expected = try_recode(codec, half, version, sample.with_length(*length, &null));
            for other in others {
                let outcome = try_recode(codec, half, version, sample.with_length(*length, &other));
                assert_eq!(outcome, expected, "{} {half:?} {version} {length:?} {other:?}", codec.key);
            }
        }
    });
}

#[test]
fn null_is_refused_where_there_is_none() {
    let topics_null = i32::to_be_bytes(-1).to_vec();
    assert_eq!(MetadataRequest::from_bytes(topics_null.clone().into(), 0), Err(DecodeError::UnexpectedNull));
    assert_eq!(MetadataRequest::from_bytes(topics_null.into(), 1).map(|request| request.topics), Ok(None));
}

#[test]
fn every_prefix_of_a_valid_message_is_refused() {
    for_each(2, |codec, half, version, sample| {
        for length in 0..sample.bytes.len() {
            let outcome = try_recode(codec, half, version, sample.bytes[..length].to_vec());
            assert!(outcome.is_err(), "{} {half:?} {version} cut to {length}", codec.key);
        }
    });
}

#[test]
fn trailing_bytes_are_ignored() {
    for_each(3, |codec, half, version, sample| {
        let mut longer = sample.bytes.clone();
        longer.extend(b"trailing");
        assert_eq!(recode(codec, half, version, &longer), sample.bytes, "{} {half:?} {version}", codec.key);
    });
}

#[test]
fn unknown_tagged_fields_are_skipped() {
    let mut skipped = 0;
    for_each(4, |codec, half, version, sample| {
        for length in sample.lengths.iter().filter(|length| length.counts == Counts::TaggedFields && !length.in_tag) {
            // One more: tag 1,000, three bytes.
            let count = sample.bytes[length.start] + 1;
            let bytes = sample.with_length(*length, &[count, 0xe8, 0x07, 3, b'n', b'e', b'w']);
            assert_eq!(recode(codec, half, version, &bytes), sample.bytes, "{} {half:?} {version}", codec.key);
            skipped += 1;
        }
    });
    assert!(skipped > 100, "{skipped}");
}

#[test]
fn ten_thousand_tagged_fields_are_not_too_many() {
    // DescribeCluster v0: one boolean, then tagged fields.
    let mut bytes = vec![1, 0x90, 0x4e];
    for _ in 0..10_000 {
        bytes.extend([0x7f, 0]);
    }
    let codec = Codec::find(ApiKey::DescribeCluster).expect("a known API");
    assert_eq!(recode(codec, Half::Request, 0, &bytes), [1, 0]);
}

#[test]
fn a_tagged_field_must_be_what_its_size_says() {
    // Fetch v12 in no session, for nothing, with cluster id "a" (tag 0), whose size is then changed.
    let mut bytes = [0xff; 4].to_vec();
    bytes.extend([0; 21]);
    bytes.extend([1, 1, 1, 1, 0]);
    let codec = Codec::find(ApiKey::Fetch).expect("a known API");
    let with_size = |size: u8| {
        let mut bytes = bytes.clone();
        bytes.extend([size, 2, b'a', 0, 0]);
        try_recode(codec, Half::Request, 12, bytes).map(|encoded| encoded.is_ok())
    };
    assert_eq!(with_size(2), Ok(true));
    assert_eq!(with_size(1), Err(DecodeError::Truncated { wanted: 1, left: 0 }));
    assert_eq!(with_size(3), Err(DecodeError::TagSize { tag: 0, unread: 1 }));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let request = [&1i32.to_be_bytes()[..], &2i16.to_be_bytes(), &[0xc3, 0x28]].concat();
    assert_eq!(MetadataRequest::from_bytes(request.into(), 0), Err(DecodeError::NotUtf8));
}

#[test]
fn memory_is_limited_by_the_frame() {
    // Produce v3: a million topics without partitions in six bytes each; as structs they would need ten times that.
    let topics = MAX_ELEMENTS as i32;
    let mut frame = [&(-1i16).to_be_bytes()[..], &[0, 1, 0, 0, 0, 0], &topics.to_be_bytes()].concat();
    frame.resize(frame.len() + MAX_ELEMENTS * 6, 0);
    assert_eq!(ProduceRequest::from_bytes(frame.into(), 3), Err(DecodeError::DecodedTooLarge));
    // A hundred thousand fit into the floor and the factor.
    let mut frame = [&(-1i16).to_be_bytes()[..], &[0, 1, 0, 0, 0, 0], &50_000i32.to_be_bytes()].concat();
    frame.resize(frame.len() + 50_000 * 6, 0);
    assert_eq!(ProduceRequest::from_bytes(frame.into(), 3).map(|request| request.topic_data.len()), Ok(50_000));
}

#[test]
fn frame_lengths() {
    let max = 100 << 20;
    let length = |prefix: [u8; 4]| request_length(prefix, max);
    assert_eq!(length((-1i32).to_be_bytes()), Err(FrameError::Negative(-1)));
    assert_eq!(length(i32::MAX.to_be_bytes()), Err(FrameError::TooLong { length: i32::MAX as usize, max }));
    assert_eq!(length([0; 4]), Err(FrameError::TooShort(0)));
    assert_eq!(length(9i32.to_be_bytes()), Err(FrameError::TooShort(9)));
    assert_eq!(length(10i32.to_be_bytes()), Ok(10));
    assert_eq!(length((100i32 << 20).to_be_bytes()), Ok(max));
    assert_eq!(length(*b"GET "), Err(FrameError::Http));
    assert_eq!(length(*b"POST"), Err(FrameError::Http));
    assert_eq!(length([0x16, 0x03, 0x01, 0x02]), Err(FrameError::Tls));
}

fn header(key: i16, version: i16, rest: &[u8]) -> Result<(RequestHeader, Bytes), HeaderError> {
    let frame = [&key.to_be_bytes()[..], &version.to_be_bytes(), &7i32.to_be_bytes(), rest].concat();
    RequestHeader::decode(frame.into())
}

#[test]
fn headers() {
    assert_eq!(header(4, 0, &[0xff, 0xff]), Err(HeaderError::UnknownApiKey(4)));
    assert_eq!(header(95, 0, &[0xff, 0xff]), Err(HeaderError::UnknownApiKey(95)));
    assert_eq!(header(-1, 0, &[0xff, 0xff]), Err(HeaderError::UnknownApiKey(-1)));
    let cut = header(3, 0, &[0]).expect_err("the client id is cut");
    assert_eq!(cut, HeaderError::Malformed(DecodeError::Truncated { wanted: 2, left: 1 }));
    let (negative, _) = header(3, 0, &[0xff, 0xfe]).expect("any negative length is null");
    assert_eq!(negative.client_id, None);
    let tags = header(3, 12, &[0xff, 0xff, 0x91, 0x4e]).expect_err("too many tags");
    assert_eq!(tags, HeaderError::Malformed(DecodeError::TooManyTags(10_001)));
}

#[test]
fn an_api_versions_request_of_the_future_has_a_header() {
    let (header, body) = header(18, 999, &[0, 1, b'x', 0, b'b', b'o', b'd', b'y']).expect("always decodable");
    assert_eq!((header.api_key, header.api_version), (ApiKey::ApiVersions, 999));
    assert_eq!((header.correlation_id, header.client_id.as_deref()), (7, Some("x")));
    assert_eq!(body, "body");
}

#[test]
fn any_client_id_is_accepted() {
    let mut rest = i16::MAX.to_be_bytes().to_vec();
    rest.resize(rest.len() + i16::MAX as usize, b'x');
    let (long, _) = header(3, 1, &rest).expect("a long client id");
    assert_eq!(long.client_id.map(|id| id.len()), Some(wire::MAX_STRING));
    let (odd, body) = header(3, 1, &[0, 3, b'a', 0xff, b'b', 9]).expect("an odd client id");
    assert_eq!(odd.client_id.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(body, [9u8].as_slice());
}

/// Some bytes of a valid message replaced: decoding may succeed or fail, and what it yields can be encoded and decoded again.
fn damaged(codec: &Codec, half: Half, version: i16, seed: u64, damage: &[(u16, u8)]) {
    let mut bytes = Sample::new(codec, half, version, seed).bytes;
    for (position, value) in damage {
        let position = usize::from(*position) % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(position) {
            *byte = *value;
        }
    }
    if let Ok(encoded) = try_recode(codec, half, version, bytes) {
        let encoded = encoded.expect("what was decoded can be encoded").to_vec();
        assert_eq!(recode(codec, half, version, &encoded), encoded);
    }
}

proptest! {
    #![proptest_config(Config { cases: 48, rng_seed: RngSeed::Fixed(18), failure_persistence: None, ..Config::default() })]

    #[test]
    fn damaged_messages_never_panic(seed: u64, damage in prop::collection::vec((any::<u16>(), any::<u8>()), 1..6)) {
        for_each(seed, |codec, half, version, _| damaged(codec, half, version, seed, &damage));
    }
}
