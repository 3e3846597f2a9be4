//! What the balancer is told: by the node's configuration, and for the whole cluster at run time, which counts more.

use std::{collections::BTreeSet, str::FromStr, time::Duration};

use crate::image::{ConfigResource, ConfigsImage};

/// The configuration with the ids of brokers that shall have no replicas, set at run time for the whole cluster.
pub const DRAIN: &str = "balancer.drain";

/// How much the balancer does by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BalanceMode {
    /// Nothing.
    Off,
    /// It replaces what a lost broker held, and empties brokers that are drained.
    Repair,
    /// It keeps brokers even besides.
    #[default]
    Even,
}

impl FromStr for BalanceMode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "off" => Ok(BalanceMode::Off),
            "repair" => Ok(BalanceMode::Repair),
            "even" => Ok(BalanceMode::Even),
            other => Err(format!("{other:?} is none of off, repair and even")),
        }
    }
}

/// What the balancer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceSettings {
    /// `balancer.mode`.
    pub mode: BalanceMode,
    /// `balancer.repair.delay.ms`: a broker that is away for longer is lost.
    pub repair_delay: Duration,
    /// `balancer.interval.ms`: how often the balancer looks whether brokers are even.
    pub interval: Duration,
    /// `balancer.moves.per.broker`: replicas that one broker gets at a time.
    pub moves_per_broker: usize,
    /// `balancer.drain`: brokers that shall have no replicas.
    pub drain: BTreeSet<i32>,
    /// `auto.leader.rebalance.enable`: whether preferred leaders get back what they led.
    pub restore_leaders: bool,
    /// `leader.imbalance.check.interval.seconds`: how often.
    pub leader_interval: Duration,
}

impl Default for BalanceSettings {
    fn default() -> Self {
        BalanceSettings {
            mode: BalanceMode::Even,
            repair_delay: Duration::from_secs(600),
            interval: Duration::from_secs(300),
            moves_per_broker: 10,
            drain: BTreeSet::new(),
            restore_leaders: true,
            leader_interval: Duration::from_secs(300),
        }
    }
}

impl BalanceSettings {
    /// These, but for what is set at run time. What was set and cannot be read does not count.
    #[must_use]
    pub fn at_run_time(&self, configs: &ConfigsImage) -> Self {
        let value = |key| configs.value(&ConfigResource::all_brokers(), key);
        let time = |key, otherwise| value(key).and_then(|ms| ms.parse().ok()).map_or(otherwise, Duration::from_millis);
        let mut drain = self.drain.clone();
        drain.extend(drained(configs));
        BalanceSettings {
            mode: value("balancer.mode").and_then(|mode| mode.parse().ok()).unwrap_or(self.mode),
            repair_delay: time("balancer.repair.delay.ms", self.repair_delay),
            interval: time("balancer.interval.ms", self.interval),
            moves_per_broker: value("balancer.moves.per.broker")
                .and_then(|moves| moves.parse().ok())
                .unwrap_or(self.moves_per_broker),
            drain,
            restore_leaders: self.restore_leaders,
            leader_interval: self.leader_interval,
        }
    }
}

/// Brokers that shall have no replicas, as set at run time.
pub fn drained(configs: &ConfigsImage) -> BTreeSet<i32> {
    let value = configs.value(&ConfigResource::all_brokers(), DRAIN).unwrap_or_default();
    value.split(',').filter_map(|id| id.trim().parse().ok()).collect()
}
