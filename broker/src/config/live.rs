//! The configuration of a running node: settings that never change plus dynamic ones that do.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use super::build::{Build, listener_hosts_are_loopback};
use super::layers::{Dynamic, Layers};
use super::machine::Machine;
use super::settings::{ConfigErrors, Problem, Settings};
use super::{BrokerConfig, TopicConfig, rules};

/// The current [`BrokerConfig`], replaced as a whole when a dynamic key changes.
#[derive(Debug)]
pub struct LiveConfig {
    settings: Settings,
    machine: Machine,
    current: RwLock<Current>,
    changes: watch::Sender<()>,
}

#[derive(Debug)]
struct Current {
    dynamic: Arc<Dynamic>,
    config: Arc<BrokerConfig>,
}

/// Defaults that follow from the machine or from other settings.
fn derive_defaults(settings: &mut Settings, machine: &Machine) {
    settings.derive("num.network.threads", machine.cores.to_string());
    // Fixed buffers of Kafka's size limit a connection to 100 KiB for each round trip; the kernel sizes them as needed. And a
    // reconnect storm after a restart needs room to wait.
    settings.derive("socket.send.buffer.bytes", "-1".to_owned());
    settings.derive("socket.receive.buffer.bytes", "-1".to_owned());
    settings.derive("socket.listen.backlog.size", "4096".to_owned());
    let listeners = settings.get("listeners").or(settings.default_of("listeners")).unwrap_or_default();
    let names = settings.get("controller.listener.names").or(settings.default_of("controller.listener.names"));
    let controllers: Vec<_> = super::check::list_items(names.unwrap_or_default()).collect();
    let for_clients: Vec<_> = super::check::list_items(listeners)
        .filter(|item| item.split_once("://").is_none_or(|(name, _)| !controllers.contains(&name)))
        .collect();
    // A stray name in a client that anyone can run should not make topics.
    if !listener_hosts_are_loopback(&for_clients.join(",")) {
        settings.derive("auto.create.topics.enable", "false".to_owned());
    }
}

fn build(settings: &Settings, dynamic: &Dynamic, machine: &Machine) -> Result<BrokerConfig, ConfigErrors> {
    let layers = Layers { settings, dynamic };
    let problem =
        |key: &str, what: String| Problem { key: key.to_owned(), origin: settings.origin(key).cloned(), what };
    let config = Build::new(&layers, machine)
        .all()
        .map_err(|error| ConfigErrors(vec![problem(&error.key, error.to_string())]))?;
    let broken = rules::broken(&layers, &config);
    if broken.is_empty() {
        return Ok(config);
    }
    Err(ConfigErrors(broken.into_iter().map(|(key, what)| problem(key, what)).collect()))
}

impl LiveConfig {
    /// The configuration of a node that starts with these settings on this machine, before anything was changed.
    ///
    /// # Errors
    /// All rules between keys that are broken.
    pub fn new(mut settings: Settings, machine: Machine) -> Result<Self, ConfigErrors> {
        derive_defaults(&mut settings, &machine);
        let config = Arc::new(build(&settings, &Dynamic::default(), &machine)?);
        let current = RwLock::new(Current { dynamic: Arc::default(), config });
        Ok(Self { settings, machine, current, changes: watch::Sender::new(()) })
    }

    /// What the node was started with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The values in force now. Cheap; keep the answer for one piece of work, not for ever.
    pub fn current(&self) -> Arc<BrokerConfig> {
        self.current.read().config.clone()
    }

    /// What was changed since the start.
    pub fn dynamic(&self) -> Arc<Dynamic> {
        self.current.read().dynamic.clone()
    }

    /// Whether these dynamic values could come into force.
    ///
    /// # Errors
    /// What is wrong with them in sum; single values are checked before.
    pub fn check(&self, dynamic: &Dynamic) -> Result<(), ConfigErrors> {
        build(&self.settings, dynamic, &self.machine).map(drop)
    }

    /// Puts dynamic values into force.
    ///
    /// # Errors
    /// What is wrong with them; the old values stay then.
    pub fn apply(&self, dynamic: Dynamic) -> Result<Arc<BrokerConfig>, ConfigErrors> {
        let config = Arc::new(build(&self.settings, &dynamic, &self.machine)?);
        *self.current.write() = Current { dynamic: Arc::new(dynamic), config: config.clone() };
        self.changes.send_replace(());
        Ok(config)
    }

    /// Tells when dynamic values came into force.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Runs `read` on the layers as they are now.
    pub fn with_layers<T>(&self, read: impl FnOnce(&Layers<'_>) -> T) -> T {
        let dynamic = self.dynamic();
        read(&Layers { settings: &self.settings, dynamic: &dynamic })
    }

    /// The values of a topic with these overrides (name to text, as the metadata image keeps them).
    pub fn topic(&self, overrides: Option<&BTreeMap<String, String>>) -> Arc<TopicConfig> {
        let none = BTreeMap::new();
        let overrides = overrides.unwrap_or(&none);
        Arc::new(self.with_layers(|layers| TopicConfig::build(overrides, layers)))
    }
}
