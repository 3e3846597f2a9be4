//! Every defect that is planted is found in a few worlds. `cargo test -p goatq-integration --features planted --test planted`.

#![allow(clippy::disallowed_methods, reason = "starts the simulator")]

use std::process::Command;

use goatq_integration::sim::defect::Defect;

/// Where the first world is that shows a defect, if that takes more than a dozen: the hunt begins there, so that the dozens before it need not be
/// gone through each time. Where worlds are made otherwise, it goes on as long as any other.
const FIRST: [(&str, u64); 2] = [("isr-without-epoch", 29), ("stale-controller", 51)];

#[test]
fn every_defect_is_found() {
    for (name, _) in Defect::ALL {
        let first = FIRST.iter().find(|(known, _)| known == name).map_or(1, |(_, seed)| *seed);
        let mut hunt = Command::new(env!("CARGO_BIN_EXE_goatq-sim"));
        let output = hunt.args(["hunt", name, "--first", &first.to_string()]).output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        println!("{text}");
        assert!(output.status.success(), "{text}");
    }
}
