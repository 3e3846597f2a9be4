//! Frames as they come, and as nobody should send them.

use bytes::{Buf, Bytes, BytesMut};
use goatq_controller::raft::wire::RequestKind;
use proptest::prelude::*;

use super::frame::{
    FrameFault, Key, MAX_ANSWER, decode_request, encode_request, encode_response, is_between_nodes, next_answer,
};

fn request(key: Key, id: i32, body: &'static [u8]) -> Bytes {
    let body = Bytes::from_static(body);
    let head = encode_request(key, id, &body).unwrap();
    let mut whole = BytesMut::from(&head[..]);
    whole.extend_from_slice(&body);
    let size = whole.get_i32();
    assert_eq!(usize::try_from(size), Ok(whole.len()));
    whole.freeze()
}

#[test]
fn requests_survive_their_frames() {
    for key in [Key::Hello, Key::Quorum(RequestKind::Append), Key::Quorum(RequestKind::Call)] {
        let frame = request(key, 77, b"body");
        assert!(is_between_nodes(&frame));
        let read = decode_request(frame).unwrap();
        assert_eq!((read.key, read.correlation_id, &read.body[..]), (key, 77, &b"body"[..]));
    }
    // ApiVersions of a client.
    assert!(!is_between_nodes(&[0, 18, 0, 3]));
    assert!(!is_between_nodes(&[0x7f]));
    let mut other = request(Key::Hello, 1, b"").to_vec();
    other[3] = 9;
    assert_eq!(decode_request(other.into()).unwrap_err(), FrameFault::Unknown { key: 30_000, version: 9 });
}

#[test]
fn answers_come_one_after_the_other() {
    let mut received = BytesMut::new();
    for chunk in encode_response(1, Ok(Bytes::from_static(b"first"))).iter().chain(&encode_response(2, Err("no"))) {
        received.extend_from_slice(chunk);
    }
    let mut cut = BytesMut::from(&received[..received.len() - 1]);
    assert_eq!(next_answer(&mut received), Ok(Some((1, Ok(Bytes::from_static(b"first"))))));
    assert_eq!(next_answer(&mut received), Ok(Some((2, Err("no".to_owned())))));
    assert_eq!(next_answer(&mut received), Ok(None));
    next_answer(&mut cut).unwrap();
    assert_eq!(next_answer(&mut cut), Ok(None));
    for size in [-1, 0, 4, i32::try_from(MAX_ANSWER).unwrap() + 6, i32::MAX] {
        let fault = next_answer(&mut BytesMut::from(&size.to_be_bytes()[..])).unwrap_err();
        assert_eq!(fault, FrameFault::TooLong(size.into()));
    }
}

proptest! {
    #[test]
    fn strange_frames_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        decode_request(bytes.clone().into()).ok();
        let mut received = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = next_answer(&mut received) {}
    }
}
