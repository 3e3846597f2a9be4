use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

/// Windows up to 128 MiB, as Java's and librdkafka's readers allow: levels 20 to 22 announce such windows whatever the size of
/// the batch. Only the part that inflated data really fills is ever touched.
const MAX_WINDOW_LOG: u32 = 27;
const DEFAULT_LEVEL: i32 = 3;

pub(super) fn reader(input: Bytes) -> io::Result<impl Read + Send + Sync + 'static> {
    let mut decoder = Decoder::with_buffer(input.reader())?;
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    Ok(decoder)
}

pub(super) fn compress(level: Option<i32>, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let level = level.unwrap_or(DEFAULT_LEVEL).clamp(-131_072, 22);
    let mut encoder = Encoder::new(out, level)?;
    // The size makes the encoder announce a window no larger than the data, so that readers need no more memory than that.
    encoder.set_pledged_src_size(Some(plain.len() as u64))?;
    encoder.write_all(plain)?;
    encoder.finish().map(drop)
}
