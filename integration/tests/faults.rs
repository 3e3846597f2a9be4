//! Faults on real processes: a few rows of the matrix, a few seconds each.
//!
//! All of them, two minutes each: `goatq-faults run`. GOATQ_ROWS names rows (1,3,4,7), GOATQ_FAULTS seconds of each (6). Needs root, network
//! namespaces and iptables: without them the test says that it is skipped, and fails if GOATQ_FAULTS asks for it.

#![allow(clippy::disallowed_methods, reason = "starts the program")]

use std::process::{Command, ExitCode};

use goatq_integration::faults::ground;
use goatq_integration::node;

fn main() -> ExitCode {
    // What test runners ask before they run anything.
    if std::env::args().any(|argument| argument == "--list") {
        println!("faults: test");
        return ExitCode::SUCCESS;
    }
    let asked = std::env::var("GOATQ_FAULTS").ok();
    if let Err(error) = ground::needs() {
        println!("test faults ... skipped: needs root, network namespaces, iptables ({error:#})");
        return if asked.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    match run(asked.as_deref().unwrap_or("6")) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("test faults ... FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(seconds: &str) -> anyhow::Result<bool> {
    let rows = std::env::var("GOATQ_ROWS").unwrap_or_else(|_| "1,3,4,7".to_owned());
    let mut command = Command::new(env!("CARGO_BIN_EXE_goatq-faults"));
    command.args(["run", "--rows", &rows, "--seconds", seconds, "--durability", "fsync", "--jobs", "2"]);
    Ok(command.env("GOATQ", node::binary()?).status()?.success())
}
