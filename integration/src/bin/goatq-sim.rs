//! `goatq-sim`: simulated worlds, each in a process of its own.

use std::io::IsTerminal;
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use goatq_integration::sim::defect::Defect;
use goatq_integration::sim::world::{Options, Report, run};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// CPU seconds that one world may take: most take a second or two, a debug build ten times as long. One that goes round in circles ends,
/// killed, and counts as bad.
const WORLD_SECONDS: u64 = 300;

/// The whole node in simulated worlds.
#[derive(Parser)]
#[command(name = "goatq-sim")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs the worlds of many seeds, and says how to run again what went wrong.
    Run(Many),
    /// Runs the world of one seed, in this process.
    Replay {
        /// The seed.
        seed: u64,
        /// Prints everything that happens.
        #[arg(long)]
        loud: bool,
        /// What is wrong in it on purpose.
        #[arg(long, value_parser = Defect::named)]
        defect: Option<Defect>,
    },
    /// Runs worlds with a defect until one of them shows it.
    Hunt {
        /// Which one.
        #[arg(value_parser = Defect::named)]
        defect: Defect,
        /// Worlds that may miss it.
        #[arg(long, default_value_t = 200)]
        within: u64,
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        first: u64,
    },
    /// Runs one world after the other until something goes wrong.
    Soak {
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        first: u64,
        /// Worlds at a time.
        #[arg(long, default_value_t = 2)]
        jobs: usize,
    },
    /// Runs each world twice: both have to be the same, event for event.
    Meta(Many),
}

#[derive(Args)]
struct Many {
    /// How many worlds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Worlds at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let good = match Cli::parse().command {
        Task::Replay { seed, loud, defect } => return Ok(replay(seed, Options { loud, defect })),
        Task::Hunt { defect, within, first } => hunt(defect, first, within)?,
        Task::Run(Many { seeds, first, jobs }) => many(first, seeds, jobs, Patience::ToTheEnd, once)?,
        Task::Soak { first, jobs } => many(first, u64::MAX - first, jobs, Patience::None, once)?,
        Task::Meta(Many { seeds, first, jobs }) => many(first, seeds, jobs, Patience::ToTheEnd, twice)?,
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The world of a seed, in this process: everything random in it is drawn from the seed.
fn replay(seed: u64, options: Options) -> ExitCode {
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_ansi(std::io::stdout().is_terminal())
        .without_time()
        .init();
    let report = run(seed, options);
    let Report { trace, lasted, faults, acked, violations, lines, .. } = report;
    let verdict = if violations.is_empty() { "good" } else { "BAD" };
    println!("seed {seed}: {verdict}, trace {trace:016x}, {lasted:?}, {faults} faults, {acked} records acknowledged");
    if violations.is_empty() {
        return ExitCode::SUCCESS;
    }
    if !options.loud {
        println!("The last that happened:");
        lines.iter().for_each(|line| println!("{line}"));
    }
    violations.iter().for_each(|what| println!("VIOLATION {what}"));
    ExitCode::FAILURE
}

/// A world in a process of its own.
fn once(seed: u64) -> anyhow::Result<bool> {
    let output = child(seed, None)?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        print!("{text}");
        return Ok(true);
    }
    print!("{}\n{}", text, String::from_utf8_lossy(&output.stderr));
    println!("seed {seed}: {}. To run it again: goatq-sim replay {seed}", output.status);
    Ok(false)
}

fn twice(seed: u64) -> anyhow::Result<bool> {
    let (first, second) = (child(seed, None)?, child(seed, None)?);
    let same = first == second;
    let line = String::from_utf8_lossy(&first.stdout);
    print!(
        "{}: {}",
        if same { "the same twice" } else { "NOT THE SAME TWICE" },
        line.lines().next().unwrap_or("no answer")
    );
    println!();
    Ok(same)
}

/// Whether a defect shows itself.
fn hunt(defect: Defect, first: u64, within: u64) -> anyhow::Result<bool> {
    for seed in (first..).zip(0..within).map(|(seed, _)| seed) {
        let output = child(seed, Some(defect))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stdout);
            let shown = text.lines().find(|line| line.starts_with("VIOLATION")).unwrap_or("it ended otherwise");
            println!("{}: found with seed {seed}: {shown}", defect.name());
            return Ok(true);
        }
    }
    println!("{}: not found in {within} worlds", defect.name());
    Ok(false)
}

fn child(seed: u64, defect: Option<Defect>) -> anyhow::Result<Output> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("replay").arg(seed.to_string());
    if let Some(defect) = defect {
        command.args(["--defect", defect.name()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let world = command.spawn().context("a process for the world")?;
    let limit = Rlimit { current: Some(WORLD_SECONDS), maximum: Some(WORLD_SECONDS) };
    // If it is at its end by now, it needs none.
    let _ = prlimit(Pid::from_raw(i32::try_from(world.id())?), Resource::Cpu, limit);
    world.wait_with_output().context("the end of a world")
}

/// Whether more worlds are begun after one that was bad.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    None,
    ToTheEnd,
}

/// Works through seeds, some at a time; whether all went well.
fn many(
    first: u64,
    seeds: u64,
    jobs: usize,
    patience: Patience,
    work: impl Fn(u64) -> anyhow::Result<bool> + Sync,
) -> anyhow::Result<bool> {
    let (next, bad) = (AtomicU64::new(first), AtomicU64::new(0));
    let each = || -> anyhow::Result<()> {
        while bad.load(Ordering::Relaxed) == 0 || patience == Patience::ToTheEnd {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed - first >= seeds {
                break;
            }
            if !work(seed)? {
                bad.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..jobs).map(|_| scope.spawn(each)).collect();
        each()?;
        others.into_iter().try_for_each(|other| other.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })?;
    let bad = bad.into_inner();
    println!("{bad} bad");
    Ok(bad == 0)
}
