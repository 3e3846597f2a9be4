//! The part of `base2histogram` that openraft uses, in a few hundred bytes for each histogram.
//!
//! openraft counts sizes of batches for statistics that nobody here reads. The crate that it uses for this makes tables for
//! sixteen resolutions at the first use of any of them: 26 MiB that stay resident, and most of the time of a start. Here a
//! bucket holds a power of two, so there is no table at all.

mod chart;
mod histogram;

pub use chart::AsciiChart;
pub use histogram::{Histogram, PercentileStats};
