//! Connections and the limits they run into.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::Metric;
use super::topics::Count;
use crate::net::budget::MemoryBudget;

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Level(AtomicI64);

impl Level {
    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Replaces the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Connections of one listener.
#[derive(Debug, Default)]
pub struct ListenerCounts {
    /// Connections open now.
    pub connections: Level,
    /// Connections accepted since the start.
    pub accepted: Count,
    /// Connections closed because of a limit (total, per address, rate, files).
    pub refused: Count,
    /// Connections closed because what came was not a valid request.
    pub protocol_errors: Count,
    /// Connections closed because nothing came, a frame took too long, or replies were not read.
    pub timed_out: Count,
}

/// Connections by listener, and what all connections share.
#[derive(Debug, Default)]
pub struct NetworkMetrics {
    listeners: RwLock<BTreeMap<String, Arc<ListenerCounts>>>,
    /// Requests being worked on, in all connections.
    pub requests_in_flight: Level,
    /// What requests in flight are charged to, once there is a server.
    request_memory: OnceLock<MemoryBudget>,
}

impl NetworkMetrics {
    /// The counters of a listener, made when they are missing. Listeners come from the configuration, so are few.
    pub fn listener(&self, name: &str) -> Arc<ListenerCounts> {
        self.listeners.write().entry(name.to_owned()).or_default().clone()
    }

    /// Shows how much of this budget is in use. The first one stays.
    pub fn watch_memory(&self, budget: MemoryBudget) {
        self.request_memory.get_or_init(|| budget);
    }
}

type Read = fn(&ListenerCounts) -> u64;

impl Collector for NetworkMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let listeners = self.listeners.read();
        let name = "kafka_server_socket_server_metrics_connection_count";
        let mut open = Metric::gauge(&mut encoder, name, "Connections open now.")?;
        for (listener, counts) in listeners.iter() {
            open.whole(&[("listener", listener)], counts.connections.get())?;
        }
        let counters: [(&str, &str, Read); 4] = [
            ("creation", "Connections accepted.", |c| c.accepted.get()),
            ("refused", "Connections closed by a limit.", |c| c.refused.get()),
            ("protocol_error", "Connections closed for input that is not a request.", |c| c.protocol_errors.get()),
            ("timeout", "Connections closed for idleness, slow frames or unread replies.", |c| c.timed_out.get()),
        ];
        for (what, help, read) in counters {
            let family = format!("kafka_server_socket_server_metrics_connection_{what}");
            let mut metric = Metric::counter(&mut encoder, &family, help)?;
            for (listener, counts) in listeners.iter() {
                metric.count(&[("listener", listener)], read(counts))?;
            }
        }
        let memory = self.request_memory.get().map_or(0, |budget| budget.total().saturating_sub(budget.available()));
        let levels = [
            ("kafka_network_requestchannel_requestqueuesize", "Requests in flight.", self.requests_in_flight.get()),
            (
                "goatq_request_memory_bytes",
                "Bytes held by requests in flight.",
                i64::try_from(memory).unwrap_or(i64::MAX),
            ),
        ];
        for (family, help, level) in levels {
            Metric::gauge(&mut encoder, family, help)?.whole(&[], level)?;
        }
        Ok(())
    }
}
