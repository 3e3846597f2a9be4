//! Listeners, connections and frames. It knows nothing of APIs: a [`Service`] answers the frames.

pub mod budget;
pub mod close;
pub mod connection;
pub mod deadlines;
pub mod frames;
pub mod info;
pub mod limits;
pub mod outbox;
mod seats;
pub mod server;
pub mod service;
pub mod timer;
pub mod transport;

pub use close::CloseReason;
pub use connection::ConnectionConfig;
pub use deadlines::DeadlineConfig;
pub use info::ConnectionInfo;
pub use limits::LimitConfig;
pub use server::{BindError, BoundListeners, NetConfig, Server};
pub use service::{Chunk, Outcome, Reply, Service, Started};
pub use transport::{SocketConfig, Transport};
