//! The partition log from outside: scripts, a model, files of a real Kafka.

#[path = "log/bench.rs"]
mod bench;
#[path = "log/scripts.rs"]
mod scripts;
