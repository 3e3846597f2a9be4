//! Checkpoints, `meta.properties`, `partition.metadata` and other text.

use std::io::Write;

use goatq_storage::io::DiskFile;

use super::read_all;

const MAX_TEXT: u64 = 16 << 20;

pub(super) fn dump(file: &dyn DiskFile, out: &mut dyn Write) -> anyhow::Result<bool> {
    match String::from_utf8(read_all(file, MAX_TEXT)?) {
        Ok(text) if !text.contains('\0') => {
            write!(out, "{text}")?;
            if !text.ends_with('\n') && !text.is_empty() {
                writeln!(out)?;
            }
            Ok(true)
        }
        _ => {
            writeln!(out, "not text, and not a kind of file that is known by its ending")?;
            Ok(false)
        }
    }
}
