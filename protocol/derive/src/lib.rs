//! Derive macros for the wire codec of `goatq-protocol`.
