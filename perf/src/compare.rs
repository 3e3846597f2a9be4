//! The `compare` command: the same workloads against several brokers in turn, several rounds, and one report of it all.

mod goals;
mod html;
mod markdown;
mod omb;
mod plot;
mod rest;
mod summary;
mod system;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::CompareArgs;
use crate::clock::wall_ms;
use crate::compare::rest::Disk;
use crate::compare::system::System;
pub(crate) use crate::compare::system::{Running, Start};
use crate::limit::{self, Limits, Line};
use crate::report::{Machine, Report, write_json, write_text};
use crate::workload::{self, Durability, Rate, Task, Workload, execute};

/// The longest that a system warms up without its files being removed.
const PRIMED_AT_ONCE: Duration = Duration::from_secs(20);

/// Everything that was measured; the tables and plots are made of this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) machine: Machine,
    pub(crate) file_system: String,
    /// Milliseconds since 1970 at the end.
    pub(crate) finished_ms: i64,
    /// The system that the others are held against.
    pub(crate) reference: String,
    /// In the order of the command line.
    pub(crate) systems: Vec<String>,
    pub(crate) workloads: Vec<Measured>,
}

/// All runs of one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) workload: Workload,
    pub(crate) runs: Vec<Round>,
    /// The workload's lines of `limit`, each once a round.
    pub(crate) floor: Vec<Line>,
    /// Runs that came to nothing, and why.
    pub(crate) failures: Vec<String>,
}

/// One run of one system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) system: String,
    pub(crate) durability: Durability,
    pub(crate) report: Report,
}

/// Runs the command.
pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    if args.list {
        print!("{}", workload::list());
        return Ok(());
    }
    let workloads = chosen(args)?;
    let mut comparison = start(args)?;
    if !workloads.is_empty() {
        raise_file_limit();
        let mut bench = Bench::new(args)?;
        comparison.systems.extend(bench.systems.iter().map(|system| system.name.clone()));
        comparison.systems = distinct(std::mem::take(&mut comparison.systems));
        bench.prime(&workloads)?;
        for workload in workloads {
            bench.measure(workload, &mut comparison)?;
            comparison.finished_ms = wall_ms();
            // What is measured stays, even if the rest is not reached.
            write(args, &comparison)?;
        }
    }
    write(args, &comparison)?;
    print!("{}", markdown::render(&comparison));
    Ok(())
}

fn write(args: &CompareArgs, comparison: &Comparison) -> Result<()> {
    if let Some(path) = &args.json {
        write_json(path, comparison)?;
    }
    if let Some(path) = &args.html {
        write_text(path, &html::render(comparison))?;
    }
    if let Some(folder) = &args.omb {
        std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
        for (name, result) in omb::results(comparison) {
            write_json(&folder.join(name), &result)?;
        }
    }
    Ok(())
}

/// An empty comparison, or what earlier ones found.
fn start(args: &CompareArgs) -> Result<Comparison> {
    let dir = args.dir.canonicalize().context("--dir")?;
    let mut comparison = Comparison {
        machine: Machine::here(),
        file_system: Limits::file_system(&dir),
        finished_ms: wall_ms(),
        reference: args.reference.clone(),
        systems: Vec::new(),
        workloads: Vec::new(),
    };
    for path in &args.from {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        let earlier: Comparison = serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
        comparison.systems.extend(earlier.systems);
        comparison.finished_ms = earlier.finished_ms;
        (comparison.machine, comparison.file_system) = (earlier.machine, earlier.file_system);
        for measured in earlier.workloads {
            comparison.add(measured);
        }
    }
    comparison.systems = distinct(std::mem::take(&mut comparison.systems));
    Ok(comparison)
}

impl Comparison {
    /// The runs of a workload that is known already come to those that are there.
    fn add(&mut self, measured: Measured) {
        match self.workloads.iter_mut().find(|known| known.workload.name == measured.workload.name) {
            Some(known) => {
                known.workload = measured.workload;
                known.runs.extend(measured.runs);
                known.floor.extend(measured.floor);
                known.failures.extend(measured.failures);
            }
            None => self.workloads.push(measured),
        }
    }
}

fn distinct(names: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.into_iter().filter(|name| seen.insert(name.clone())).collect()
}

/// The workloads of the command line, with those before them whose results they need.
fn chosen(args: &CompareArgs) -> Result<Vec<Workload>> {
    let mut chosen: Vec<Workload> = Vec::new();
    let overrides = args.overrides();
    for name in &args.workload {
        for mut workload in workload::named(name)? {
            overrides.apply(&mut workload);
            if let Rate::ShareOf { workload: needed, .. } = &workload.rate
                && args.from.is_empty()
                && !chosen.iter().any(|earlier| earlier.name == *needed)
            {
                for mut needed in workload::named(needed)? {
                    overrides.apply(&mut needed);
                    chosen.push(needed);
                }
            }
            if !chosen.iter().any(|earlier| earlier.name == workload.name) {
                chosen.push(workload);
            }
        }
    }
    Ok(chosen)
}

/// The order of a round: everyone is first once before anyone is first twice.
fn order(contenders: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..contenders).map(move |index| (index + round) % contenders)
}

/// Thousands of connections need thousands of descriptors.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, the workloads that need it will say so.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
}

/// The systems, running.
struct Bench<'a> {
    args: &'a CompareArgs,
    runtime: Runtime,
    terminated: Signal,
    systems: Vec<System>,
}

impl<'a> Bench<'a> {
    fn new(args: &'a CompareArgs) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
        let terminated = runtime.block_on(async { signal(SignalKind::terminate()) })?;
        let mut bench = Self { args, runtime, terminated, systems: Vec::new() };
        for system in &args.system {
            bench.systems.push(System::running(system)?);
        }
        for (index, start) in args.start.iter().enumerate() {
            let port = args.port_base + 10 * u16::try_from(index)?;
            let system = bench.interruptible(System::start(start, port, &args.dir))?;
            eprintln!("{} serves at {} (process {:?})", system.name, system.bootstrap, system.pids);
            bench.systems.push(system);
        }
        if bench.systems.is_empty() {
            bail!("nobody to measure: --start or --system");
        }
        Ok(bench)
    }

    /// Does the work unless the program is told to end: then the brokers that it has started must end, too.
    fn interruptible<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let terminated = &mut self.terminated;
        self.runtime.block_on(async {
            tokio::select! {
                done = work => done,
                _ = terminated.recv() => bail!("terminated"),
                _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            }
        })
    }

    /// Runs the first workload against everyone without counting it: compilers at run time, caches and files warm up. Again and
    /// again, each time in topics of its own: minutes at full speed would fill a disk.
    fn prime(&mut self, workloads: &[Workload]) -> Result<()> {
        let Some(first) = workloads.first().filter(|_| !self.args.prime.is_zero()) else { return Ok(()) };
        let times = self.args.prime.div_duration_f64(PRIMED_AT_ONCE).ceil();
        let mut first = Workload { duration_s: self.args.prime.as_secs_f64() / times, warm_up_s: 0.0, ..first.clone() };
        if matches!(first.rate, Rate::ShareOf { .. }) || matches!(first.task, Task::Drain | Task::ColdRead) {
            (first.rate, first.task) = (Rate::Full, Task::Produce);
        }
        let (disk, settle) = (Disk::below(&self.args.dir), self.args.settle);
        for index in 0..self.systems.len() {
            for durability in &first.durabilities {
                let site = self.systems[index].site(*durability, None);
                eprintln!("warming up {}", site.label);
                for _ in 0..times as u32 {
                    self.interruptible(async {
                        disk.rest(settle).await;
                        execute(&first, &site).await
                    })?;
                }
            }
        }
        Ok(())
    }

    fn measure(&mut self, workload: Workload, comparison: &mut Comparison) -> Result<()> {
        let contenders: Vec<(usize, Durability)> = (0..self.systems.len())
            .flat_map(|system| workload.durabilities.iter().map(move |durability| (system, *durability)))
            .collect();
        for round in 0..self.args.rounds {
            for index in order(contenders.len(), round) {
                let (system, durability) = contenders[index];
                let mut measured = empty(&workload);
                self.run_one(&workload, system, durability, comparison, &mut measured)?;
                comparison.add(measured);
            }
            if !self.args.no_floor && !workload.floor.is_empty() {
                let names = workload.floor.iter().map(String::as_str).collect();
                let floor = limit::lines(&self.args.limit_scope(&workload), &names)?;
                comparison.add(Measured { floor, ..empty(&workload) });
            }
        }
        Ok(())
    }

    /// One run. What goes wrong with it becomes part of the report.
    fn run_one(
        &mut self,
        workload: &Workload,
        system: usize,
        durability: Durability,
        comparison: &Comparison,
        measured: &mut Measured,
    ) -> Result<()> {
        let rate = match &workload.rate {
            Rate::ShareOf { workload, share } => {
                summary::records_per_s(comparison, workload, &self.systems[system].name).map(|full| full * share)
            }
            _ => None,
        };
        let site = self.systems[system].site(durability, rate);
        let (disk, settle) = (Disk::below(&self.args.dir), self.args.settle);
        let done = self.interruptible(async {
            disk.rest(settle).await;
            let limit = Duration::from_secs_f64(workload.duration_s + workload.warm_up_s) + self.args.patience;
            Ok(match tokio::time::timeout(limit, execute(workload, &site)).await {
                Ok(done) => done,
                Err(_) => Err(anyhow::anyhow!("not done after {} s", limit.as_secs())),
            })
        })?;
        match done {
            Ok(report) => {
                eprintln!("{}: {}: {}", workload.name, site.label, summary::one_line(&report));
                measured.runs.push(Round { system: self.systems[system].name.clone(), durability, report });
            }
            Err(error) => {
                eprintln!("{}: {}: {error:#}", workload.name, site.label);
                measured.failures.push(format!("{}: {error:#}", site.label));
            }
        }
        Ok(())
    }
}

fn empty(workload: &Workload) -> Measured {
    Measured { workload: workload.clone(), runs: Vec::new(), floor: Vec::new(), failures: Vec::new() }
}

impl CompareArgs {
    /// The floor is measured for as long as the brokers: what memory and disk do at first and what they do later differ.
    fn limit_scope(&self, workload: &Workload) -> limit::Scope {
        let dir: PathBuf = self.dir.clone();
        let time = self.floor_seconds.unwrap_or(Duration::from_secs_f64(workload.duration_s.clamp(0.1, 10.0)));
        limit::Scope { dir, time, bytes: self.floor_bytes, frame: 64 << 10 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_is_first_in_turn() {
        let rounds: Vec<Vec<usize>> = (0..4).map(|round| order(3, round).collect()).collect();
        assert_eq!(rounds, [vec![0, 1, 2], vec![1, 2, 0], vec![2, 0, 1], vec![0, 1, 2]]);
    }

    #[test]
    fn results_come_together() {
        let workload = workload::named("produce-64k").unwrap().remove(0);
        let mut comparison = summary::tests::comparison();
        let before = comparison.workloads[0].runs.len();
        let run = comparison.workloads[0].runs[0].clone();
        comparison.add(Measured { runs: vec![run], ..empty(&workload) });
        comparison.add(empty(&workload::named("latency-1000").unwrap().remove(0)));
        assert_eq!(comparison.workloads[0].runs.len(), before + 1);
        assert_eq!(comparison.workloads.last().unwrap().workload.name, "latency-1000");
        let json = serde_json::to_string(&comparison).unwrap();
        assert_eq!(serde_json::from_str::<Comparison>(&json).unwrap(), comparison);
    }
}
