//! Reading what a reader may see.

use bytes::Bytes;
use goatq_storage::log::{AbortedTxn, LogSlice};

use super::replica::Replica;
use super::{Partition, PartitionReadError};
use crate::fetch::planner::{Isolation, ReadBounds};

/// What a read found. The records are not in memory yet where they have to come from a disk.
#[derive(Debug)]
pub struct PartitionRead {
    /// High watermark when it was read.
    pub high_watermark: i64,
    /// Last stable offset when it was read.
    pub last_stable_offset: i64,
    /// First offset of the log when it was read.
    pub log_start_offset: i64,
    /// End of the log when it was read.
    pub log_end_offset: i64,
    /// The records; `None` for none.
    pub slice: Option<LogSlice>,
}

impl PartitionRead {
    /// Bytes of records: the most that loading them gives.
    pub fn max_len(&self) -> usize {
        self.slice.as_ref().map_or(0, LogSlice::max_len)
    }
}

impl Partition {
    /// End of what a reader may see.
    pub fn end_for(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::LogEnd => self.log().log_end_offset(),
            Isolation::HighWatermark => self.high_watermark(),
            Isolation::LastStableOffset => self.last_stable_offset(),
        }
    }

    /// Finds whole batches from the one that holds `offset` on, as far as the reader may see and `bounds` allow; `None` reads
    /// no records but checks the offset all the same. Does not wait for a disk.
    ///
    /// # Errors
    /// See [`PartitionReadError`]. An offset between the end for this reader and the log end is fine: nothing is there yet.
    pub fn read(
        &self,
        offset: i64,
        bounds: Option<ReadBounds>,
        isolation: Isolation,
    ) -> Result<PartitionRead, PartitionReadError> {
        let high_watermark = self.high_watermark();
        let last_stable_offset = self.last_stable_offset();
        let (start, end) = (self.log().log_start_offset(), self.log().log_end_offset());
        if offset < start || offset > end {
            return Err(PartitionReadError::OutOfRange { start, end });
        }
        let upper_bound = match isolation {
            Isolation::LogEnd => end,
            Isolation::HighWatermark => high_watermark,
            Isolation::LastStableOffset => last_stable_offset,
        };
        let slice = match bounds {
            Some(bounds) if offset < upper_bound => {
                let slice = self.log().read(offset, bounds.max_bytes, upper_bound, bounds.min_one_batch)?;
                (!slice.is_empty()).then_some(slice)
            }
            _ => None,
        };
        Ok(PartitionRead { high_watermark, last_stable_offset, log_start_offset: start, log_end_offset: end, slice })
    }

    /// Where the newest epoch that is not above `epoch` ends (KIP-320): that epoch and its end. `None` for an epoch that this
    /// replica has not seen.
    pub fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        // Most readers have read what this leader wrote.
        if epoch == self.leader_epoch() {
            return Some((epoch, self.log().log_end_offset()));
        }
        match self.leader.lock().as_ref() {
            Some(leader) => leader.end_of_epoch(epoch, &Replica(&self.log())),
            None => self.log().end_offset_for_epoch(epoch),
        }
    }

    /// The aborted transactions that a reader of `from..to` has to know.
    ///
    /// # Errors
    /// See [`PartitionReadError`].
    pub async fn aborted_transactions(&self, from: i64, to: i64) -> Result<Vec<AbortedTxn>, PartitionReadError> {
        Ok(self.log().aborted_transactions(from, to).await?)
    }

    /// Reads whole batches from the one that holds `offset` up to the high watermark: about `max_bytes`, but at least
    /// one batch when there is one. The chunks together are whole batches; the first may begin below `offset`.
    /// An empty answer means `offset` is the high watermark.
    ///
    /// # Errors
    /// See [`PartitionReadError`].
    pub async fn read_committed_batches(
        &self,
        offset: i64,
        max_bytes: usize,
    ) -> Result<Vec<Bytes>, PartitionReadError> {
        let bounds = ReadBounds { max_bytes, min_one_batch: true };
        match self.read(offset, Some(bounds), Isolation::HighWatermark)?.slice {
            Some(slice) => Ok(slice.load().await?),
            None => Ok(Vec::new()),
        }
    }
}
