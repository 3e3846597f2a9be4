//! Bytes of real clients and brokers: what they send decodes, and encodes to the very same bytes.

use bytes::{Bytes, BytesMut};
use goatq_protocol::header::{RequestHeader, decode_response_header, encode_response_header};
use goatq_protocol::message::internal::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupMetadataKey, GroupMetadataValue, OffsetCommitKey,
    OffsetCommitValue, decode_versioned, encode_versioned, split_version,
};
use goatq_protocol::message::{ApiVersionsResponse, Codec, JoinGroupRequest, SyncGroupRequest};
use goatq_protocol::wire::{Versioned, Writer};
use goatq_protocol::{ApiKey, ErrorCode, frame};

use crate::sample::{Half, recode};

const JAVA: &str = include_str!("../../testdata/captured-java.txt");
const KCAT: &str = include_str!("../../testdata/captured-kcat.txt");
const OFFSETS: &str = include_str!("../../testdata/captured-offsets.txt");
const KAFKA_4_4: &str = include_str!("../../testdata/kafka-4.4.txt");

struct Captured {
    codec: &'static Codec,
    version: i16,
    half: Half,
    bytes: Bytes,
}

fn hex(text: &str) -> Bytes {
    assert!(text.len().is_multiple_of(2), "an odd number of digits");
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("two hexadecimal digits");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn read(file: &str) -> impl Iterator<Item = Captured> {
    file.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let columns: Vec<&str> = line.split(' ').collect();
        let [name, version, half, bytes] = columns[..] else { panic!("four columns: {line}") };
        let key = ApiKey::ALL.iter().find(|key| key.name() == name).expect("the name of an API");
        Captured {
            codec: Codec::find(*key).expect("an API whose messages are known"),
            version: version.parse().expect("a version"),
            half: if half == "request" { Half::Request } else { Half::Response },
            bytes: hex(bytes),
        }
    })
}

fn body_survives(captured: &Captured, body: &Bytes) {
    let Captured { codec, version, half, .. } = captured;
    assert_eq!(recode(codec, *half, *version, body), *body, "{} {half:?} {version}", codec.key);
}

fn frame_survives(captured: &Captured) {
    let Captured { codec, version, half, bytes } = captured;
    let mut writer = Writer::new();
    let body = match half {
        Half::Request => {
            let (header, body) = RequestHeader::decode(bytes.clone()).expect("a request header");
            assert_eq!((header.api_key, header.api_version), (codec.key, *version));
            header.encode(&mut writer).expect("encodes");
            body
        }
        Half::Response => {
            let (correlation_id, body) =
                decode_response_header(bytes.clone(), codec.key, *version).expect("a response header");
            encode_response_header(&mut writer, codec.key, *version, correlation_id);
            body
        }
    };
    let header = writer.into_bytes().expect("all of it is at hand");
    assert_eq!([&header[..], &body].concat(), *bytes, "{} {half:?} {version}", codec.key);
    body_survives(captured, &body);
}

#[test]
fn frames_of_java_clients() {
    assert!(read(JAVA).inspect(frame_survives).count() >= 59);
}

#[test]
fn frames_of_kcat() {
    assert!(read(KCAT).inspect(frame_survives).count() >= 27);
}

#[test]
fn bodies_checked_by_kafka_4_4() {
    let count = read(KAFKA_4_4).inspect(|captured| body_survives(captured, &captured.bytes)).count();
    assert_eq!(count, 35);
}

#[test]
fn the_broker_answers_an_unknown_version_of_api_versions_in_version_0() {
    let answer = read(JAVA)
        .find(|captured| captured.half == Half::Response && captured.codec.key == ApiKey::ApiVersions)
        .expect("captured");
    let (_, response) = frame::decode_response::<ApiVersionsResponse>(answer.bytes, 0).expect("decodes");
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
    let [only] = &response.api_keys[..] else { panic!("{response:?}") };
    assert_eq!((only.api_key, only.min_version, only.max_version), (18, 0, 4));
}

/// Kafka 4.3.1 has no key and no version that the table of Kafka 4.4 lacks, and the oldest versions are the same.
#[test]
fn the_table_of_keys_covers_what_a_broker_offers() {
    let answer = read(JAVA)
        .find(|captured| {
            captured.half == Half::Response && captured.codec.key == ApiKey::ApiVersions && captured.version == 4
        })
        .expect("captured");
    let (_, response) = frame::decode_response::<ApiVersionsResponse>(answer.bytes, 4).expect("decodes");
    for offered in &response.api_keys {
        let key = ApiKey::from_code(offered.api_key).expect("a known key");
        assert!(key.scope().on_broker(), "{key}");
        // Produce is offered from 0 for the sake of old librdkafkas, though 0 to 2 are refused.
        let oldest = if key == ApiKey::Produce { 0 } else { key.versions().min };
        assert_eq!(offered.min_version, oldest, "{key}");
        assert!(offered.max_version <= key.stable_versions().max, "{key}");
    }
    assert!(response.api_keys.len() >= 75, "{}", response.api_keys.len());
}

fn survives<M: Versioned>(bytes: Bytes) -> M {
    let (version, message) = decode_versioned::<M>(bytes.clone()).expect("decodes");
    assert_eq!(encode_versioned(&message, version).expect("encodes"), bytes);
    message
}

#[test]
fn records_of_the_offsets_topic() {
    let (mut offsets, mut groups, mut members) = (0, 0, 0);
    for line in OFFSETS.lines().filter(|line| !line.starts_with('#')) {
        let (key, value) = line.split_once(' ').expect("two columns");
        let value = (value != "-").then(|| hex(value));
        let key = hex(key);
        if split_version(key.clone()).expect("a version").0 == 2 {
            let key = survives::<GroupMetadataKey>(key);
            assert!(key.group.ends_with("-group"), "{key:?}");
            for member in value.into_iter().flat_map(|value| survives::<GroupMetadataValue>(value).members) {
                survives::<ConsumerProtocolSubscription>(member.subscription);
                survives::<ConsumerProtocolAssignment>(member.assignment);
                members += 1;
            }
            groups += 1;
        } else {
            let key = survives::<OffsetCommitKey>(key);
            assert_eq!(key.topic, "captured");
            if let Some(value) = value {
                assert!(survives::<OffsetCommitValue>(value).offset > 0);
            }
            offsets += 1;
        }
    }
    assert!(offsets >= 3 && groups >= 3 && members >= 2, "{offsets} {groups} {members}");
}

#[test]
fn subscriptions_and_assignments_of_real_members() {
    for captured in read(JAVA).chain(read(KCAT)).filter(|captured| captured.half == Half::Request) {
        let (_, body) = RequestHeader::decode(captured.bytes).expect("a request header");
        match captured.codec.key {
            ApiKey::JoinGroup => {
                let request = JoinGroupRequest::from_bytes(body, captured.version).expect("decodes");
                for protocol in request.protocols {
                    let subscription = survives::<ConsumerProtocolSubscription>(protocol.metadata);
                    assert_eq!(subscription.topics, ["captured"]);
                }
            }
            ApiKey::SyncGroup => {
                let request = SyncGroupRequest::from_bytes(body, captured.version).expect("decodes");
                for member in request.assignments {
                    survives::<ConsumerProtocolAssignment>(member.assignment);
                }
            }
            _ => {}
        }
    }
}

/// A frame with its length prefix is what was captured, whatever way it is cut.
#[test]
fn frames_are_put_together() {
    for captured in read(JAVA).filter(|captured| captured.codec.key == ApiKey::JoinGroup) {
        let Captured { version, half, bytes, .. } = captured;
        if half == Half::Response {
            continue;
        }
        let (header, body) = RequestHeader::decode(bytes.clone()).expect("a request header");
        let request = JoinGroupRequest::from_bytes(body, version).expect("decodes");
        let pieces = frame::encode_request(header.correlation_id, header.client_id.as_ref(), &request, version);
        let mut whole = BytesMut::new();
        for piece in pieces.expect("encodes") {
            whole.extend_from_slice(&piece);
        }
        let length = frame::request_length(whole[..4].try_into().expect("a prefix"), 1 << 20);
        assert_eq!(length, Ok(bytes.len()));
        assert_eq!(whole[4..], bytes);
    }
}
