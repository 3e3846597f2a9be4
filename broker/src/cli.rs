//! What the `goatq` command can do.
//!
//! Without a subcommand it serves, with defaults that need no file: `127.0.0.1:9092`, data in `./goatq-data`.

mod cluster;
mod config;
mod dump;
mod load;
mod logging;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// A log broker that speaks the Kafka protocol.
#[derive(Debug, Parser)]
#[command(name = "goatq", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Where settings come from, beside the environment (`GOATQ_LOG_DIRS` for `log.dirs`, and so on).
#[derive(Debug, Args, Default)]
struct SettingsArgs {
    /// Configuration file: YAML (.yaml, .yml), anything else is read as server.properties [env: GOATQ_CONFIG]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A single setting; wins over file and environment.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (what happens without a command).
    Serve(SettingsArgs),
    /// Check or explain configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Show and steer a cluster that runs.
    Cluster {
        #[command(subcommand)]
        command: cluster::ClusterCommand,
    },
    /// Look into the files of a log.
    Log {
        #[command(subcommand)]
        command: LogCommand,
    },
    /// Print the version.
    Version,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say what is wrong with a configuration, and what it amounts to.
    Check {
        /// Configuration file, as for --config.
        file: Option<PathBuf>,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// List every key that has an effect, with its default.
    List,
    /// Explain one key of brokers or topics; list all without one.
    Explain {
        /// Name of the key.
        key: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Print segments, indexes, snapshots and checkpoints in readable form.
    Dump {
        /// Files: .log, .index, .timeindex, .txnindex, .snapshot, checkpoints.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print the records of segments too, not only their batches.
        #[arg(long)]
        records: bool,
    },
}

/// Runs the command line of this process; what cannot be done is said on standard error.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => serve::run(&cli.settings),
        Some(Command::Serve(settings)) => serve::run(&settings),
        Some(Command::Config { command: ConfigCommand::Check { file, settings } }) => config::check(file, settings),
        Some(Command::Cluster { command }) => cluster::run(&command),
        Some(Command::Config { command: ConfigCommand::List }) => config::explain(None),
        Some(Command::Config { command: ConfigCommand::Explain { key } }) => config::explain(key.as_deref()),
        Some(Command::Log { command: LogCommand::Dump { files, records } }) => dump::run(&files, records),
        Some(Command::Version) => {
            println!("goatq {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("goatq: {}", told(&error));
        ExitCode::FAILURE
    })
}

/// An error with its causes; those that it names already are not repeated.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            // Several problems in one error have lines of their own.
            text.push_str(if cause.contains('\n') { ":\n" } else { ": " });
        }
        text.push_str(&cause);
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot open: {source}")]
        struct Outer {
            source: std::io::Error,
        }
        let error = || Outer { source: std::io::Error::other("no disk") };
        assert_eq!(told(&anyhow::Error::new(error())), "cannot open: no disk");
        let with_context = Err::<(), _>(error()).context("start").unwrap_err();
        assert_eq!(told(&with_context), "start: cannot open: no disk");
        let several = Err::<(), _>(anyhow::anyhow!("one\ntwo")).context("not usable").unwrap_err();
        assert_eq!(told(&several), "not usable:\none\ntwo");
    }
}
