//! Segments: batches and, on demand, their records.

use std::io::Write;

use bytes::Bytes;
use goatq_protocol::record::control::control_record;
use goatq_protocol::record::{BATCH_HEADER_LEN, Batch, BatchHeader, Limits, Record, TimestampType};
use goatq_storage::io::DiskFile;

/// A batch that claims to be larger than this is taken for damage.
const MAX_BATCH: usize = 1 << 30;

pub(super) fn dump(file: &dyn DiskFile, start: i64, records: bool, out: &mut dyn Write) -> anyhow::Result<bool> {
    writeln!(out, "Log starting offset: {start}")?;
    let len = file.len()?;
    let (mut position, mut sound) = (0_u64, true);
    while position < len {
        let Some(batch) = read_batch(file, position, len)? else {
            writeln!(out, "{} bytes that are no whole batch at position {position}", len - position)?;
            return Ok(false);
        };
        let valid = batch.verify_crc().is_ok();
        sound &= valid;
        describe(&batch, position, valid, out)?;
        if records && valid {
            sound &= describe_records(&batch, out)?;
        }
        position += batch.size() as u64;
    }
    Ok(sound)
}

/// The batch at a position; None when there is none that is whole.
fn read_batch(file: &dyn DiskFile, position: u64, len: u64) -> anyhow::Result<Option<Batch>> {
    let mut head = [0; BATCH_HEADER_LEN];
    let read = file.read_at(&mut head, position)?;
    let Ok(header) = BatchHeader::parse(&head[..read]) else { return Ok(None) };
    let size = header.size();
    if size > MAX_BATCH || size as u64 > len - position {
        return Ok(None);
    }
    let mut content = vec![0; size];
    let read = file.read_at(&mut content, position)?;
    content.truncate(read);
    Ok(Batch::parse(Bytes::from(content)).ok())
}

fn time_name(header: &BatchHeader) -> &'static str {
    match header.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn describe(batch: &Batch, position: u64, valid: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let header = batch.header();
    let horizon = header.delete_horizon_ms().map_or("none".to_owned(), |horizon| horizon.to_string());
    writeln!(
        out,
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
         partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon} position: {position} \
         {}: {} size: {} magic: {} compresscodec: {} crc: {} isvalid: {valid}",
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.base_sequence,
        header.last_sequence(),
        header.producer_id,
        header.producer_epoch,
        header.partition_leader_epoch,
        header.is_transactional(),
        header.is_control(),
        time_name(header),
        header.max_timestamp,
        batch.size(),
        header.magic,
        header.compression().map_or("unknown", |compression| compression.name()),
        header.crc,
    )
}

fn describe_records(batch: &Batch, out: &mut dyn Write) -> std::io::Result<bool> {
    for record in batch.records(Limits::default()) {
        match record {
            Ok(record) => describe_record(batch, &record, out)?,
            Err(error) => {
                writeln!(out, "| damaged: {error}")?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn shown(bytes: Option<&Bytes>) -> String {
    bytes.map_or("null".to_owned(), |bytes| String::from_utf8_lossy(bytes).escape_debug().to_string())
}

fn describe_record(batch: &Batch, record: &Record, out: &mut dyn Write) -> std::io::Result<()> {
    let size =
        |bytes: &Option<Bytes>| bytes.as_ref().map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    let headers: Vec<_> = record.headers.iter().map(|header| shown(Some(&header.key))).collect();
    write!(
        out,
        "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {} headerKeys: [{}]",
        record.offset,
        time_name(batch.header()),
        record.timestamp,
        size(&record.key),
        size(&record.value),
        record.sequence,
        headers.join(",")
    )?;
    if batch.header().is_control() {
        let kind = control_record(batch).ok().flatten().map(|(kind, _)| format!("{kind:?}"));
        return writeln!(out, " control: {}", kind.unwrap_or_else(|| "unknown".to_owned()));
    }
    writeln!(out, " key: {} payload: {}", shown(record.key.as_ref()), shown(record.value.as_ref()))
}
