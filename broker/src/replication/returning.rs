//! Whether a log that was opened still has what its replica had acknowledged.
//!
//! After a crash a log ends where its batches stop to be whole. Mostly nobody was told of what is behind that. Three things say otherwise: what was
//! known to be committed, what was proven to be on the disk (both for certain), and whole batches behind the damage (a suspicion).

use goatq_storage::log::Loss;

/// A log, and what is known of the time before it was opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opened {
    /// Where it ends.
    pub end: i64,
    /// The high watermark that was remembered.
    pub committed: Option<i64>,
    /// What recovery could not keep.
    pub loss: Option<Loss>,
    /// The process before did not end in order.
    pub after_crash: bool,
    /// What it acknowledges is in the page cache (`durability=page-cache`): a crash may take it, and the controller knows.
    pub page_cache: bool,
}

/// What a log lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Maybe something of what it acknowledged.
    Suspected,
    /// Everything from its end up to this offset, for certain.
    Until(i64),
}

/// What the replica has to tell of; `None` when it has all that it acknowledged, or everybody expects it to lack something.
pub fn lack(log: &Opened) -> Option<Lack> {
    let may_lose = log.after_crash && log.page_cache;
    let committed = log.committed.filter(|_| !may_lose);
    let proven = log.loss.and_then(|loss| loss.until);
    match committed.max(proven) {
        Some(until) if until > log.end => Some(Lack::Until(until)),
        _ => (log.loss.is_some() && !may_lose).then_some(Lack::Suspected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER_CRASH: Opened = Opened { end: 10, committed: None, loss: None, after_crash: true, page_cache: false };
    const SUSPECTED: Option<Loss> = Some(Loss { until: None });

    #[test]
    fn a_log_that_reaches_what_is_known_lacks_nothing() {
        assert_eq!(lack(&AFTER_CRASH), None);
        assert_eq!(lack(&Opened { committed: Some(10), ..AFTER_CRASH }), None);
        assert_eq!(lack(&Opened { committed: Some(10), after_crash: false, ..AFTER_CRASH }), None);
    }

    #[test]
    fn what_was_committed_or_proven_is_lacked_for_certain() {
        let proven = |until| Some(Loss { until: Some(until) });
        assert_eq!(lack(&Opened { committed: Some(11), ..AFTER_CRASH }), Some(Lack::Until(11)));
        assert_eq!(lack(&Opened { loss: proven(12), ..AFTER_CRASH }), Some(Lack::Until(12)));
        assert_eq!(lack(&Opened { committed: Some(14), loss: proven(12), ..AFTER_CRASH }), Some(Lack::Until(14)));
        assert_eq!(lack(&Opened { committed: Some(11), loss: SUSPECTED, ..AFTER_CRASH }), Some(Lack::Until(11)));
        // Also where the process ended in order: a file was cut, or lost.
        let in_order = Opened { committed: Some(11), after_crash: false, page_cache: true, ..AFTER_CRASH };
        assert_eq!(lack(&in_order), Some(Lack::Until(11)));
    }

    #[test]
    fn whole_batches_behind_the_end_are_a_suspicion() {
        assert_eq!(lack(&Opened { loss: SUSPECTED, ..AFTER_CRASH }), Some(Lack::Suspected));
        assert_eq!(lack(&Opened { loss: SUSPECTED, committed: Some(9), ..AFTER_CRASH }), Some(Lack::Suspected));
        // It is known from an earlier start, and the log has grown since, but nobody was told.
        let noted = Some(Loss { until: Some(9) });
        assert_eq!(lack(&Opened { loss: noted, ..AFTER_CRASH }), Some(Lack::Suspected));
    }

    #[test]
    fn what_the_page_cache_had_may_be_gone_but_not_what_was_synced() {
        let cached = Opened { page_cache: true, ..AFTER_CRASH };
        assert_eq!(lack(&Opened { committed: Some(11), loss: SUSPECTED, ..cached }), None);
        assert_eq!(lack(&Opened { loss: Some(Loss { until: Some(12) }), ..cached }), Some(Lack::Until(12)));
    }
}
