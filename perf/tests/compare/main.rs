//! `goatq-perf compare` from its command line to its report, against two brokers in memory.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "runs programs and reads what they wrote")]

mod stub;

use std::process::{Command, Output};

use serde_json::Value;

use crate::stub::Stub;

fn compare(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_goatq-perf")).arg("compare").args(args).output().unwrap()
}

#[test]
fn every_kind_of_workload_is_measured_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (one, other) = (Stub::start().unwrap(), Stub::start().unwrap());
    // This process is the broker that both claim to be.
    let system =
        |name: &str, stub: &Stub| format!("name={name},bootstrap=127.0.0.1:{},pid={}", stub.port, std::process::id());
    std::fs::write(path("small.yaml"), "topics: 2\npartitionsPerTopic: 3\nmessageSize: 100\nproducerRate: 500\n")
        .unwrap();
    let yaml = path("small.yaml");
    let workloads =
        ["produce-64k", "half-load", "keyed", "fetch-big", "backlog-drain", "connection-storm", &yaml].join(",");
    let output = compare(&[
        "--system",
        &system("goatq", &one),
        "--system",
        &system("kafka", &other),
        "--workload",
        &workloads,
        "--rounds=1",
        "--prime=0",
        "--settle=0",
        "--no-floor",
        "--duration=0.5",
        "--warm-up=0.1",
        "--rate=4000",
        "--producers=2",
        "--backlog=100k",
        "--dir",
        &path(""),
        "--json",
        &path("c.json"),
        "--omb",
        &path("omb"),
        "--html",
        &path("c.html"),
    ]);
    let (text, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{errors}");
    let result: Value = serde_json::from_str(&std::fs::read_to_string(path("c.json")).unwrap()).unwrap();
    let measured = result["workloads"].as_array().unwrap();
    assert_eq!(measured.len(), 7);
    for workload in measured {
        let name = workload["workload"]["name"].as_str().unwrap();
        assert_eq!(workload["failures"], Value::Array(Vec::new()), "{name}: {errors}");
        let modes = workload["workload"]["durabilities"].as_array().unwrap().len();
        let runs = workload["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 2 * modes, "{name}");
        for run in runs {
            assert!(run["report"]["records"].as_u64().unwrap() > 0, "{name}: {run}");
            assert_eq!(run["report"]["missing"], 0, "{name}: {run}");
        }
        assert!(text.contains(&format!("### {name}")), "{text}");
    }
    assert!(text.contains("### Goals"), "{text}");
    assert!(std::fs::read_to_string(path("c.html")).unwrap().contains("Goals"));
    assert_eq!(std::fs::read_dir(path("omb")).unwrap().count(), 2 * 12, "a file for each system and mode");
    let has = |stub: &Stub, name: &str, value: &str| {
        stub.state().configs.iter().any(|configs| configs.get(name).is_some_and(|found| found == value))
    };
    assert!(has(&one, "durability", "fsync") && has(&one, "durability", "page-cache"));
    assert!(has(&other, "flush.messages", "1") && !has(&other, "durability", "fsync"));

    let again = compare(&["--from", &path("c.json"), "--from", &path("c.json"), "--dir", &path("")]);
    let text = String::from_utf8(again.stdout).unwrap();
    assert!(text.contains("median of up to 2 runs"), "{text}");
}

#[test]
fn a_broker_that_does_not_start_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display().to_string();
    let output =
        compare(&["--start", "x=echo 'no such luck {port}'; exit 3", "--workload", "latency-1000", "--dir", &dir]);
    assert!(!output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("x ended") && errors.contains("no such luck 31900"), "{errors}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}
