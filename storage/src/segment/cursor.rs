//! Walks over the batches of a segment, front to back, trusting nothing.

use std::{io, sync::Arc};

use bytes::Bytes;
use goatq_protocol::record::{BATCH_HEADER_LEN, BatchHeader};

use crate::io::DiskFile;

/// Bytes read at a time by a walk over headers: small, so that big batches are jumped over.
pub(crate) const HEADER_WINDOW: usize = 16 << 10;

/// Bytes read at a time by a walk that looks at every byte.
pub(crate) const WHOLE_WINDOW: usize = 256 << 10;

/// The CRC of a batch covers everything from here.
const CRC_START: u64 = 21;

const HEADER_LEN: u64 = BATCH_HEADER_LEN as u64;

/// A batch in a segment.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Where it begins in the file.
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
}

impl Found {
    /// Its bytes, header included.
    pub(crate) fn len(&self) -> u64 {
        self.header.size() as u64
    }

    /// Where the next batch begins.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.len()
    }
}

/// Why a walk ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    /// There is no batch at the position, or a damaged one.
    #[error("position {position}: {reason}")]
    Invalid { position: u64, reason: String },
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn invalid(position: u64, reason: impl ToString) -> WalkError {
    WalkError::Invalid { position, reason: reason.to_string() }
}

/// A walk over the batches between two positions of a segment.
#[derive(Debug)]
pub(crate) struct Cursor {
    file: Arc<dyn DiskFile>,
    base_offset: i64,
    /// Offsets never go back.
    floor: i64,
    position: u64,
    end: u64,
    window: Bytes,
    window_at: u64,
    window_len: usize,
    cold: bool,
}

impl Cursor {
    /// Begins at `position`, which must be the begin of a batch, and ends at `end`. `window` bytes are read at a time.
    pub(crate) fn new(file: Arc<dyn DiskFile>, base_offset: i64, position: u64, end: u64, window: usize) -> Cursor {
        Cursor {
            file,
            base_offset,
            floor: base_offset,
            position,
            end,
            window: Bytes::new(),
            window_at: position,
            window_len: window.max(BATCH_HEADER_LEN),
            cold: false,
        }
    }

    /// Gives the cursor what was read before, from the position on.
    pub(crate) fn with_window(mut self, position: u64, bytes: Bytes) -> Cursor {
        (self.window_at, self.window) = (position, bytes);
        self
    }

    /// Where the next batch begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Whether something of what it looked at had to come from the disk: it is in memory only since then, and nobody has checked it.
    pub(crate) fn is_cold(&self) -> bool {
        self.cold
    }

    /// Goes back to where this cursor was, by its position and floor of then.
    pub(crate) fn rewind(&mut self, position: u64, floor: i64) {
        (self.position, self.floor) = (position, floor);
    }

    /// No batch from here on may begin below this offset.
    pub(crate) fn floor(&self) -> i64 {
        self.floor
    }

    /// The next batch, by its header; `None` at the end. After an error the cursor stays where it is.
    pub(crate) async fn next(&mut self) -> Result<Option<Found>, WalkError> {
        let left = self.end.saturating_sub(self.position);
        if left == 0 {
            return Ok(None);
        }
        if left < HEADER_LEN {
            return Err(invalid(self.position, format!("{left} bytes are less than a batch header")));
        }
        let position = self.position;
        let bytes = self.fill(position, HEADER_LEN).await?;
        let header = BatchHeader::parse(&bytes).map_err(|error| invalid(position, error))?;
        let found = Found { position, header };
        self.check_header(&found)?;
        self.floor = found.header.next_offset();
        self.position = found.end();
        Ok(Some(found))
    }

    fn check_header(&self, found: &Found) -> Result<(), WalkError> {
        let Found { position, header } = found;
        let refuse = |reason: String| Err(invalid(*position, reason));
        if header.batch_length < 0 || found.len() < HEADER_LEN || found.len() > self.end - position {
            return refuse(format!("batch of length {} does not fit", header.batch_length));
        }
        if header.base_offset < self.floor {
            return refuse(format!("offset {} where at least {} is due", header.base_offset, self.floor));
        }
        let last = header.base_offset.checked_add(i64::from(header.last_offset_delta));
        let relative = last.and_then(|last| super::relative(self.base_offset, last));
        if header.last_offset_delta < 0 || relative.is_none() || last == Some(i64::MAX) {
            return refuse(format!("offsets {} + {} do not fit", header.base_offset, header.last_offset_delta));
        }
        Ok(())
    }

    /// Checks the CRC of a batch, reading it in pieces.
    pub(crate) async fn check_crc(&mut self, found: &Found) -> Result<(), WalkError> {
        let mut at = found.position + CRC_START;
        let mut crc = 0;
        while at < found.end() {
            let len = (found.end() - at).min(self.window_len as u64);
            let bytes = self.fill(at, len).await?;
            crc = crc32c::crc32c_append(crc, &bytes);
            at += len;
        }
        if crc == found.header.crc { Ok(()) } else { Err(invalid(found.position, "the CRC does not match")) }
    }

    /// The bytes of a batch, and whether their CRC is right.
    pub(crate) async fn load(&mut self, found: &Found) -> Result<Bytes, WalkError> {
        let bytes = self.fill(found.position, found.len()).await?;
        if crc32c::crc32c(&bytes[CRC_START as usize..]) != found.header.crc {
            return Err(invalid(found.position, "the CRC does not match"));
        }
        Ok(bytes)
    }

    /// What lies between two positions, if the last read brought all of it: for handing out many batches as one slice.
    pub(crate) fn in_window(&self, from: u64, to: u64) -> Option<Bytes> {
        let start = usize::try_from(from.checked_sub(self.window_at)?).ok()?;
        let end = usize::try_from(to.checked_sub(self.window_at)?).ok()?;
        (start <= end && end <= self.window.len()).then(|| self.window.slice(start..end))
    }

    /// Exactly `len` bytes at a position, which are before the end of the walk.
    async fn fill(&mut self, at: u64, len: u64) -> Result<Bytes, WalkError> {
        if let Some(bytes) = self.in_window(at, at + len) {
            return Ok(bytes);
        }
        let wanted = len.max(self.window_len as u64).min(self.end.saturating_sub(at));
        let wanted = usize::try_from(wanted).map_err(|_| invalid(at, "too long for this machine"))?;
        let mut buffer = Vec::new();
        self.window = match self.file.read_cached(&mut buffer, at, wanted)? {
            read if read == wanted => Bytes::from(buffer),
            // What is there is read again with the rest: the driver looks into memory first.
            _ => {
                self.cold = true;
                self.file.read(at, wanted).await?
            }
        };
        self.window_at = at;
        self.in_window(at, at + len).ok_or_else(|| invalid(at, "the file is shorter than expected"))
    }

    /// Looks for the next whole batch behind damage, byte by byte. The cursor then stands before it; false when there is none.
    pub(crate) async fn resync(&mut self) -> io::Result<bool> {
        self.resync_from(self.position + 1).await
    }

    /// The same, from where the cursor stands.
    pub(crate) async fn resync_here(&mut self) -> io::Result<bool> {
        self.resync_from(self.position).await
    }

    async fn resync_from(&mut self, mut at: u64) -> io::Result<bool> {
        while at + HEADER_LEN <= self.end {
            let Ok(candidate) = self.plausible(at).await else { return Ok(false) };
            if let Some(found) = candidate {
                match self.check_crc(&found).await {
                    Ok(()) => {
                        self.position = at;
                        return Ok(true);
                    }
                    Err(WalkError::Invalid { .. }) => {}
                    Err(WalkError::Io(error)) => return Err(error),
                }
            }
            at += 1;
        }
        Ok(false)
    }

    async fn plausible(&mut self, at: u64) -> Result<Option<Found>, WalkError> {
        let bytes = self.fill(at, HEADER_LEN).await?;
        let Ok(header) = BatchHeader::parse(&bytes) else { return Ok(None) };
        let found = Found { position: at, header };
        Ok(self.check_header(&found).is_ok().then_some(found))
    }
}
