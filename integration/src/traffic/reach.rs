//! How clients reach nodes, and what time it is to them: the seam between simulated and real.

use std::io;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection.
pub trait Socket: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket for S {}

/// A network and clocks.
pub trait Reach {
    /// Connects to the listener for clients of a node.
    fn connect(&self, node: i32) -> LocalBoxFuture<'_, io::Result<Box<dyn Socket>>>;

    /// Time since the begin.
    fn now(&self) -> Duration;

    /// Wall time, ms.
    fn wall_ms(&self) -> i64;
}
