//! One log directory: a folder on one disk that holds partition logs, with its lock, identity, health and checkpoints.

pub mod health;
