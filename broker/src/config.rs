//! Configuration: one table of keys, the places values come from, and typed views of the result.
//!
//! Names and defaults are Kafka's. Order of truth for a broker key: per-broker dynamic, cluster-wide dynamic, the
//! node's own settings (file, environment, `--set`), built-in default; a topic's own value wins over all.

pub mod broker;
mod build;
pub mod check;
pub mod describe;
pub mod key;
pub mod layers;
pub mod listener;
pub mod live;
pub mod machine;
mod quorum;
mod rules;
pub mod settings;
pub mod table;
pub mod throttled;
pub mod topic;
pub mod validator;

pub use broker::BrokerConfig;
pub use live::LiveConfig;
pub use settings::Settings;
pub use topic::TopicConfig;

#[cfg(test)]
mod tests;
