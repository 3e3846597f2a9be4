use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Several members in a row count as one stream, as for Java's reader.
pub(super) fn reader(input: Bytes) -> impl Read + Send + Sync + 'static {
    MultiGzDecoder::new(input.reader())
}

pub(super) fn compress(level: Option<i32>, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let level = match level {
        None | Some(i32::MIN..0) => Compression::default(),
        Some(level) => Compression::new(level.clamp(0, 9).unsigned_abs()),
    };
    let mut encoder = GzEncoder::new(out, level);
    encoder.write_all(plain)?;
    encoder.finish().map(drop)
}
