mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::fmt;
use std::io::{self, ErrorKind, Read};

use bytes::{Buf, Bytes};

use super::BatchError;

/// The codec of a batch's records. Numbers as in the batch attributes and names as in `compression.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Compression {
    /// Not compressed.
    #[default]
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Raw snappy, or blocks of it in the framing of snappy-java ("xerial"). Written in that framing.
    Snappy = 2,
    /// LZ4 frame format.
    Lz4 = 3,
    /// Zstandard (KIP-110, Produce v7 and Fetch v10 on).
    Zstd = 4,
}

impl Compression {
    /// All codecs, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this number.
    ///
    /// # Errors
    /// [`BatchError::UnsupportedCompression`] for numbers above 4.
    pub fn from_codec(codec: u8) -> Result<Self, BatchError> {
        Self::ALL.get(usize::from(codec)).copied().ok_or(BatchError::UnsupportedCompression { codec })
    }

    /// The number in the batch attributes.
    pub fn codec(self) -> u8 {
        self as u8
    }

    /// Kafka's name: `none`, `gzip`, `snappy`, `lz4`, `zstd`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Appends the compressed form of `plain` to `out`.
    ///
    /// `level` is that of Kafka's `compression.<codec>.level` (KIP-390): gzip 1 to 9 or -1, lz4 1 to 17, zstd -131072 to
    /// 22; outside values count as the nearest one, `None` as Kafka's default. Snappy has no level.
    ///
    /// # Errors
    /// Only what the codec itself reports (such as a failed allocation).
    pub fn compress(self, level: Option<i32>, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::None => {
                out.extend_from_slice(plain);
                Ok(())
            }
            Self::Gzip => gzip::compress(level, plain, out),
            Self::Snappy => snappy::compress(plain, out),
            Self::Lz4 => lz4::compress(level, plain, out),
            Self::Zstd => zstd::compress(level, plain, out),
        }
    }

    /// A stream of the inflated form of `input` that fails as soon as it exceeds `limit` bytes.
    ///
    /// # Errors
    /// [`BatchError::Decompress`] when the codec cannot start.
    pub fn decompress(self, input: Bytes, limit: u64) -> Result<Decompressor, BatchError> {
        let inner: io::Result<Box<dyn Read + Send + Sync>> = match self {
            Self::None => Ok(Box::new(input.reader())),
            Self::Gzip => Ok(Box::new(gzip::reader(input))),
            Self::Snappy => Ok(Box::new(snappy::Reader::new(input, limit))),
            Self::Lz4 => lz4::Reader::new(input).map(|reader| Box::new(reader) as _),
            Self::Zstd => zstd::reader(input).map(|reader| Box::new(reader) as _),
        };
        match inner {
            Ok(inner) => Ok(Decompressor { codec: self, inner, produced: 0, limit }),
            Err(error) => Err(BatchError::Decompress { codec: self, reason: error.to_string() }),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Inflates as a stream and counts: made by [`Compression::decompress`].
pub struct Decompressor {
    codec: Compression,
    inner: Box<dyn Read + Send + Sync>,
    produced: u64,
    limit: u64,
}

impl Decompressor {
    /// Reads the next inflated bytes into `out` and returns how many; 0 at the end of the data (or when `out` is empty).
    ///
    /// # Errors
    /// [`BatchError::TooLarge`] beyond the limit, [`BatchError::Decompress`] for corrupt or cut-off data.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, BatchError> {
        // One byte more than allowed tells a stream that ends at the limit from one that goes on.
        let room = usize::try_from((self.limit - self.produced).saturating_add(1)).unwrap_or(usize::MAX);
        let end = out.len().min(room);
        loop {
            match self.inner.read(&mut out[..end]) {
                Ok(count) => {
                    self.produced = self.produced.saturating_add(count as u64);
                    if self.produced > self.limit {
                        self.produced = self.limit;
                        return Err(BatchError::TooLarge { limit: self.limit });
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                    return Err(BatchError::TooLarge { limit: self.limit });
                }
                Err(error) => return Err(BatchError::Decompress { codec: self.codec, reason: error.to_string() }),
            }
        }
    }

    /// Inflated bytes so far.
    pub fn produced(&self) -> u64 {
        self.produced
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor")
            .field("codec", &self.codec)
            .field("produced", &self.produced)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
