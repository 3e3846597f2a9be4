//! `goatq serve`: one node in this process until SIGTERM or SIGINT.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::signal::unix::{SignalKind, signal};

use super::load::{Loaded, load};
use super::{SettingsArgs, logging};
use crate::assembly::{NodeOptions, RunningNode};
use crate::clock::SystemClock;
use crate::config::LiveConfig;
use crate::config::machine::Machine;
use crate::net::Transport;
use crate::threads::offload::Offload;
use crate::threads::workers::Workers;

/// Serves until told to stop; the exit code says whether the node ended in order.
pub(super) fn run(args: &SettingsArgs) -> anyhow::Result<ExitCode> {
    let loaded = load(args)?;
    let loggers = logging::init()?;
    let machine = Machine::detect();
    raise_open_files();
    let Loaded { settings, warnings, file } = loaded;
    for warning in &warnings {
        tracing::warn!(key = warning.key, "{warning}");
    }
    // Looked at before any thread is made: how many there are to be.
    let threads = LiveConfig::new(settings.clone(), machine.clone())?.current().network.threads;
    let (workers, worker_threads) = Workers::start(threads).context("network threads")?;
    let mut seed = [0; 32];
    SysRng.try_fill_bytes(&mut seed).context("the system's source of randomness")?;
    let options = NodeOptions {
        settings,
        machine,
        clock: Arc::new(SystemClock::new()),
        disk: goatq_storage::io::default_disk(),
        transport: Transport::System,
        workers,
        offload: Offload::Threads,
        loggers,
        seed,
        planted: None,
    };
    // One thread for all that is not a connection: metadata, groups, group commit, tasks, HTTP.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().thread_name("goatq").build()?;
    let ended = runtime.block_on(async {
        let node = RunningNode::start(options).await?;
        if let Some(file) = file {
            tracing::info!(file = %file.display(), "configuration");
        }
        greet(&node);
        serve(node).await
    });
    worker_threads.join();
    runtime.shutdown_background();
    ended
}

async fn serve(node: RunningNode) -> anyhow::Result<ExitCode> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let health = node.health().clone();
    let failure = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        failure = health.failure() => Some(failure),
    };
    match &failure {
        Some(reason) => tracing::error!(reason, "the node cannot go on and stops"),
        None => tracing::info!("stopping: answering what is under way"),
    }
    tokio::select! {
        () = node.shutdown() => {}
        // Whoever asks twice does not want to wait.
        _ = terminate.recv() => return Ok(ExitCode::FAILURE),
        _ = interrupt.recv() => return Ok(ExitCode::FAILURE),
    }
    tracing::info!("stopped");
    Ok(if failure.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As many open files as the system permits: connections and segments both need them.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        // Refused only in odd sandboxes, where the lower limit works as well.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// Tells a person what there is and what to type next.
fn greet(node: &RunningNode) {
    let (shared, config) = (node.node(), node.node().config.current());
    let dirs: Vec<_> = config.log.dirs.iter().map(|dir| dir.display().to_string()).collect();
    println!("goatq {}: node {} of cluster {}", env!("CARGO_PKG_VERSION"), shared.id(), shared.image().cluster_id);
    for (name, address) in node.addresses() {
        println!("  kafka    {name}://{address}");
    }
    for (name, address) in node.quorum_addresses() {
        println!("  quorum   {name}://{address}");
    }
    println!("  data     {}", dirs.join(", "));
    if let Some(http) = node.http_address() {
        println!("  metrics  http://{http}/metrics  (health: /healthz, /readyz)");
    }
    if let Some(address) = node.addresses().values().next() {
        let host =
            if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() };
        println!("Try it, in another terminal:");
        println!("  echo hello | kcat -b {host} -P -t greetings");
        println!("  kcat -b {host} -C -t greetings -o beginning -e");
    }
    println!("Stop it with Ctrl-C.");
}
