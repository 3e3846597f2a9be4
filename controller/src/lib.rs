//! The metadata quorum: openraft around a pure metadata state machine.
//!
//! - [`record`]: what is in the metadata log. [`image`]: what it amounts to. [`replay`](replay::replay): from the one to the other.
//! - [`decide`]: requests, the rules that decide them, their answers. Rules that several of them share: [`topic_name`],
//!   [`placement`], [`election`], [`feature`]. [`liveness`]: who is alive, by what the leader hears.
//!   [`balance`]: replicas that go elsewhere so that brokers are even.
//! - [`raft`]: openraft on a partition log, a state machine that keeps the image, snapshots.
//! - [`service`]: the running controller, which is what the broker uses: [`service::Controller`].
//! - [`planted`]: defects that simulations must find.
//!
//! All but `raft` and `service` is pure: no clock, file, socket, task or randomness that is not an argument. The crate's `README.md` says how the
//! parts work together, what is on disk and what must always be true.

pub mod balance;
pub mod decide;
pub mod election;
pub mod entropy;
pub mod feature;
pub mod image;
pub mod liveness;
pub mod placement;
pub mod planted;
pub mod raft;
pub mod record;
pub mod replay;
pub mod service;
pub mod topic_name;

pub use service::Controller;
