//! Snapshots of producers' state.

use std::io::Write;

use bytes::{Buf, Bytes};
use goatq_storage::io::DiskFile;

use super::read_all;

const MAX_SNAPSHOT: u64 = 1 << 30;
/// Version, checksum, number of entries.
const HEAD: usize = 10;
const ENTRY: usize = 46;

pub(super) fn dump(file: &dyn DiskFile, out: &mut dyn Write) -> anyhow::Result<bool> {
    let mut content = Bytes::from(read_all(file, MAX_SNAPSHOT)?);
    if content.len() < HEAD {
        writeln!(out, "too short for a snapshot: {} bytes", content.len())?;
        return Ok(false);
    }
    let (version, checksum) = (content.get_i16(), content.get_u32());
    let computed = crc32c::crc32c(&content);
    let valid = checksum == computed;
    writeln!(out, "version: {version} checksum: {checksum}{}", if valid { "" } else { " wrong checksum" })?;
    let count = content.get_i32();
    let whole = content.len() / ENTRY;
    for _ in 0..usize::try_from(count).unwrap_or(0).min(whole) {
        writeln!(
            out,
            "producerId: {} producerEpoch: {} lastSequence: {} lastOffset: {} offsetDelta: {} lastTimestamp: {} \
             coordinatorEpoch: {} currentTxnFirstOffset: {}",
            content.get_i64(),
            content.get_i16(),
            content.get_i32(),
            content.get_i64(),
            content.get_i32(),
            content.get_i64(),
            content.get_i32(),
            content.get_i64()
        )?;
    }
    if !content.is_empty() {
        writeln!(out, "{} bytes too many at the end", content.len())?;
    }
    Ok(valid && content.is_empty())
}
