//! What happened, in order: a hash of all of it, and the last of it in words.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Lines that are kept for people.
const LINES: usize = 400;

/// A trace. Two runs are the same if their hashes are.
#[derive(Debug, Default)]
pub struct Trace {
    hash: DefaultHasher,
    lines: VecDeque<String>,
    /// Prints every line as it comes.
    pub loud: bool,
}

impl Trace {
    /// Something happened.
    pub fn note(&mut self, at: Duration, what: fmt::Arguments<'_>) {
        let line = format!("{:>10.3} {what}", at.as_secs_f64());
        line.hash(&mut self.hash);
        if self.loud {
            println!("{line}");
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The hash of all lines.
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// The last lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}
