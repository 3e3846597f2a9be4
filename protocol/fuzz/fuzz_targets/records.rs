//! Record sets: cut into batches, then every batch walked through, also when its checksum is wrong: the checksum protects
//! against disks, not against people.
#![no_main]

use bytes::Bytes;
use goatq_protocol::record::control::control_record;
use goatq_protocol::record::{Limits, Validation, split};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits { max_decompressed_bytes: 1 << 20 };
    for batch in split(&Bytes::copy_from_slice(data)).take(64) {
        let Ok(batch) = batch else { return };
        let _ = batch.verify_crc();
        let _ = batch.header().check_produced();
        let _ = control_record(&batch);
        let records = batch.records(limits).take(10_000).take_while(Result::is_ok).count();
        if batch.validate_records(Validation { limits, require_keys: false }).is_ok() {
            assert_eq!(records, usize::try_from(batch.header().record_count).unwrap_or(usize::MAX).min(10_000));
        }
    }
});
