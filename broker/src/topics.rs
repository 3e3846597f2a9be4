//! Topics as things that are made: names and creation on demand.

pub(crate) mod auto_create;
