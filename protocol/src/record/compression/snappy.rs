use std::io::{self, ErrorKind, Read};

use bytes::{Buf, Bytes};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

/// Magic, version and compatible version of snappy-java's stream format.
const XERIAL_HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
/// Only the magic decides: versions differ between writers.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
/// Bytes per block that snappy-java compresses at a time.
const BLOCK_SIZE: usize = 32 * 1024;
/// A copy of 64 bytes takes 3 bytes, so data cannot grow by more than this factor.
const MAX_RATIO: usize = 22;

/// Inflates block by block; raw snappy is one block.
pub(super) struct Reader {
    input: Bytes,
    framed: bool,
    block: Vec<u8>,
    position: usize,
    /// Bytes that may still be inflated.
    budget: u64,
}

impl Reader {
    pub(super) fn new(mut input: Bytes, limit: u64) -> Self {
        let framed = input.starts_with(XERIAL_MAGIC) && input.len() >= XERIAL_HEADER.len();
        if framed {
            input.advance(XERIAL_HEADER.len());
        }
        Self { input, framed, block: Vec::new(), position: 0, budget: limit }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let chunk = if self.framed {
            let Ok(size) = self.input.try_get_u32() else { return Err(corrupt("block length is cut off")) };
            let size = size as usize;
            if size > self.input.len() {
                return Err(corrupt("block reaches behind the end"));
            }
            self.input.split_to(size)
        } else {
            std::mem::take(&mut self.input)
        };
        let claimed = decompress_len(&chunk).map_err(io::Error::other)?;
        if claimed > chunk.len().saturating_mul(MAX_RATIO) {
            return Err(corrupt("claimed size cannot come from this input"));
        }
        self.budget = self.budget.checked_sub(claimed as u64).ok_or(ErrorKind::FileTooLarge)?;
        self.block.resize(claimed, 0);
        let inflated = Decoder::new().decompress(&chunk, &mut self.block).map_err(io::Error::other)?;
        self.block.truncate(inflated);
        self.position = 0;
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Each turn consumes at least four bytes of a framed input or all of a raw one.
        while self.position >= self.block.len() && !self.input.is_empty() {
            self.next_block()?;
        }
        let rest = self.block.get(self.position..).unwrap_or_default();
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.position += count;
        Ok(count)
    }
}

fn corrupt(reason: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

pub(super) fn compress(plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&XERIAL_HEADER);
    let mut encoder = Encoder::new();
    for block in plain.chunks(BLOCK_SIZE) {
        let length_at = out.len();
        let data_at = length_at + 4;
        out.resize(data_at + max_compress_len(block.len()), 0);
        let size = encoder.compress(block, &mut out[data_at..]).map_err(io::Error::other)?;
        // A compressed block of 32 KiB is far below 4 GiB.
        out[length_at..data_at].copy_from_slice(&(size as u32).to_be_bytes());
        out.truncate(data_at + size);
    }
    Ok(())
}
