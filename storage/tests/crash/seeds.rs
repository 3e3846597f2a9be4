//! Which seeds a test lives through.

use std::ops::Range;

/// A number in the environment.
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

/// The one of `GOATQ_SEED`, the first `GOATQ_SEEDS`, or the first `usual` ones.
pub(crate) fn chosen(usual: u64) -> Range<u64> {
    match number("GOATQ_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("GOATQ_SEEDS").unwrap_or(usual),
    }
}
