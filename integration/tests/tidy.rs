//! The shape of the tree, checked like any other behaviour: sizes, arrows, purity, words, dead files.
//!
//! Each test names the rule it holds the tree to; CONTRIBUTING.md says why the rules are there.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "reads the tree it checks")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What stands at the top of the repository, dotfiles apart.
const TOP_LEVEL: &[&str] = &[
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "broker",
    "controller",
    "helm",
    "integration",
    "perf",
    "protocol",
    "storage",
];

/// Made by building or running, ignored by git.
const MADE: &[&str] = &["target", "goatq-data", "node_modules", "corpus", "artifacts", "__pycache__"];

/// Each crate and the crates of this repository it may use: protocol <- storage <- controller <- broker <- integration.
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &["goatq-protocol-derive"]),
    ("protocol/derive", &[]),
    ("storage", &["goatq-protocol"]),
    ("controller", &["goatq-protocol", "goatq-storage"]),
    ("broker", &["goatq-protocol", "goatq-storage", "goatq-controller"]),
    ("integration", &["goatq-protocol", "goatq-storage", "goatq-controller", "goatq-broker"]),
    ("perf", &["goatq-protocol"]),
];

/// Rules live here: synchronous, without clock, randomness, files, sockets or tasks.
const PURE: &[&str] = &[
    "protocol/src",
    "storage/src/index",
    "storage/src/producer",
    "controller/src/image",
    "controller/src/decide",
    "controller/src/placement.rs",
    "controller/src/election.rs",
    "controller/src/liveness.rs",
    "controller/src/raft/admission.rs",
    "controller/src/raft/pieces.rs",
    "controller/src/record.rs",
    "broker/src/coordinator/group",
    "broker/src/fetch/session.rs",
    "broker/src/fetch/planner.rs",
    "broker/src/fetcher/session.rs",
    "broker/src/replication",
    "broker/src/partition/validate.rs",
    "broker/src/quorum/backoff.rs",
    "broker/src/quorum/proof.rs",
];
const IMPURE: &[&str] =
    &["tokio::", "std::fs::", "std::net::", "Instant::now", "SystemTime", "rand::", "std::thread", "std::env"];

/// Words that say nothing of the thing they name, or that promise work instead of doing it.
const NAMES: &[&str] = &["Manager", "Helper", "Util"];
const UNFINISHED: &[&str] = &["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "#[ignore"];

const THIS_FILE: &str = "integration/tests/tidy.rs";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate has a parent folder").to_owned()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('.') || MADE.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

/// Every Rust source of the repository but this one: path below the root, text.
fn sources() -> BTreeMap<String, String> {
    let (root, mut files) = (root(), Vec::new());
    walk(&root, &mut files);
    let rust = files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let named = rust.map(|path| (path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(), path));
    named
        .filter(|(name, _)| name != THIS_FILE)
        .map(|(name, path)| (name, std::fs::read_to_string(path).unwrap()))
        .collect()
}

fn none(problems: Vec<String>, rule: &str) {
    assert!(problems.is_empty(), "{rule}\n{}", problems.join("\n"));
}

/// Every line of every source that `wrong` objects to, as `file:line: text`.
fn lines_that(wrong: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, text) in sources() {
        let found = text.lines().enumerate().filter(|(_, line)| wrong(&name, line));
        problems.extend(found.map(|(number, line)| format!("{name}:{}: {}", number + 1, line.trim())));
    }
    problems
}

fn is_test(name: &str) -> bool {
    ["/tests/", "/tests.rs", "/benches/", "/fuzz/", "_tests.rs"].iter().any(|part| name.contains(part))
}

#[test]
fn the_top_level_is_what_the_readme_draws() {
    let found =
        std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let found: Vec<_> = found.filter(|name| !name.starts_with('.') && !MADE.contains(&name.as_str())).collect();
    none(found.into_iter().filter(|name| !TOP_LEVEL.contains(&name.as_str())).collect(), "not part of the top level:");
    let missing = TOP_LEVEL.iter().filter(|name| !root().join(name).exists());
    none(missing.map(|name| name.to_string()).collect(), "missing at the top level:");
}

#[test]
fn files_stay_small() {
    let sources = sources();
    let over = |limit: usize| -> Vec<String> {
        let long = sources.iter().map(|(name, text)| (name, text.lines().count())).filter(|(_, lines)| *lines > limit);
        long.map(|(name, lines)| format!("{name}: {lines}")).collect()
    };
    none(over(1000), "files over 1,000 lines:");
    assert!(over(500).len() * 10 <= sources.len(), "more than one file in ten is over 500 lines: {:#?}", over(500));
}

#[test]
fn arrows_point_one_way() {
    let mut problems = Vec::new();
    for (folder, allowed) in ARROWS {
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let used = manifest.lines().filter(|line| line.starts_with("goatq-"));
        let used = used.map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default());
        problems.extend(used.filter(|name| !allowed.contains(name)).map(|name| format!("{folder} uses {name}")));
    }
    none(problems, "dependencies against the arrows:");
}

#[test]
fn rules_are_pure() {
    let gone = PURE.iter().filter(|room| !root().join(room).exists());
    none(
        gone.map(|room| room.to_string()).collect(),
        "rooms of rules that no longer exist (mend the list in tidy.rs):",
    );
    let mut problems = Vec::new();
    for (name, text) in sources() {
        let in_room = PURE.iter().any(|room| name == *room || name.starts_with(&format!("{room}/")));
        if !in_room || is_test(&name) {
            continue;
        }
        let rules = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in rules.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let found = IMPURE.iter().filter(|word| code.contains(**word));
            problems.extend(found.map(|word| format!("{name}:{}: {word}", number + 1)));
        }
    }
    none(problems, "rule files that reach for the outside world:");
}

#[test]
fn names_say_what_things_are() {
    let vague = |part: &str| matches!(part, "manager" | "helper" | "helpers" | "util" | "utils");
    let files = sources().into_keys().filter(|name| {
        let stem = Path::new(name).file_stem().unwrap().to_string_lossy().to_lowercase();
        stem.split('_').any(vague)
    });
    none(files.collect(), "file names that say nothing:");
    let types = lines_that(|_, line| {
        let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
        matches!(words.next(), Some("struct" | "enum" | "trait" | "type"))
            && words.next().is_some_and(|defined| NAMES.iter().any(|word| defined.contains(word)))
    });
    none(types, "type names that say nothing:");
}

#[test]
fn nothing_is_left_for_later() {
    none(lines_that(|_, line| UNFINISHED.iter().any(|word| line.contains(word))), "unfinished work:");
}

/// Who looks at a watch keeps its writer out; who looks again while a writer waits keeps everybody out, for ever.
#[test]
fn nobody_keeps_looking_at_a_watch() {
    const LOOKS: [&str; 3] = [".borrow()", ".borrow_watched()", ".borrow_and_update()"];
    let keeps = |line: &str| {
        let line = line.trim();
        LOOKS.iter().any(|look| line.starts_with("let ") && line.ends_with(&format!("{look};")))
            || LOOKS.iter().any(|look| line.contains("= &*") && line.ends_with(&format!("{look} {{")))
    };
    let of_a_node = |name: &str| ["storage/", "controller/", "broker/"].iter().any(|part| name.starts_with(part));
    let kept = lines_that(|name, line| of_a_node(name) && !is_test(name) && keeps(line));
    none(kept, "what a watch shows is copied, or used in one expression:");
}

/// A file that no `mod` names is not compiled: it looks alive and is not.
#[test]
fn every_file_is_part_of_its_crate() {
    let sources = sources();
    let mut problems = Vec::new();
    for name in sources.keys().filter(|name| name.contains("/src/") && !name.contains("/fuzz/")) {
        let path = Path::new(name);
        let stem = path.file_stem().unwrap().to_string_lossy();
        let folder = path.parent().unwrap().to_string_lossy().into_owned();
        if matches!(stem.as_ref(), "lib" | "main") || folder.ends_with("/bin") {
            continue;
        }
        let parents = [format!("{folder}.rs"), format!("{folder}/lib.rs"), format!("{folder}/main.rs")];
        let declared = parents.iter().filter_map(|parent| sources.get(parent)).any(|text| {
            // A room may also list its files in one macro call.
            let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect::<Vec<_>>();
            text.contains(&format!("mod {stem};")) || (text.contains('!') && words.contains(&stem.as_ref()))
        });
        if !declared {
            problems.push(name.clone());
        }
    }
    none(problems, "files that no module declares:");
}

/// Only the ring driver and the system calls without a safe form may be unsafe, and every block says why it is sound.
#[test]
fn unsafe_code_is_confined_and_explained() {
    let mut problems = Vec::new();
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if !["unsafe {", "unsafe impl", "unsafe fn"].iter().any(|word| code.contains(word)) {
                continue;
            }
            let before = &lines[number.saturating_sub(6)..number];
            let explained = before.iter().any(|l| l.contains("SAFETY") || l.contains("# Safety"));
            let allowed = name.starts_with("storage/src/io/uring") || name == "storage/src/io/syscall.rs";
            if !allowed || !explained {
                problems.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    none(problems, "unsafe outside storage/src/io/{uring, syscall}, or without its SAFETY reason:");
}
