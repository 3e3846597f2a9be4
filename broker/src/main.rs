//! The `goatq` binary.

fn main() {}
