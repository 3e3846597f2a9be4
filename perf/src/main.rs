//! `goatq-perf`: load generation and measurement against any Kafka broker.

mod args;
mod clock;
mod cluster;
mod compare;
mod consume;
mod end_to_end;
mod fetch;
mod limit;
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
mod workload;

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
    match command {
        Command::Produce(args) => report::emit(&block_on(produce::run(args))?, &args.run),
        Command::Consume(args) => report::emit(&block_on(consume::run(args))?, &args.run),
        Command::EndToEnd(args) => report::emit(&block_on(end_to_end::run(args))?, &args.run),
        Command::Start(args) => block_on(start::run(args)),
        Command::Limit(args) => limit::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Topic(args) => block_on(topic::run(args)),
        Command::Table(args) => table::run(args),
    }
}

/// One thread: the load generator shares the machine with the broker that it measures.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?.block_on(work)
}
