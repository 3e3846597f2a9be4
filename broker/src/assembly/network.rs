//! The network's settings, from the configuration.

use crate::config::broker::NetworkConfig;
use crate::net::budget::MemoryBudget;
use crate::net::connection::ConnectionConfig;
use crate::net::deadlines::DeadlineConfig;
use crate::net::limits::LimitConfig;
use crate::net::server::NetConfig;
use crate::net::transport::SocketConfig;

/// Limits on connections: all of them can change while the node runs.
pub(super) fn limits(config: &NetworkConfig) -> LimitConfig {
    LimitConfig {
        max_connections: config.max_connections,
        max_per_ip: config.max_connections_per_ip,
        per_ip_overrides: config.max_connections_per_ip_overrides.clone(),
        max_creation_rate: config.max_connection_creation_rate,
    }
}

/// What is asked of the kernel.
pub(super) fn sockets(config: &NetworkConfig) -> SocketConfig {
    SocketConfig { backlog: config.backlog, send_buffer: config.send_buffer, receive_buffer: config.receive_buffer }
}

/// All settings of the network.
pub(super) fn net_config(config: &NetworkConfig) -> NetConfig {
    let deadlines = DeadlineConfig {
        idle: config.idle_timeout,
        frame: config.frame_timeout,
        stalled: config.send_timeout,
        ..DeadlineConfig::default()
    };
    NetConfig {
        connection: ConnectionConfig {
            max_frame: config.request_max_bytes,
            max_in_flight: config.max_in_flight,
            deadlines,
            ..ConnectionConfig::default()
        },
        limits: limits(config),
        request_budget: MemoryBudget::new(usize::try_from(config.request_memory_bytes).unwrap_or(usize::MAX)),
    }
}
