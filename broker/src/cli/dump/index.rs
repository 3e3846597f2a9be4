//! Indexes: offsets to positions, times to offsets, aborted transactions.

use std::io::Write;

use goatq_storage::io::DiskFile;

use super::read_all;

/// No index grows larger.
const MAX_INDEX: u64 = 1 << 30;

fn i64_at(entry: &[u8], at: usize) -> i64 {
    entry.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

fn i32_at(entry: &[u8], at: usize) -> i32 {
    entry.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| i32::from_be_bytes(*bytes))
}

/// Prints entries of one size; `show` gives the text and what has to grow from entry to entry.
fn entries<K: PartialOrd + Default>(
    file: &dyn DiskFile,
    size: usize,
    out: &mut dyn Write,
    show: impl Fn(&[u8]) -> (String, K),
) -> anyhow::Result<bool> {
    let content = read_all(file, MAX_INDEX)?;
    let entries = content.chunks_exact(size);
    let rest = entries.remainder().len();
    let (mut sound, mut last) = (true, None);
    for entry in entries {
        // A preallocated index ends in zeros.
        if last.is_some() && entry.iter().all(|byte| *byte == 0) {
            break;
        }
        let (text, key) = show(entry);
        let ordered = last.as_ref().is_none_or(|last| *last <= key);
        sound &= ordered;
        writeln!(out, "{text}{}", if ordered { "" } else { " out of order" })?;
        last = Some(key);
    }
    if rest > 0 {
        writeln!(out, "{rest} bytes too many at the end")?;
    }
    Ok(sound && rest == 0)
}

pub(super) fn offsets(file: &dyn DiskFile, start: i64, out: &mut dyn Write) -> anyhow::Result<bool> {
    entries(file, 8, out, |entry| {
        let (relative, position) = (i32_at(entry, 0), i32_at(entry, 4));
        (format!("offset: {} position: {position}", start.wrapping_add(relative.into())), relative)
    })
}

pub(super) fn times(file: &dyn DiskFile, start: i64, out: &mut dyn Write) -> anyhow::Result<bool> {
    entries(file, 12, out, |entry| {
        let (timestamp, relative) = (i64_at(entry, 0), i32_at(entry, 8));
        (format!("timestamp: {timestamp} offset: {}", start.wrapping_add(relative.into())), (timestamp, relative))
    })
}

pub(super) fn transactions(file: &dyn DiskFile, out: &mut dyn Write) -> anyhow::Result<bool> {
    entries(file, 34, out, |entry| {
        let last = i64_at(entry, 18);
        let text = format!(
            "producerId: {} firstOffset: {} lastOffset: {last} lastStableOffset: {}",
            i64_at(entry, 2),
            i64_at(entry, 10),
            i64_at(entry, 26)
        );
        (text, last)
    })
}
