//! What the logs of one directory share so that memory and descriptors do not grow with the data stored.
//!
//! - [`files`]: which files are held open;
//! - [`blocks`]: blocks of the indexes of sealed segments;
//! - [`tail`]: the batches appended last, for consumers that are close to the end.

pub(crate) mod blocks;
pub(crate) mod files;
mod resources;
pub(crate) mod tail;

pub use resources::LogResources;
