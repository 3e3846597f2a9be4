mod hostile;
mod kafka;
mod oracle;
mod properties;

use bytes::Bytes;

use super::{Batch, BatchBuilder, BatchOptions, Compression, NewRecord};

/// A batch of records with the given values, key `k` and time stamps 1000, 1001, ….
fn batch_of(compression: Compression, values: &[&[u8]]) -> Batch {
    let mut builder = BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
    for (timestamp, value) in (1000..).zip(values) {
        builder.push(NewRecord { timestamp, key: Some(b"k"), value: Some(value), headers: &[] }).unwrap();
    }
    builder.build_batch().unwrap()
}

/// A batch with the records of `template` replaced by `body` and a CRC that is right.
fn with_body(template: &Batch, record_count: i32, body: Vec<u8>) -> Batch {
    let mut header = *template.header();
    header.record_count = record_count;
    header.last_offset_delta = record_count.saturating_sub(1).max(0);
    header.batch_length = (49 + body.len()) as i32;
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend_from_slice(&body);
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Batch::parse(Bytes::from(bytes)).unwrap()
}
