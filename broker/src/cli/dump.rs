//! `goatq log dump`: the files of a log in readable form, in the wording of Kafka's own tool where there is one.
//!
//! Nothing is believed: files may be damaged, which is what one wants to see. Reading goes on behind damage only where the
//! next entry's place is certain.

mod index;
mod segment;
mod snapshot;
mod text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use goatq_storage::io::blocking::BlockingDisk;
use goatq_storage::io::{Disk, DiskFile, OpenMode};

/// Prints all files; fails when one of them is damaged or cannot be read.
pub(super) fn run(files: &[PathBuf], records: bool) -> anyhow::Result<ExitCode> {
    let disk = BlockingDisk::new(1);
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut sound = true;
    for path in files {
        let about = || path.display().to_string();
        match dump(&disk, path, records, &mut out).with_context(about) {
            Ok(file_is_sound) => sound &= file_is_sound,
            // Who pipes into `head` has seen enough.
            Err(error) if is_closed_pipe(&error) => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(error),
        }
    }
    out.flush()?;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints one file; false when something in it is damaged.
fn dump(disk: &dyn Disk, path: &Path, records: bool, out: &mut dyn Write) -> anyhow::Result<bool> {
    writeln!(out, "Dumping {}", path.display())?;
    let file = disk.open(path, OpenMode::Read)?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("log") => segment::dump(&*file, start_of(path), records, out),
        Some("index") => index::offsets(&*file, start_of(path), out),
        Some("timeindex") => index::times(&*file, start_of(path), out),
        Some("txnindex") => index::transactions(&*file, out),
        Some("snapshot") => snapshot::dump(&*file, out),
        _ => text::dump(&*file, out),
    }
}

/// The offset that a file's name says, 0 when it says none.
fn start_of(path: &Path) -> i64 {
    path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok()).unwrap_or(0)
}

/// The whole of a small file.
fn read_all(file: &dyn DiskFile, most: u64) -> anyhow::Result<Vec<u8>> {
    let len = file.len()?;
    if len > most {
        bail!("{len} bytes are too many for a file of this kind");
    }
    let mut content = vec![0; usize::try_from(len)?];
    let read = file.read_at(&mut content, 0)?;
    content.truncate(read);
    Ok(content)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use goatq_protocol::record::{BatchBuilder, BatchOptions, Compression, NewRecord};

    use super::*;

    fn batch(base_offset: i64, values: &[&str], compression: Compression) -> Bytes {
        let mut builder = BatchBuilder::new(BatchOptions { base_offset, compression, ..BatchOptions::default() });
        for value in values {
            let record =
                NewRecord { key: Some(b"k"), value: Some(value.as_bytes()), timestamp: 7, ..NewRecord::default() };
            builder.push(record).unwrap();
        }
        builder.build().unwrap()
    }

    fn dump_text(name: &str, content: &[u8]) -> (String, bool) {
        let folder = tempfile::tempdir().unwrap();
        let disk = BlockingDisk::new(1);
        let path = folder.path().join(name);
        let file = disk.open(&path, OpenMode::CreateNew).unwrap();
        file.write_at(&[io::IoSlice::new(content)], 0).unwrap();
        let mut out = Vec::new();
        let sound = dump(&disk, &path, true, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (_, body) = text.split_once('\n').unwrap();
        (body.to_owned(), sound)
    }

    #[test]
    fn segments_with_their_records() {
        let mut content = batch(5, &["one", "two"], Compression::None).to_vec();
        let second = content.len();
        content.extend_from_slice(&batch(7, &["three"], Compression::Zstd));
        let (text, sound) = dump_text("00000000000000000005.log", &content);
        assert!(sound, "{text}");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "Log starting offset: 5");
        assert!(lines[1].starts_with("baseOffset: 5 lastOffset: 6 count: 2 baseSequence: -1"), "{}", lines[1]);
        assert!(
            lines[1].contains(" position: 0 CreateTime: 7 ") && lines[1].ends_with("isvalid: true"),
            "{}",
            lines[1]
        );
        assert_eq!(
            lines[3],
            "| offset: 6 CreateTime: 7 keySize: 1 valueSize: 3 sequence: -1 headerKeys: [] key: k payload: two"
        );
        assert!(lines[4].contains(&format!("position: {second} ")) && lines[4].contains("compresscodec: zstd"));
        assert!(lines[5].ends_with("payload: three"));

        let last = content.len() - 1;
        content[last] ^= 1;
        let (text, sound) = dump_text("00000000000000000005.log", &content);
        assert!(!sound && text.contains("isvalid: false"), "{text}");
        let (text, sound) = dump_text("00000000000000000005.log", &content[..last]);
        assert!(!sound && text.contains("bytes that are no whole batch"), "{text}");
    }

    #[test]
    fn indexes_and_their_disorder() {
        let (text, sound) = dump_text("00000000000000000100.index", &[0, 0, 0, 3, 0, 0, 1, 0, 0, 0, 0, 9, 0, 0, 2, 0]);
        assert_eq!((text.as_str(), sound), ("offset: 103 position: 256\noffset: 109 position: 512\n", true));
        let (text, sound) = dump_text("00000000000000000000.index", &[0, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 3, 0, 0, 2, 0]);
        assert!(!sound && text.contains("out of order"), "{text}");
        let (text, sound) = dump_text("00000000000000000000.index", &[0; 9]);
        assert!(!sound && text.contains("1 bytes too many"), "{text}");
        let mut entry = 1_000_i64.to_be_bytes().to_vec();
        entry.extend_from_slice(&4_i32.to_be_bytes());
        let (text, sound) = dump_text("00000000000000000010.timeindex", &entry);
        assert_eq!((text.as_str(), sound), ("timestamp: 1000 offset: 14\n", true));
    }

    #[test]
    fn text_files_are_shown_and_garbage_is_not() {
        assert_eq!(dump_text("leader-epoch-checkpoint", b"0\n1\n0 0\n"), ("0\n1\n0 0\n".to_owned(), true));
        let (text, sound) = dump_text("x", b"\xff\xfe\0");
        assert!(!sound && text.contains("not text"), "{text}");
        let (text, sound) = dump_text("00000000000000000000.snapshot", b"\0\x01\0\0\0\0\0\0\0\x01");
        assert!(!sound && text.contains("checksum"), "{text}");
    }
}
