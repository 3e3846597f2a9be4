use std::io::{self, ErrorKind, Read, Write};

use ::lz4::{BlockMode, BlockSize, ContentChecksum, Decoder, EncoderBuilder, liblz4::BlockChecksum};
use bytes::buf;
use bytes::{Buf, Bytes};

/// Kafka's default level, for which it takes the fast compressor; all others are levels of the high compressor.
const FAST_LEVEL: i32 = 9;

/// Reads one LZ4 frame. The library's decoder reports a frame that is cut off as its end; this one as an error.
pub(super) struct Reader {
    decoder: Option<Decoder<buf::Reader<Bytes>>>,
}

impl Reader {
    pub(super) fn new(input: Bytes) -> io::Result<Self> {
        Decoder::new(input.reader()).map(|decoder| Self { decoder: Some(decoder) })
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(decoder) = &mut self.decoder else { return Ok(0) };
        let count = decoder.read(out)?;
        if count == 0 && !out.is_empty() {
            let complete = self.decoder.take().is_none_or(|decoder| decoder.finish().1.is_ok());
            if !complete {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "frame is cut off"));
            }
        }
        Ok(count)
    }
}

/// Writes what Java's client writes: 64 KiB blocks that do not depend on each other, no checksums (the batch has its CRC).
pub(super) fn compress(level: Option<i32>, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let level = match level {
        None | Some(FAST_LEVEL) => 0,
        // Below 3 the library would take the fast compressor too.
        Some(level) => level.clamp(3, 17).unsigned_abs(),
    };
    let mut encoder = EncoderBuilder::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent)
        .block_checksum(BlockChecksum::NoBlockChecksum)
        .checksum(ContentChecksum::NoChecksum)
        .level(level)
        .build(out)?;
    encoder.write_all(plain)?;
    encoder.finish().1
}
