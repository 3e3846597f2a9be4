//! A whole node in a test of this crate: real threads and clock, the test's own settings and disk.

use std::sync::Arc;

use goatq_storage::io::Disk;

use super::{NodeOptions, RunningNode};
use crate::clock::SystemClock;
use crate::config::Settings;
use crate::config::machine::Machine;
use crate::config::settings::{Entry, Origin};
use crate::loggers::Loggers;
use crate::net::Transport;
use crate::threads::offload::Offload;
use crate::threads::workers::Workers;

/// Starts a node with these settings, without HTTP, and waits until it serves.
pub(crate) async fn started(settings: &[(&str, &str)], disk: Arc<dyn Disk>) -> RunningNode {
    let entry = |(name, value): &(&str, &str)| Entry {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
        origin: Origin::CommandLine,
    };
    let options = NodeOptions {
        settings: Settings::new(settings.iter().chain([&("http.listener", "")]).map(entry)).expect("legal"),
        machine: Machine::default(),
        clock: Arc::new(SystemClock::new()),
        disk,
        transport: Transport::System,
        workers: Workers::current(),
        offload: Offload::Threads,
        loggers: Loggers::detached(),
        seed: [7; 32],
        planted: None,
    };
    RunningNode::start(options).await.expect("starts")
}
