//! Keys, values and batches, made beforehand where they can be.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use goatq_protocol::record::{BATCH_HEADER_LEN, Batch, BatchBuilder, BatchHeader, BatchOptions, NewRecord};
use goatq_protocol::wire::Records;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::args::LoadArgs;

/// Random bytes that values are cut from.
const POOL: usize = 4 << 20;
/// Bytes of batches of one size that are kept ready, and how many batches at most.
const READY_BYTES: usize = 32 << 20;
const READY_BATCHES: usize = 16;
/// Where the CRC starts to count.
const CRC_START: usize = 21;

/// Random bytes that several sources of values share.
#[derive(Debug)]
pub(crate) struct Pool(Vec<u8>);

impl Pool {
    pub(crate) fn new(load: &LoadArgs) -> Self {
        let mut pool = vec![0; POOL.max(2 * random_bytes(load))];
        StdRng::seed_from_u64(load.seed).fill_bytes(&mut pool);
        Self(pool)
    }
}

/// How many bytes of each value are random.
fn random_bytes(load: &LoadArgs) -> usize {
    (load.record_size as f64 * load.random_share.clamp(0.0, 1.0)) as usize
}

/// A source of keys and values that repeats itself only after many records.
#[derive(Debug)]
pub(crate) struct Payloads {
    pool: Rc<Pool>,
    rng: StdRng,
    size: usize,
    random: usize,
    keys: u32,
    value: Vec<u8>,
    key: Vec<u8>,
    options: BatchOptions,
}

impl Payloads {
    /// `salt` makes the payloads of one connection differ from those of another.
    pub(crate) fn new(load: &LoadArgs, pool: Rc<Pool>, salt: u64) -> Self {
        let rng = StdRng::seed_from_u64(load.seed.wrapping_add(salt));
        let random = random_bytes(load);
        let options =
            BatchOptions { compression: load.codec, compression_level: load.level, ..BatchOptions::default() };
        Self { pool, rng, size: load.record_size, random, keys: load.keys, value: Vec::new(), key: Vec::new(), options }
    }

    fn next(&mut self) {
        let pool = &self.pool.0;
        let from = self.rng.random_range(0..=pool.len() - self.random);
        self.value.clear();
        self.value.extend_from_slice(&pool[from..from + self.random]);
        self.value.resize(self.size, 0);
        self.key.clear();
        if self.keys > 0 {
            let key = self.rng.random_range(0..self.keys);
            self.key.extend_from_slice(format!("key-{key:010}").as_bytes());
        }
    }

    /// A batch whose values start with the time that `stamp` gives for each record's position.
    pub(crate) fn batch(
        &mut self,
        count: usize,
        timestamp: i64,
        stamp: impl Fn(u64) -> Option<Duration>,
    ) -> Result<Batch> {
        let mut builder = BatchBuilder::new(self.options.clone());
        for position in 0..count as u64 {
            self.next();
            if let Some(time) = stamp(position) {
                let nanos = u64::try_from(time.as_nanos())?.to_be_bytes();
                self.value.splice(..nanos.len().min(self.value.len()), nanos);
            }
            let key = (self.keys > 0).then_some(&self.key[..]);
            builder.push(NewRecord { timestamp, key, value: Some(&self.value), headers: &[] })?;
        }
        Ok(builder.build_batch()?)
    }
}

/// The time at the start of a value made by [`Payloads::batch`].
pub(crate) fn stamp_of(value: &[u8]) -> Option<Duration> {
    value.first_chunk().map(|nanos| Duration::from_nanos(u64::from_be_bytes(*nanos)))
}

/// A batch that is sent over and over, with nothing but its time stamps changed.
#[derive(Debug)]
struct Template {
    header: BatchHeader,
    body: Bytes,
    body_crc: u32,
    /// What each bit of the CRC of a header becomes behind the body. The sum over the bits that are set is what
    /// `crc32c_combine` finds, which takes 12 µs to set up for each batch what is here once.
    moved: [u32; 32],
}

impl Template {
    fn new(batch: &Batch) -> Self {
        let body = batch.body().clone();
        let moved = std::array::from_fn(|bit| crc32c::crc32c_combine(1 << bit, 0, body.len()));
        Self { header: *batch.header(), body_crc: crc32c::crc32c(&body), body, moved }
    }

    /// The batch with this time stamp in all records. The CRC is put together from those of header and records.
    fn stamped(&self, now_ms: i64) -> Records {
        let mut header = BatchHeader { base_timestamp: now_ms, max_timestamp: now_ms, ..self.header };
        let head_crc = crc32c::crc32c(&header.to_bytes()[CRC_START..]);
        let set = self.moved.iter().enumerate().filter(|(bit, _)| head_crc >> bit & 1 == 1);
        header.crc = set.fold(self.body_crc, |crc, (_, moved)| crc ^ moved);
        [Bytes::copy_from_slice(&header.to_bytes()), self.body.clone()].into_iter().collect()
    }
}

/// Batches by their count of records, made when first needed.
#[derive(Debug)]
pub(crate) struct Templates {
    payloads: Payloads,
    by_count: BTreeMap<usize, (usize, Vec<Template>)>,
}

impl Templates {
    pub(crate) fn new(payloads: Payloads) -> Self {
        Self { payloads, by_count: BTreeMap::new() }
    }

    /// The next batch of `count` records.
    pub(crate) fn batch(&mut self, count: usize, now_ms: i64) -> Result<Records> {
        let ready = READY_BYTES / (count.saturating_mul(self.payloads.size) + BATCH_HEADER_LEN);
        let (next, templates) = self.by_count.entry(count).or_default();
        if templates.len() < ready.clamp(1, READY_BATCHES) {
            templates.push(Template::new(&self.payloads.batch(count, 0, |_| None)?));
        }
        *next = (*next + 1) % templates.len();
        Ok(templates[*next].stamped(now_ms))
    }
}

/// How many of the records that are due go into the next batch. A batch that is not full has a power of two of them, so that
/// few sizes have to be kept ready.
pub(crate) fn batch_size(due: u64, full: usize) -> usize {
    match usize::try_from(due) {
        Ok(0) => 0,
        Ok(due) if due < full => 1 << due.ilog2(),
        _ => full,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use goatq_protocol::record::{Compression, Limits, Validation};
    use proptest::prelude::*;

    use super::*;
    use crate::args::{Cli, Command};

    fn payloads(extra: &[&str], salt: u64) -> Payloads {
        let load = load(extra);
        Payloads::new(&load, Rc::new(Pool::new(&load)), salt)
    }

    fn load(extra: &[&str]) -> LoadArgs {
        let args = ["goatq-perf", "produce", "--record-size", "100"].iter().chain(extra);
        match Cli::try_parse_from(args).unwrap().command {
            Command::Produce(args) => args.load,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn templates_are_valid_batches_at_any_time() {
        for codec in Compression::ALL {
            let mut templates = Templates::new(payloads(&["--codec", codec.name(), "--keys", "7"], 0));
            let mut bodies = Vec::new();
            for now_ms in [0, 1_800_000_000_000, 1] {
                let batch = Batch::parse(templates.batch(4, now_ms).unwrap().into_bytes()).unwrap();
                batch.verify_crc().unwrap();
                batch.header().check_produced().unwrap();
                let stats = batch.validate_records(Validation { require_keys: true, ..Validation::default() }).unwrap();
                assert_eq!((stats.min_timestamp, stats.max_timestamp), (now_ms, now_ms));
                let records: Vec<_> = batch.records(Limits::default()).map(Result::unwrap).collect();
                assert!(records.iter().all(|record| record.value.as_ref().unwrap().len() == 100));
                bodies.push(batch.body().clone());
            }
            assert_ne!(bodies[0], bodies[1]);
        }
    }

    #[test]
    fn stamps_come_back() {
        let mut payloads = payloads(&["--random-share", "0"], 3);
        let batch = payloads.batch(3, 5, |position| Some(Duration::from_nanos(1 << (60 + position)))).unwrap();
        for (position, record) in batch.records(Limits::default()).enumerate() {
            let value = record.unwrap().value.unwrap();
            assert_eq!(stamp_of(&value), Some(Duration::from_nanos(1 << (60 + position))));
            assert_eq!(value[8..], [0; 92]);
        }
        assert_eq!(stamp_of(b"short"), None);
    }

    #[test]
    fn the_seed_decides() {
        let batch = |salt| payloads(&["--keys", "9"], salt).batch(5, 0, |_| None).unwrap();
        assert_eq!(batch(1), batch(1));
        assert_ne!(batch(1), batch(2));
    }

    proptest! {
        #[test]
        fn batches_hold_no_more_than_is_due(due in 0_u64..5000, full in 1_usize..2000) {
            let size = batch_size(due, full);
            prop_assert!(size as u64 <= due && size <= full);
            prop_assert!(2 * size as u64 > due.min(full as u64) || due == 0);
            prop_assert!(size == full || size == 0 || size.is_power_of_two());
        }
    }
}
