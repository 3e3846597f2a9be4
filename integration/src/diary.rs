//! What librdkafka says of itself: the last of it, for who wants to know why a client stands still.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, ClientContext};

/// Lines that are kept.
const LINES: usize = 1_000;
/// What is said of every record and request.
const NOISE: [&str; 2] = ["CONSUME", "FETCH"];

/// The last lines of a client. Clones are the same.
#[derive(Clone, Debug)]
pub struct Diary {
    whose: &'static str,
    begun: Instant,
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Diary {
    /// For a client of this configuration, about these subjects (`debug`), or none.
    pub fn of(whose: &'static str, config: &mut ClientConfig, subjects: &str) -> Self {
        if !subjects.is_empty() {
            config.set("debug", subjects).set_log_level(RDKafkaLogLevel::Debug);
        }
        Self { whose, begun: Instant::now(), lines: Arc::default() }
    }

    /// Writes down something else.
    pub fn note(&self, text: &str) {
        let mut lines = self.lines.lock();
        if lines.len() >= LINES {
            lines.pop_front();
        }
        lines.push_back(format!("{:.3} {text}", self.begun.elapsed().as_secs_f64()));
    }

    /// Prints it, and begins anew.
    pub fn print(&self) {
        self.lines.lock().drain(..).for_each(|line| println!("{}: {line}", self.whose));
    }
}

impl ClientContext for Diary {
    fn log(&self, _: RDKafkaLogLevel, subject: &str, text: &str) {
        if !NOISE.contains(&subject) {
            self.note(&format!("{subject} {text}"));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&format!("ERROR {error}: {reason}"));
    }
}

impl ConsumerContext for Diary {}
