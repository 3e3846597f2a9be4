//! The `goatq` binary.

use std::process::ExitCode;

/// Frees memory of other threads' buffers without a lock, which is what a broker does all day.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    goatq_broker::cli::main()
}
