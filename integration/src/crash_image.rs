//! Power cuts that really happened to a file system: copies of its image, made at random moments while a node works on it.
//!
//! ```text
//!  a file (loop device)
//!  └─ XFS with reflinks: the shelf
//!     ├─ image (loop device, direct I/O) ── ext4 or XFS ── data of the node under load
//!     └─ copy of that image, made at once by reflink ──── ext4 or XFS, its journal replayed ── a node that recovers
//! ```
//!
//! What the node's process, its page cache and the inner file system's memory held is not in a copy; what a sync has put onto the
//! device is. Unlike a simulated disk this shows what ext4 and XFS do with names, lengths and journals.
//!
//! - [`disk`]: shelf, images, copies, mounts; gone when they are dropped.
//! - [`record`]: records of which each tells who it is, so that whatever is found can be judged.
//! - [`book`]: what the node has promised so far, and when.
//! - [`load`]: producers and others that make it promise; [`producer`] is one of the producers.
//! - [`reading`]: everything a node holds, as a client reads it. [`check`]: that against the book.
//! - [`campaign`]: one node, one image, many copies.

pub mod book;
pub mod campaign;
pub mod check;
pub mod disk;
pub mod load;
pub mod producer;
pub mod reading;
pub mod record;
