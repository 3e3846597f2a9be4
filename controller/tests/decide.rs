//! Decisions and their replay: by the scripts in `testdata/decide`, and by random commands.
//!
//! Each step of a script decides a request against the image, prints the answer and the records, replays them, and checks that the
//! image can be rebuilt from a snapshot of itself. `REWRITE=1 cargo test -p goatq-controller --test decide` writes the outputs anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "decide/print.rs"]
mod print;
#[path = "decide/properties.rs"]
mod properties;
#[path = "decide/script.rs"]
mod script;

#[test]
fn scripts() {
    datadriven::walk("testdata/decide", |file| {
        let mut world = script::World::default();
        file.run(|case| world.step(case));
    });
}
