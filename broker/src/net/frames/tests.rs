use proptest::prelude::*;

use super::*;

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = i32::try_from(body.len()).expect("small").to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn an_announced_size_takes_no_room_before_its_bytes_arrive() {
    let mut frames = Frames::new(104_857_600);
    frames.buffer_for_read().extend_from_slice(&104_857_600_i32.to_be_bytes());
    assert_eq!(frames.next_frame(), Ok(None));
    let room = frames.buffer_for_read().capacity();
    assert!(room <= FIRST_STEP, "{room}");
}

#[test]
fn the_second_large_frame_gets_its_room_at_once() {
    let mut frames = Frames::new(1 << 20);
    let large = framed(&vec![7; 200_000]);
    frames.buffer_for_read().extend_from_slice(&large);
    assert_eq!(frames.next_frame().expect("valid").expect("whole").len(), 200_000);
    frames.buffer_for_read().extend_from_slice(&large[..10]);
    assert_eq!(frames.wanted(), large.len() + WORTH_READING);
}

#[test]
fn one_read_takes_a_large_frame_that_follows_another() {
    let mut frames = Frames::new(1 << 20);
    assert_eq!(frames.ahead(), None);
    let large = framed(&vec![7; 70_000]);
    frames.buffer_for_read().extend_from_slice(&large);
    let first = frames.next_frame().expect("valid").expect("whole");
    assert!(frames.is_released(), "no buffer that keeps the first frame's memory");
    let room = frames.ahead().expect("a large one may follow");
    frames.make_room(room);
    let buffer = frames.buffer_for_read();
    assert!(buffer.capacity() > large.len() && buffer.capacity() < large.len() + 1024, "{}", buffer.capacity());
    let at = buffer.as_ptr();
    buffer.extend_from_slice(&large);
    let second = frames.next_frame().expect("valid").expect("whole");
    assert_eq!(second.as_ptr(), at.wrapping_add(PREFIX_LEN), "it was not copied");
    assert_eq!(first, second);
    // Small ones make that forgotten.
    for _ in 0..4 {
        frames.buffer_for_read().extend_from_slice(&framed(b"abcdefghij"));
        assert!(frames.next_frame().expect("valid").is_some());
    }
    assert_eq!(frames.ahead(), None);
}

#[test]
fn small_frames_share_room_until_the_connection_idles() {
    let mut frames = Frames::new(1 << 20);
    assert!(frames.is_released());
    let mut kept = Vec::new();
    for _ in 0..1_000 {
        frames.buffer_for_read().extend_from_slice(&framed(b"abcdefghij"));
        kept.push(frames.next_frame().expect("valid").expect("whole"));
    }
    let room = frames.buffer.capacity();
    assert!((1..=Frames::FIRST_READ).contains(&room), "{room}");
    frames.release();
    assert!(frames.is_released());
}

#[test]
fn small_frames_that_are_dropped_need_one_small_buffer() {
    let mut frames = Frames::new(1 << 20);
    for _ in 0..1_000 {
        frames.buffer_for_read().extend_from_slice(&framed(b"abcdefghij"));
        assert!(frames.next_frame().expect("valid").is_some());
    }
    assert_eq!(frames.shared, 2 * SMALLEST);
}

#[test]
fn frames_that_wait_in_the_socket_come_together() {
    let mut frames = Frames::new(1 << 20);
    let stream = framed(&[7; 1_150]).repeat(500);
    let (mut rest, mut reads) = (&stream[..], 0);
    while !rest.is_empty() {
        let buffer = frames.buffer_for_read();
        let n = rest.len().min(buffer.capacity() - buffer.len());
        buffer.extend_from_slice(&rest[..n]);
        rest = &rest[n..];
        reads += 1;
        while frames.next_frame().expect("valid").is_some() {}
    }
    assert!(reads < 100, "{reads}");
}

#[test]
fn a_frame_that_trickles_in_is_not_copied_at_every_read() {
    let mut frames = Frames::new(1 << 20);
    frames.buffer_for_read().extend_from_slice(&1_000_000_i32.to_be_bytes());
    let mut moved = 0;
    for _ in 0..10_000 {
        let before = frames.buffer.capacity();
        frames.buffer_for_read().extend_from_slice(&[0; 64]);
        moved += usize::from(frames.buffer.capacity() != before);
    }
    assert!(moved <= 10, "{moved}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the bytes are cut on the way, the same frames come out and the buffer stays in proportion.
    #[test]
    fn cuts_do_not_matter(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 10..20_000), 1..5),
        cuts in prop::collection::vec(1_usize..15_000, 1..40),
    ) {
        let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
        let mut frames = Frames::new(1 << 20);
        let mut out = Vec::new();
        let mut rest = stream.as_slice();
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let buffer = frames.buffer_for_read();
            let room = buffer.capacity() - buffer.len();
            prop_assert!(room > 0);
            prop_assert!(buffer.capacity() <= Frames::FIRST_READ.max(2 * buffer.len()).max(2 * 20_004) + WORTH_READING);
            let n = rest.len().min(*cuts.next().expect("cycle")).min(room);
            buffer.extend_from_slice(&rest[..n]);
            rest = &rest[n..];
            while let Some(frame) = frames.next_frame().expect("valid") {
                out.push(frame.to_vec());
            }
        }
        prop_assert_eq!(out, bodies);
    }
}
