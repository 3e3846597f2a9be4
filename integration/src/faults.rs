//! Faults on real processes: the rows of a fault matrix, each under load in a small cluster of its own.
//!
//! A row runs in a process of its own, in namespaces (mounts, processes, network) that end with it, however it ends. Three nodes
//! serve the clients of [`crate::traffic`] and of librdkafka; a fault strikes, lasts, and is healed; within ten seconds every
//! partition has to acknowledge again; then the cluster has to become whole; and so on until the time of the row is over. At
//! the end every client has to come to its end, and what they were told is held against the files of all replicas.
//!
//! - [`rows`]: the table. [`row`]: the faults, one file for each family.
//! - [`campaign`]: one row from begin to end. [`field`]: what a fault can strike.
//! - [`ground`]: the network. [`volume`]: disks. [`site`]: a node. [`system`]: which program it is: goatq, or Kafka as a control.
//! - [`gaps`]: how long clients miss a leader.
//! - [`watch`], [`second`]: clients. [`replicas`]: what nodes have in their files.

pub mod campaign;
pub mod field;
pub mod gaps;
pub mod ground;
pub mod replicas;
pub mod row;
pub mod rows;
pub mod second;
pub mod site;
pub mod system;
pub mod volume;
pub mod watch;
