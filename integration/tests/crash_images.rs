//! Power cuts on real file systems: what was acknowledged is in every crash image, and page-cache logs show that it could be missing.
//!
//! GOATQ_IMAGES sets how many images are taken (6; half of them ext4, half XFS). Needs root, loop devices and xfsprogs: without them
//! the test says that it is skipped, and fails if GOATQ_IMAGES asks for it. GOATQ_CRASH_DIR is a folder for the file that holds
//! everything (/dev/shm, or the temporary one); GOATQ_KEEP is one where images are left that broke a promise; GOATQ_SEED starts the seeds.

#![allow(clippy::disallowed_methods, reason = "a test of real processes waits in real time")]

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use goatq_integration::crash_image::campaign::{self, Outcome, Plan};
use goatq_integration::crash_image::disk::{Kind, Shelf};
use goatq_integration::node;

/// Set for the process that works in mounts and processes of its own.
const INSIDE: &str = "GOATQ_CRASH_INSIDE";
/// Images of one node.
const PER_NODE: usize = 50;
/// What must be free in memory for all of it.
const ROOM: u64 = 4 << 30;
/// Images without any that shows a loss, after which page-cache durability counts as durable.
const CONTROLS: usize = 10;

fn main() -> ExitCode {
    // What test runners ask before they run anything.
    if std::env::args().any(|argument| argument == "--list") {
        println!("crash_images: test");
        return ExitCode::SUCCESS;
    }
    let result = if std::env::var_os(INSIDE).is_some() { work() } else { enter() };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test crash_images ... FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts this program once more, in namespaces in which whatever it mounts and starts ends with it, however it ends.
fn enter() -> anyhow::Result<()> {
    let asked = std::env::var_os("GOATQ_IMAGES").is_some();
    if let Err(error) = try_out() {
        ensure!(!asked, "{error:#}");
        println!("test crash_images ... skipped: needs root, loop devices, xfsprogs ({error:#})");
        return Ok(());
    }
    let status = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(std::env::current_exe()?)
        .env(INSIDE, "1")
        .env("GOATQ", node::binary()?)
        .status()?;
    ensure!(status.success(), "see above");
    Ok(())
}

/// Whether everything is there that is needed.
fn try_out() -> anyhow::Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "this is not root");
    let entered =
        Command::new("unshare").args(["--mount", "--pid", "--fork", "--mount-proc", "--", "true"]).output()?;
    ensure!(entered.status.success(), "{}", String::from_utf8_lossy(&entered.stderr).trim());
    let shelf = Shelf::make(&folder())?;
    for kind in [Kind::Ext4Strict, Kind::Xfs] {
        let image = shelf.format("image", kind)?;
        drop(image.mount()?);
        drop(shelf.copy(&image, "copy")?.mount()?);
    }
    Ok(())
}

/// A crash image is what a device would hold; the device may as well be memory.
fn folder() -> PathBuf {
    let asked = std::env::var_os("GOATQ_CRASH_DIR").map(PathBuf::from);
    let memory = PathBuf::from("/dev/shm");
    let room = rustix::fs::statvfs(&memory).map_or(0, |space| space.f_bavail * space.f_frsize);
    asked.unwrap_or_else(|| if room >= ROOM { memory } else { std::env::temp_dir() })
}

fn work() -> anyhow::Result<()> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
    let images = number("GOATQ_IMAGES").unwrap_or(6);
    let first_seed = number("GOATQ_SEED").unwrap_or(1) as u64;
    let keep = std::env::var_os("GOATQ_KEEP").map(PathBuf::from);
    let begun = Instant::now();
    let many = if images > 20 { 100 } else { 20 };
    let plan = |kind, images, durability, seed| Plan { kind, images, many, durability, seed, keep: keep.clone() };

    for kind in [Kind::Ext4Strict, Kind::Xfs] {
        control(&plan(kind, 1, "page-cache", first_seed))?;
    }
    let (mut left, mut all) = ([images.div_ceil(2), images / 2], Outcome::default());
    for seed in first_seed.. {
        let round = (seed - first_seed) as usize;
        let (side, kind) = match round % 4 {
            0 => (0, Kind::Ext4),
            2 => (0, Kind::Ext4Strict),
            _ => (1, Kind::Xfs),
        };
        if left == [0, 0] {
            break;
        }
        let count = left[side].min(PER_NODE);
        left[side] -= count;
        if count > 0 {
            let plan = plan(kind, count, "fsync", seed);
            let outcome = campaign::run(&folder(), &plan).context("with durability fsync")?;
            println!("{}, seed {seed}: {}", kind.name(), in_words(&outcome));
            add(&mut all, outcome);
        }
    }
    println!("test crash_images ... {} in {:.0?}", in_words(&all), begun.elapsed());
    ensure!(all.broken.is_empty(), "promises were broken in {} images:\n{}", all.broken.len(), all.broken.join("\n"));
    ensure!(all.images == images && all.demanded > 0, "an empty proof");
    Ok(())
}

/// The bug that crash images are there to find: an acknowledgement before the sync. They have to find it.
fn control(plan: &Plan) -> anyhow::Result<()> {
    let (mut found, mut seen) = (None, 0);
    while found.is_none() && seen < CONTROLS {
        let seed = plan.seed + seen as u64;
        let outcome =
            campaign::run(&folder(), &Plan { seed, keep: None, ..plan.clone() }).context("with page cache")?;
        seen += outcome.images;
        println!("control, {}: {}", plan.kind.name(), in_words(&outcome));
        found = (outcome.lost > 0).then_some(outcome);
    }
    let found = found.with_context(|| format!("{seen} images on {} show no loss without syncs", plan.kind.name()))?;
    let (name, lost, demanded) = (plan.kind.name(), found.lost, found.demanded);
    println!("control, {name}: acknowledged before it is synced: {lost} of {demanded} records lost in image {seen}");
    Ok(())
}

fn add(all: &mut Outcome, one: Outcome) {
    all.images += one.images;
    all.twice += one.twice;
    all.restarts += one.restarts;
    all.batches += one.batches;
    all.demanded += one.demanded;
    all.lost += one.lost;
    all.broken.extend(one.broken);
    all.spent.iter_mut().zip(one.spent).for_each(|(all, one)| *all += one);
}

fn in_words(outcome: &Outcome) -> String {
    let Outcome { images, twice, restarts, batches, demanded, lost, broken, spent } = outcome;
    let each = |spent: &Duration| spent.as_millis() / (*images).max(1) as u128;
    let [copied, started, judged] = spent.each_ref().map(each);
    format!(
        "{images} images ({twice} crashed twice), {restarts} restarts, {batches} batches, {lost} of {demanded} records lost, {} images \
         with a broken promise; {copied} ms to copy, {started} to start, {judged} to judge each",
        broken.len()
    )
}
