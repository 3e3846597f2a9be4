//! What the reader and writer promise beyond the round trips of `tests/codec`.

use bytes::Bytes;
use bytestring::ByteString;

use super::{DecodeError, EncodeError, MAX_STRING, Message, Part, Reader, Records, Writer};

/// A struct with everything that can be tagged.
#[derive(Debug, Clone, PartialEq, Message)]
#[message(versions = "0-3", flexible = "1+")]
struct Sample {
    id: i32,
    #[field(versions = "1+", tag = 0)]
    text: ByteString,
    #[field(versions = "2+", tag = 5, default = "-1")]
    number: i64,
    #[field(versions = "1+", tag = 300)]
    payload: Option<Bytes>,
    #[field(versions = "1-2", tag = 301)]
    nested: Nested,
}

/// A nested struct whose null needs a newer version.
#[derive(Debug, Clone, PartialEq, Message)]
struct Nested {
    #[field(nullable = "2+")]
    names: Option<Vec<ByteString>>,
}

fn encoded(sample: &Sample, version: i16) -> Bytes {
    let mut writer = Writer::new();
    writer.message(sample, version).expect("encodes");
    writer.into_bytes().unwrap()
}

#[test]
fn unsigned_varints() {
    for value in [0, 1, 127, 128, 300, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455, 268_435_456, u32::MAX] {
        let mut writer = Writer::new();
        writer.uvarint(value);
        let bytes = writer.into_bytes().unwrap();
        let bits = 32 - value.leading_zeros();
        assert_eq!(bytes.len(), bits.div_ceil(7).max(1) as usize, "{value}");
        let mut reader = Reader::new(bytes, true);
        assert_eq!((reader.uvarint(), reader.remaining()), (Ok(value), 0));
    }
    // Longer than needed, but not too long: Kafka accepts it.
    assert_eq!(Reader::new(Bytes::from_static(&[0x85, 0x80, 0x00]), true).uvarint(), Ok(5));
}

#[test]
fn tagged_fields_have_the_bytes_that_the_specification_gives_them() {
    let sample = Sample { id: 1, text: "ab".into(), number: 2, ..Sample::default() };
    assert_eq!(encoded(&sample, 0), [0, 0, 0, 1].as_slice());
    assert_eq!(encoded(&sample, 1), [0, 0, 0, 1, 1, 0, 3, 3, b'a', b'b'].as_slice());
    let both = [0, 0, 0, 1, 2, 0, 3, 3, b'a', b'b', 5, 8, 0, 0, 0, 0, 0, 0, 0, 2];
    assert_eq!(encoded(&sample, 3), both.as_slice());
}

#[test]
fn sizes_of_any_length_precede_tagged_fields() {
    for length in [1, 125, 126, 127, 128, 5_000, 20_000] {
        let payload = Bytes::from(vec![7; length]);
        let nested = Nested { names: Some(vec!["x".repeat(100).into(); 3]) };
        let sample = Sample { payload: Some(payload), nested, ..Sample::default() };
        let bytes = encoded(&sample, 2);
        let mut reader = Reader::new(bytes, true);
        assert_eq!(Sample::decode(&mut reader, 2).as_ref(), Ok(&sample), "{length}");
        assert_eq!(reader.remaining(), 0);
    }
}

#[test]
fn a_tag_that_the_version_lacks_is_unknown() {
    let sample = Sample { number: 2, ..Sample::default() };
    let mut reader = Reader::new(encoded(&sample, 2), true);
    assert_eq!(Sample::decode(&mut reader, 1), Ok(Sample::default()));
}

#[test]
fn null_becomes_empty_where_there_is_no_null() {
    let nested = Nested { names: None };
    let write = |version, flexible| {
        let mut writer = Writer::new();
        writer.set_flexible(flexible);
        nested.encode(&mut writer, version).expect("encodes");
        writer.into_bytes().unwrap()
    };
    assert_eq!(write(0, false), [0, 0, 0, 0].as_slice());
    assert_eq!(write(1, true), [1, 0].as_slice());
    assert_eq!(write(2, true), [0, 0].as_slice());
    let mut text = Writer::new();
    text.opt_string(None, false).expect("encodes");
    text.opt_string(None, true).expect("encodes");
    text.opt_bytes(None, false).expect("encodes");
    text.opt_bytes(None, true).expect("encodes");
    assert_eq!(text.into_bytes().unwrap(), [0, 0, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff].as_slice());
}

#[test]
fn large_payloads_are_not_copied() {
    let (long, short) = (Bytes::from(vec![1; 4096]), Bytes::from_static(b"short"));
    let records: Records = [long.clone(), short, long.clone()].into_iter().collect();
    let mut writer = Writer::new();
    writer.i32(0);
    writer.records(&records).expect("encodes");
    writer.i16(9);
    writer.patch_prefix([1, 2, 3, 4]);
    assert_eq!(writer.len(), 4 + 4 + 4096 + 5 + 4096 + 2);
    let chunks = writer.finish().unwrap();
    let lengths: Vec<usize> = chunks.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [8, 4096, 5, 4096, 2]);
    assert_eq!(chunks[0], [1, 2, 3, 4, 0, 0, 0x20, 5].as_slice());
    assert!([1, 3].into_iter().all(|index| chunks[index].as_ptr() == long.as_ptr()));
}

#[test]
fn bytes_that_are_elsewhere_have_their_place_and_count() {
    let mut writer = Writer::new();
    writer.records(&Records::elsewhere(1_000)).expect("encodes");
    writer.i16(9);
    writer.opt_records(Some(&Records::elsewhere(0)), true).expect("encodes");
    assert_eq!(writer.len(), 4 + 1_000 + 2 + 4);
    let at_hand = |bytes: &'static [u8]| Part::Bytes(Bytes::from_static(bytes));
    let parts = [at_hand(&[0, 0, 3, 0xe8]), Part::Elsewhere(1_000), at_hand(&[0, 9, 0, 0, 0, 0])];
    assert_eq!(writer.finish_parts(), parts);
    let mut whole = Writer::new();
    whole.records(&Records::elsewhere(7)).expect("encodes");
    assert_eq!(whole.into_bytes(), Err(EncodeError::Elsewhere(7)));
    assert_ne!(Records::elsewhere(3), Records::from(Bytes::from_static(b"abc")));
}

#[test]
fn decoded_payloads_are_slices_of_the_frame() {
    let frame = Bytes::from_static(&[0, 0, 0, 3, b'a', b'b', b'c', 0, 2, b'd', b'e']);
    let mut reader = Reader::new(frame.clone(), false);
    let records = reader.records().expect("decodes");
    let text = reader.string().expect("decodes");
    assert_eq!(records.chunks()[0].as_ptr(), frame[4..].as_ptr());
    assert_eq!((&*text, text.as_bytes().as_ptr()), ("de", frame[9..].as_ptr()));
}

#[test]
fn record_sets_are_equal_when_their_bytes_are() {
    let whole = Records::from(Bytes::from_static(b"abcdef"));
    let cut: Records = [&b"ab"[..], b"", b"cdef"].into_iter().map(Bytes::from_static).collect();
    assert_eq!((cut.chunks().len(), cut.len()), (2, 6));
    assert_eq!(cut, whole);
    assert_ne!(cut, Records::from(Bytes::from_static(b"abcdeg")));
    assert_eq!(cut.into_bytes(), whole.into_bytes());
    assert!(Records::new().is_empty());
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut writer = Writer::new();
    let longest = ByteString::from("x".repeat(MAX_STRING));
    assert_eq!(writer.string(&longest), Ok(()));
    let longer = ByteString::from("x".repeat(MAX_STRING + 1));
    assert_eq!(writer.string(&longer), Err(EncodeError::StringTooLong(MAX_STRING + 1)));
    assert_eq!(writer.message(&Sample::default(), 4), Err(EncodeError::UnsupportedVersion(4)));
    let mut reader = Reader::new(Bytes::from(vec![0xff; 40_000]), true);
    assert_eq!(reader.string(), Err(DecodeError::VarintTooLong));
}

#[test]
fn nothing_beyond_a_tagged_field_can_be_read_inside_of_it() {
    // One tagged field, 0, of one byte; its string would be two bytes long.
    let mut reader = Reader::new(Bytes::from_static(&[0, 0, 0, 1, 1, 0, 1, 3, b'a', b'b', 0]), true);
    assert_eq!(Sample::decode(&mut reader, 1), Err(DecodeError::Truncated { wanted: 2, left: 0 }));
}
