//! Every defect that is planted is found in a few worlds. `cargo test -p goatq-integration --features planted --test planted`.

#![allow(clippy::disallowed_methods, reason = "starts the simulator")]

use std::process::Command;

use goatq_integration::sim::defect::Defect;

#[test]
fn every_defect_is_found() {
    for (name, _) in Defect::ALL {
        let mut hunt = Command::new(env!("CARGO_BIN_EXE_goatq-sim"));
        let output = hunt.args(["hunt", name]).output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        println!("{text}");
        assert!(output.status.success(), "{text}");
    }
}
