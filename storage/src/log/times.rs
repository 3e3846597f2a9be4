//! Reads by time, and aborted transactions: what is found through the other indexes.

use std::{io, sync::Arc};

use super::{AbortedTxn, Log, TimestampOffset};
use crate::{
    config::LogConfig,
    error::ReadError,
    index::txn,
    segment::{Segment, reader::View},
};

/// Bytes of a transaction index read at a time.
const TXN_CHUNK: usize = txn::ENTRY_SIZE * 1024;

/// A segment, with its view if it still grows.
type Aged = (Arc<Segment>, Option<View>);

impl Log {
    /// The first record at or after a time.
    pub async fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampOffset>, ReadError> {
        self.written().await?;
        let (segments, start, config) = self.segments_by_age();
        let reader = self.reader(&config);
        for segment in segments {
            let view = self.view_of(segment, &config).await?;
            if view.facts.max_timestamp < timestamp {
                continue;
            }
            if let Some(found) = reader.find_time(&view, timestamp, start).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first record with the greatest timestamp (KIP-734).
    pub async fn max_timestamp_offset(&self) -> Result<Option<TimestampOffset>, ReadError> {
        self.written().await?;
        let (segments, start, config) = self.segments_by_age();
        let reader = self.reader(&config);
        let mut views: Vec<View> = Vec::with_capacity(segments.len());
        for segment in segments {
            views.push(self.view_of(segment, &config).await?);
        }
        // Among equals the oldest stays first.
        views.sort_by_key(|view| std::cmp::Reverse(view.facts.max_timestamp));
        let mut newest: Option<TimestampOffset> = None;
        for view in views.iter().filter(|view| view.end > 0 && view.facts.max_timestamp >= 0) {
            if newest.is_some_and(|newest| newest.timestamp >= view.facts.max_timestamp) {
                break;
            }
            let found = reader.find_newest(view, start).await?;
            newest = match (newest, found) {
                (Some(newest), Some(found)) if found.timestamp <= newest.timestamp => Some(newest),
                (newest, found) => found.or(newest),
            };
        }
        Ok(newest)
    }

    /// All segments, with their views if they still grow.
    fn segments_by_age(&self) -> (Vec<Aged>, i64, Arc<LogConfig>) {
        let state = self.state.lock();
        let segments = state.segments().map(|segment| (segment.clone(), state.growing_view(segment))).collect();
        (segments, state.start, state.config.clone())
    }

    async fn view_of(&self, segment: Aged, config: &LogConfig) -> Result<View, ReadError> {
        match segment {
            (_, Some(view)) => Ok(view),
            (segment, None) => self.reader(config).view(&segment).await,
        }
    }

    /// The segments with transaction indexes, from the one that holds an offset on.
    pub(super) fn segments_with_txns(&self, from: i64) -> Vec<Arc<Segment>> {
        let state = self.state.lock();
        let first = state.segment_at(from).base_offset;
        let behind = state.segments().filter(|segment| segment.base_offset >= first && segment.has_txns());
        behind.cloned().collect()
    }

    /// The aborted transactions that a consumer of `from..upper` needs to know.
    pub async fn aborted_transactions(&self, from: i64, upper: i64) -> Result<Vec<AbortedTxn>, ReadError> {
        let mut found = Vec::new();
        for segment in self.segments_with_txns(from) {
            if read_txns(&segment, from, upper, &mut found).await? {
                break;
            }
        }
        Ok(found)
    }
}

/// Reads the transaction index of a segment. True when no later one can hold a transaction that begins before `upper`.
pub(super) async fn read_txns(
    segment: &Segment,
    from: i64,
    upper: i64,
    found: &mut Vec<AbortedTxn>,
) -> Result<bool, ReadError> {
    let file = match segment.txn_index.get() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    let mut at = 0;
    loop {
        let bytes = file.read(at, TXN_CHUNK).await?;
        for entry in bytes.chunks_exact(txn::ENTRY_SIZE) {
            // Behind a damaged entry there is nothing to go by; recovery has built the rest.
            let Some(aborted) = txn::decode(entry) else { return Ok(false) };
            if txn::concerns(&aborted, from, upper) {
                found.push(aborted);
            }
            if aborted.last_stable_offset >= upper {
                return Ok(true);
            }
        }
        if bytes.len() < TXN_CHUNK {
            return Ok(false);
        }
        at += bytes.len() as u64;
    }
}
