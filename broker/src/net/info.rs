//! What is known about a connection.

use std::net::SocketAddr;
use std::sync::OnceLock;

use super::timer::LazyTimer;

/// Who is at the other end of a connection and how it came in.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// Number of the connection, unique while the node runs.
    pub id: u64,
    /// Name of the listener it came in on, e.g. `PLAINTEXT`.
    pub listener: String,
    /// Address of the peer.
    pub peer: SocketAddr,
    /// Principal of the peer as `Type:name`; [`Self::ANONYMOUS`] without authentication.
    pub principal: String,
    /// The node of the cluster that the peer proved to be, once it has.
    pub node: OnceLock<i32>,
    /// For what its requests wait for.
    pub timer: LazyTimer,
}

impl ConnectionInfo {
    /// The principal of a peer that did not authenticate.
    pub const ANONYMOUS: &str = "User:ANONYMOUS";
}
