//! `goatq-perf`: load generation and measurement against any Kafka broker.

mod args;
mod clock;
mod cluster;
mod consume;
mod end_to_end;
mod fetch;
mod open_loop;
mod payload;
mod process;
mod produce;
mod report;
mod run;
mod start;
mod stats;
mod table;
mod topic;
mod wire;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("goatq-perf: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    // One thread: the load generator shares the machine with the broker that it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    runtime.block_on(async {
        match command {
            Command::Produce(args) => report::emit(&produce::run(args).await?, &args.run),
            Command::Consume(args) => report::emit(&consume::run(args).await?, &args.run),
            Command::EndToEnd(args) => report::emit(&end_to_end::run(args).await?, &args.run),
            Command::Start(args) => start::run(args).await,
            Command::Topic(args) => topic::run(args).await,
            Command::Table(args) => table::run(args),
        }
    })
}
