//! What the logs of one directory share so that memory and descriptors do not grow with the data stored.
//!
//! - [`files`]: which files are held open;
//! - [`blocks`]: blocks of the indexes of sealed segments;
//! - [`ahead`]: parts of segments on their way for readers of cold data;
//! - [`reads`]: how much was read from where;
//! - [`tail`]: the batches appended last, for consumers that are close to the end.

pub(crate) mod ahead;
pub(crate) mod blocks;
pub(crate) mod files;
pub(crate) mod reads;
mod resources;
pub(crate) mod tail;

pub use reads::ReadCounts;
pub use resources::LogResources;
