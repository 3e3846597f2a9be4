//! Frames, headers and the encoding of bodies.

use std::time::Duration;

use goatq_protocol::ApiKey;
use goatq_protocol::frame::{decode_response, encode_request};
use goatq_protocol::message::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use goatq_protocol::message::metadata::MetadataRequest;

use super::peer::{Bench, SHORT_DEADLINE_MS, Seen, framed, sized};
use super::{Row, row, unread};

pub(crate) const ROWS: &[Row] = &[
    row("1 a frame of -1 bytes", |b| b.send(&[0xff; 4]), "closed"),
    row("2 a frame of 2 GiB", |b| b.send(&i32::MAX.to_be_bytes()), "closed"),
    row("3 100 MiB announced, then silence", announced_then_silence, "closed").only_here(),
    row("4 a byte now and then", trickle, "closed").only_here(),
    row("5 an HTTP request", |b| b.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "closed"),
    row("6 a TLS hello", |b| b.send(&tls_hello()), "closed"),
    row("8 an empty frame", |b| b.send(&[0; 4]), "closed"),
    row("9 a frame shorter than a header", |b| b.send(&sized(&[0, 18, 0, 0])), "closed"),
    row("10 an unknown API key", |b| b.send(&sized(&header(9999, 0))), "closed"),
    row("10 a negative API key", |b| b.send(&sized(&header(-1, 0))), "closed"),
    row("11 an unknown version", |b| b.send(&sized(&header(3, 99))), "closed"),
    row("11 a negative version", |b| b.send(&sized(&header(3, -1))), "closed"),
    row("11 a version of Produce that is advertised but gone", |b| b.send_body(ApiKey::Produce, 2, &[0; 20]), "closed"),
    row("11 an unknown version of ApiVersions", future_api_versions, "35 UNSUPPORTED_VERSION, keys [18]"),
    row("12 a client id of 32 KB", |b| client_id(b, &[b'x'; 32_767]), "served"),
    row("12 a client id that is not UTF-8", |b| client_id(b, &[0xc3, 0x28, 0xff]), "served"),
    row("12 a client id of length -2", |b| client_id_of(b, -2, &[]), "served"),
    row("13 an odd name of software", |b| software(b, "-odd-"), "42 INVALID_REQUEST"),
    row("13 an empty name of software", |b| software(b, ""), "42 INVALID_REQUEST"),
    row("14 an array of 2^31-1 elements", |b| b.send_body(ApiKey::Metadata, 8, &i32::MAX.to_be_bytes()), "closed"),
    row("14 an array of -2 elements", |b| b.send_body(ApiKey::Metadata, 8, &metadata_8(-2)), "served"),
    row("14 an array of -2^31 elements", |b| b.send_body(ApiKey::Metadata, 8, &metadata_8(i32::MIN)), "served"),
    row("14 -1 elements where there is no null", |b| b.send_body(ApiKey::Metadata, 0, &[0xff; 4]), "closed"),
    // What is there is one less. Kafka computes with 32 signed bits, and anything negative is null.
    row("15 a compact array of 2^31-1 elements", |b| metadata_9(b, &[0x80, 0x80, 0x80, 0x80, 0x08]), "closed"),
    row("15 a compact array of -2^31 elements", |b| metadata_9(b, &[0x81, 0x80, 0x80, 0x80, 0x08]), "served"),
    row("15 a compact array of -2 elements", |b| metadata_9(b, &[0xff, 0xff, 0xff, 0xff, 0x0f]), "served"),
    row("15 a compact null where there is none", |b| coordinator_3(b, &[0]), "closed"),
    row(
        "15 a compact string of -2 bytes where there is no null",
        |b| coordinator_3(b, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        "closed",
    ),
    // A rule of Kafka 4.4.
    row("16 1,000,001 elements that are there", million_and_one, "closed").only_here(),
    row("17 10,001 tagged fields", |b| tags(b, 10_001), "closed").only_here(),
    row("17 10,000 tagged fields", |b| tags(b, 10_000), "served"),
    row(
        "18 a tagged field longer than the rest",
        |b| b.send_body(ApiKey::Metadata, 9, &[1, 0, 0, 0, 1, 5, 100, 1]),
        "closed",
    ),
    row(
        "19 a length of six bytes",
        |b| b.send_body(ApiKey::Metadata, 9, &[0x81, 0x80, 0x80, 0x80, 0x80, 0x00]),
        "closed",
    ),
    row("20 a string of length -2", |b| b.send_body(ApiKey::Metadata, 4, &one_name(-2, b"")), "closed"),
    row(
        "20 a string of length -1 where there is no null",
        |b| b.send_body(ApiKey::Metadata, 4, &one_name(-1, b"")),
        "closed",
    ),
    row("20 a string of length -2 where null may be", |b| b.send_body(ApiKey::Produce, 3, &produce_3(-2)), "served"),
    row("20 bytes of length -1 where there is no null", |b| b.send_body(ApiKey::JoinGroup, 2, &join_2(-1)), "closed"),
    row("20 bytes of length -2", |b| b.send_body(ApiKey::JoinGroup, 2, &join_2(-2)), "closed"),
    row(
        "20 a struct of presence -2",
        |b| b.send_body(ApiKey::DescribeTopicPartitions, 0, &[1, 0, 0, 0, 10, 0xfe, 0]),
        "served",
    ),
    // Kafka replaces what is no text.
    row(
        "20 a name that is not UTF-8",
        |b| b.send_body(ApiKey::Metadata, 4, &one_name(3, &[0xc3, 0x28, 0xff])),
        "closed",
    )
    .kafka("served"),
    row("20 a string longer than the rest", |b| b.send_body(ApiKey::Metadata, 4, &one_name(1000, b"abc")), "closed"),
    row("21 bytes behind the body", |b| b.send_body(ApiKey::ApiVersions, 0, &[1, 2, 3, 4, 5]), "served"),
    row("22 10,000 requests, no answer read", unread::flood, "cut, fewer than 10000 answers").only_here(),
    row("23 no more to come after a request", finished_early, "served"),
    row("24 an API of controllers", |b| b.send_body(ApiKey::Vote, 0, &[0; 30]), "closed"),
    row("24 an API of brokers among themselves", |b| b.send_body(ApiKey::Envelope, 0, &[0; 30]), "closed"),
];

fn header(key: i16, version: i16) -> Vec<u8> {
    let mut bytes = [key.to_be_bytes(), version.to_be_bytes()].concat();
    bytes.extend_from_slice(&[0, 0, 0, 7, 0xff, 0xff]);
    bytes.extend_from_slice(&[0; 16]);
    bytes
}

fn tls_hello() -> Vec<u8> {
    let mut bytes = vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    bytes.resize(517, 0x5a);
    bytes
}

fn announced_then_silence(bench: &Bench) -> anyhow::Result<Seen> {
    bench.send(&(100 * 1024 * 1024_i32).to_be_bytes())
}

fn trickle(bench: &Bench) -> anyhow::Result<Seen> {
    let mut peer = bench.connect();
    for byte in sized(&[0; 1000]) {
        peer.write(&[byte])?;
        std::thread::sleep(Duration::from_millis(SHORT_DEADLINE_MS / 8));
        if peer.is_closed()? {
            return Ok(Seen::Closed);
        }
    }
    Ok(Seen::served())
}

fn future_api_versions(bench: &Bench) -> anyhow::Result<Seen> {
    let mut peer = bench.connect();
    peer.write(&framed(ApiKey::ApiVersions, 99, &[2, b'a', 2, b'1', 0]))?;
    let Some(frame) = peer.receive()? else { return Ok(Seen::Closed) };
    let (_, response) = decode_response::<ApiVersionsResponse>(frame, 0)?;
    let keys: Vec<_> = response.api_keys.iter().map(|version| version.api_key).collect();
    Ok(Seen::Text(format!("{}, keys {keys:?}", Seen::Error(response.error_code))))
}

fn client_id(bench: &Bench, id: &[u8]) -> anyhow::Result<Seen> {
    client_id_of(bench, i16::try_from(id.len())?, id)
}

fn client_id_of(bench: &Bench, len: i16, id: &[u8]) -> anyhow::Result<Seen> {
    let mut frame = vec![0, 18, 0, 0, 0, 0, 0, 7];
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(id);
    bench.send(&sized(&frame))
}

fn software(bench: &Bench, name: &str) -> anyhow::Result<Seen> {
    let request = ApiVersionsRequest {
        client_software_name: name.into(),
        client_software_version: "1".into(),
        ..ApiVersionsRequest::default()
    };
    Ok(Seen::Error(bench.ask(&request, 3)?.error_code))
}

fn metadata_8(len: i32) -> Vec<u8> {
    let mut body = len.to_be_bytes().to_vec();
    body.extend_from_slice(&[0, 0, 0]);
    body
}

/// No topics but this length, and flags.
fn metadata_9(bench: &Bench, len: &[u8]) -> anyhow::Result<Seen> {
    bench.send_body(ApiKey::Metadata, 9, &[len, &[0; 4]].concat())
}

/// No key but this length.
fn coordinator_3(bench: &Bench, len: &[u8]) -> anyhow::Result<Seen> {
    bench.send_body(ApiKey::FindCoordinator, 3, &[len, &[0; 2]].concat())
}

/// No transactional id but this length, and nothing to append.
fn produce_3(len: i16) -> Vec<u8> {
    [&len.to_be_bytes()[..], &[0xff, 0xff], &[0; 8]].concat()
}

/// One protocol, and no metadata of it but this length.
fn join_2(len: i32) -> Vec<u8> {
    let head = [0, 1, b'g', 0, 0, 0x27, 0x10, 0, 0, 0x27, 0x10, 0, 0, 0, 1, b'c', 0, 0, 0, 1, 0, 1, b'p'];
    [&head[..], &len.to_be_bytes()].concat()
}

fn million_and_one(bench: &Bench) -> anyhow::Result<Seen> {
    let count = 1_000_001_i32;
    let mut body = count.to_be_bytes().to_vec();
    body.resize(4 + 2 * usize::try_from(count)?, 0);
    bench.send_body(ApiKey::Metadata, 1, &body)
}

fn tags(bench: &Bench, count: u32) -> anyhow::Result<Seen> {
    // No topics and three flags, then tagged fields that nobody knows, each empty.
    let mut body = vec![1, 0, 0, 0];
    put_varint(&mut body, count);
    for tag in 0..count {
        put_varint(&mut body, tag + 1000);
        body.push(0);
    }
    bench.send_body(ApiKey::Metadata, 9, &body)
}

fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn one_name(len: i16, name: &[u8]) -> Vec<u8> {
    let mut body = 1_i32.to_be_bytes().to_vec();
    body.extend_from_slice(&len.to_be_bytes());
    body.extend_from_slice(name);
    body.push(0);
    body
}

fn finished_early(bench: &Bench) -> anyhow::Result<Seen> {
    let mut peer = bench.connect();
    let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
    peer.write(&encode_request(7, None, &request, 4)?.concat())?;
    peer.finish()?;
    Ok(peer.receive()?.map_or(Seen::Closed, |_| Seen::served()))
}
