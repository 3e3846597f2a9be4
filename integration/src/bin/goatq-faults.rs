//! `goatq-faults`: the fault matrix on real processes, each row in namespaces of its own.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use goatq_integration::faults::campaign::{self, Outcome, Plan};
use goatq_integration::faults::gaps::{End, Gaps, percentile};
use goatq_integration::faults::ground;
use goatq_integration::faults::rows::{ROWS, numbered};
use goatq_integration::faults::site::Site;
use goatq_integration::node;

/// Faults on real processes.
#[derive(Parser)]
#[command(name = "goatq-faults")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Says which rows there are.
    List,
    /// Runs rows, and prints a table of what came of them.
    Run(Many),
    /// Ends leaders again and again, and says how long clients of librdkafka missed them.
    Gaps(Ends),
    /// Runs one row in this process, which has to be alone in its namespaces.
    #[command(hide = true)]
    Inside(One),
    /// As `gaps`, in this process.
    #[command(hide = true)]
    GapsInside(Ends),
}

#[derive(Args)]
struct Many {
    /// Numbers of rows; all without.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<u8>,
    /// Ways of keeping what is written.
    #[arg(long, value_delimiter = ',', default_value = "fsync,page-cache", value_parser = durability)]
    durability: Vec<&'static str>,
    /// Rows at a time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    #[command(flatten)]
    how: How,
}

#[derive(Args)]
struct One {
    row: u8,
    #[arg(value_parser = durability)]
    durability: &'static str,
    #[command(flatten)]
    how: How,
}

#[derive(Args, Clone)]
struct Ends {
    /// How many leaders are killed.
    #[arg(long, default_value_t = 50)]
    kills: usize,
    /// How many stop in order.
    #[arg(long, default_value_t = 50)]
    stops: usize,
    /// `log.durability`.
    #[arg(long, default_value = "fsync", value_parser = durability)]
    durability: &'static str,
    /// A file that each gap is added to, and of which everything is summed up: several short runs make a long one.
    #[arg(long)]
    book: PathBuf,
    /// Prints what the consumer did about each end.
    #[arg(long)]
    loud: bool,
    /// A script that starts a node of Kafka, which then takes the place of goatq.
    #[arg(long)]
    kafka: Option<PathBuf>,
}

#[derive(Args, Clone)]
struct How {
    /// For how long faults strike in each row.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// The begin of all chances.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A script that starts a node of Kafka, which then takes the place of goatq.
    #[arg(long)]
    kafka: Option<PathBuf>,
    /// Where the data of nodes lies while a row runs.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Prints what happens.
    #[arg(long)]
    loud: bool,
}

fn durability(name: &str) -> Result<&'static str, String> {
    let known = ["fsync", "page-cache"];
    known.into_iter().find(|known| *known == name).ok_or_else(|| format!("one of {}", known.join(", ")))
}

fn main() -> anyhow::Result<ExitCode> {
    let good = match Cli::parse().command {
        Task::List => {
            for row in ROWS {
                println!("{:>3} {} {}", row.number, row.name, row.expects);
            }
            true
        }
        Task::Run(many) => run(&many)?,
        Task::Gaps(ends) => {
            let status = alone()?.arg("gaps-inside").args(std::env::args_os().skip(2)).status()?;
            status.success() && sum_up(&ends.book)?
        }
        Task::Inside(one) => inside(&one)?,
        Task::GapsInside(ends) => gaps(&ends)?,
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one row, and prints its line of the table.
fn inside(one: &One) -> anyhow::Result<bool> {
    let row = numbered(one.row).with_context(|| format!("there is no row {}", one.row))?;
    if let Err(error) = (row.needs)() {
        println!("| {} | {} | {} | | | | | skipped: {error:#} |", row.number, row.name, one.durability);
        return Ok(true);
    }
    let How { seconds, seed, kafka, folder, loud } = one.how.clone();
    let plan = Plan { durability: one.durability, lasts: Duration::from_secs(seconds), seed, kafka, loud };
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new().prefix("goatq-faults-").tempdir_in(folder)?;
    let outcome = campaign::run(row, &plan, folder.path())?;
    outcome.violations.iter().for_each(|what| println!("VIOLATION {what}"));
    let Outcome { strikes, acked, gap, resumed, violations } = &outcome;
    let verdict = if violations.is_empty() { "ok" } else { "FAILED" };
    println!(
        "| {} | {} | {} | {strikes} | {} + {} | {:.1} | {:.1} | {verdict} |",
        row.number,
        row.name,
        one.durability,
        acked.0,
        acked.1,
        gap.as_secs_f64(),
        resumed.as_secs_f64()
    );
    Ok(violations.is_empty())
}

/// Runs rows, each in a process of its own.
fn run(many: &Many) -> anyhow::Result<bool> {
    if let Err(error) = ground::needs() {
        println!("skipped: needs root, network namespaces, iptables ({error:#})");
        return Ok(true);
    }
    let rows: Vec<_> =
        if many.rows.is_empty() { ROWS.iter().map(|row| row.number).collect() } else { many.rows.clone() };
    let mut left: Vec<_> = rows.iter().flat_map(|row| many.durability.iter().map(|kind| (*row, *kind))).collect();
    left.reverse();
    // Made now, and not by the first of them.
    node::binary()?;
    let (left, lines) = (Mutex::new(left), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let worker = || -> anyhow::Result<()> {
            loop {
                let next = left.lock().map_err(|_| anyhow::anyhow!("another worker panicked"))?.pop();
                let Some((row, durability)) = next else { return Ok(()) };
                let output = enter(row, durability, &many.how)?;
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let line = text.lines().rev().find(|line| line.starts_with("| ")).map(str::to_owned);
                if many.how.loud || !output.status.success() {
                    println!("row {row}, {durability}:\n{text}{}", String::from_utf8_lossy(&output.stderr));
                }
                let line = line.unwrap_or_else(|| format!("| {row} | ended early | {durability} | | | | | FAILED |"));
                println!("{line}");
                lines.lock().map_err(|_| anyhow::anyhow!("another worker panicked"))?.push((
                    row,
                    line,
                    output.status.success(),
                ));
            }
        };
        let workers: Vec<_> = (0..many.jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })?;
    let mut lines = lines.into_inner()?;
    lines.sort();
    println!(
        "\n| row | fault | durability | strikes | acknowledged, ours + librdkafka | longest gap, s | resumed within, s | |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    lines.iter().for_each(|(_, line, _)| println!("{line}"));
    ensure!(!lines.is_empty(), "no rows");
    Ok(lines.iter().all(|(.., good)| *good))
}

/// Ends leaders, and adds what clients noticed to the book.
fn gaps(ends: &Ends) -> anyhow::Result<bool> {
    let lasts = Duration::ZERO;
    let plan = Plan { durability: ends.durability, lasts, seed: 1, kafka: ends.kafka.clone(), loud: true };
    let folder = tempfile::Builder::new().prefix("goatq-gaps-").tempdir()?;
    let (_ground, mut sites) = campaign::lay_out(ground::Kind::Loopback, false, &plan, folder.path())?;
    sites.iter_mut().try_for_each(Site::spawn)?;
    sites.iter_mut().try_for_each(|site| site.until_open(Duration::from_secs(60)))?;
    let mut gaps = Gaps::start(&sites, ends.loud)?;
    let mut book = OpenOptions::new().create(true).append(true).open(&ends.book)?;
    let name = if ends.kafka.is_some() { "kafka".to_owned() } else { format!("goatq,{}", ends.durability) };
    for (how, word, count) in [(End::Stop, "stop", ends.stops), (End::Kill, "kill", ends.kills)] {
        for _ in 0..count {
            let gap = gaps.end(&mut sites, how)?;
            let line = format!("{name} {word} {:.1} {:.1}", millis(gap.producer), millis(gap.consumer));
            let whom = if gap.controller { ", which led the quorum" } else { "" };
            println!("{line} (another leader after {:.1} ms{whom})", millis(gap.elected));
            writeln!(book, "{line}")?;
        }
    }
    Ok(true)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A table of all that is in a book.
fn sum_up(book: &Path) -> anyhow::Result<bool> {
    let mut found: BTreeMap<(String, String), [Vec<Duration>; 2]> = BTreeMap::new();
    for line in std::fs::read_to_string(book)?.lines() {
        let [name, how, producer, consumer] = line.split(' ').collect::<Vec<_>>()[..] else { continue };
        let times = found.entry((how.to_owned(), name.to_owned())).or_default();
        for (times, text) in times.iter_mut().zip([producer, consumer]) {
            times.push(Duration::from_secs_f64(text.parse::<f64>()? / 1_000.0));
        }
    }
    println!(
        "\n| leader | times | producer: median, p99, most (ms) | consumer: median, p99, most (ms) |\n|---|---|---|---|"
    );
    for ((how, name), mut times) in found {
        let count = times[0].len();
        let figures =
            times.each_mut().map(|times| [50, 99, 100].map(|part| format!("{:.0}", millis(percentile(times, part)))));
        println!("| {name}, {how} | {count} | {} | {} |", figures[0].join(", "), figures[1].join(", "));
    }
    Ok(true)
}

/// This program once more, in namespaces in which whatever it makes ends with it, however it ends.
fn alone() -> anyhow::Result<Command> {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command.arg(std::env::current_exe()?).env("GOATQ", node::binary()?);
    Ok(command)
}

fn enter(row: u8, durability: &str, how: &How) -> anyhow::Result<Output> {
    let mut command = alone()?;
    command.args(["inside", &row.to_string(), durability]);
    command.args(["--seconds", &how.seconds.to_string(), "--seed", &how.seed.to_string()]);
    command.args(how.loud.then_some("--loud"));
    for (option, path) in [("--kafka", &how.kafka), ("--folder", &how.folder)] {
        if let Some(path) = path {
            command.arg(option).arg(path);
        }
    }
    Ok(command.output()?)
}
