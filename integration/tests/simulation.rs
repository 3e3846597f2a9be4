//! Simulated worlds: some of them each time, and that a world is the same each time.
//!
//! More of them: `cargo run -p goatq-integration --bin goatq-sim -- run --seeds 1000`.

#![allow(clippy::disallowed_methods, reason = "starts the simulator")]

use std::process::Command;

fn simulator(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_goatq-sim")).args(arguments).output().expect("the simulator starts");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn worlds_are_good() {
    simulator(&["run", "--seeds", "16"]);
}

#[test]
fn a_seed_is_a_world() {
    simulator(&["meta", "--first", "100", "--seeds", "2"]);
}

#[test]
fn worlds_that_showed_defects_are_good() {
    let seeds = include_str!("../testdata/seeds.txt").lines().filter(|line| !line.starts_with('#'));
    for seed in seeds.filter_map(|line| line.split_whitespace().next()) {
        simulator(&["run", "--first", seed, "--seeds", "1"]);
    }
}
