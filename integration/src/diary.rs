//! What librdkafka says of itself: the last of it, for who wants to know why a client stands still. All of it goes to files in the folder
//! that `GOATQ_DIARIES` names, where the fault matrix leaves the logs of its nodes, too.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, ClientContext};

/// Lines that are kept.
const LINES: usize = 1_000;
/// Whose heartbeats and queries are told every few seconds.
const MAIN: &str = "[thrd:main]";
/// What is said of every record and request.
const NOISE: [&str; 2] = ["CONSUME", "FETCH"];

/// Where everything is kept, if it is to be.
pub fn shelf() -> Option<PathBuf> {
    std::env::var_os("GOATQ_DIARIES").map(PathBuf::from)
}

/// The last lines of a client. Clones are the same.
#[derive(Clone, Debug)]
pub struct Diary {
    whose: &'static str,
    begun: Instant,
    lines: Arc<Mutex<VecDeque<String>>>,
    last: Arc<Mutex<Instant>>,
    file: Option<Arc<File>>,
}

impl Diary {
    /// For a client of this configuration, about these subjects (`debug`), or none.
    pub fn of(whose: &'static str, config: &mut ClientConfig, subjects: &str) -> Self {
        if !subjects.is_empty() {
            config.set("debug", subjects).set_log_level(RDKafkaLogLevel::Debug);
        }
        let file =
            shelf().and_then(|folder| OpenOptions::new().create(true).append(true).open(folder.join(whose)).ok());
        let begun = Instant::now();
        Self { whose, begun, lines: Arc::default(), last: Arc::new(Mutex::new(begun)), file: file.map(Arc::new) }
    }

    /// Writes down something else.
    pub fn note(&self, text: &str) {
        if text.contains(MAIN) {
            *self.last.lock() = Instant::now();
        }
        let mut lines = self.lines.lock();
        if lines.len() >= LINES {
            lines.pop_front();
        }
        let line = format!("{:.3} {text}", self.begun.elapsed().as_secs_f64());
        if let Some(file) = &self.file {
            // A line that cannot be written is kept all the same.
            let _ = writeln!(&**file, "{line}");
        }
        lines.push_back(line);
    }

    /// For how long the thread said nothing on which all else depends.
    pub fn main_is_silent_for(&self) -> Duration {
        self.last.lock().elapsed()
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
