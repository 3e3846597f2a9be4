//! Connections of the HTTP server: so many at a time, and none that is silent or slow for ever.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Connections at a time; further ones wait to be accepted.
const CONNECTIONS: usize = 64;
/// A connection ends after this time, whatever it does: scrapers and probes open the next one.
const LIFETIME: Duration = Duration::from_secs(60);
/// Before the next attempt when a connection cannot be accepted, for want of descriptors for example.
const RETRY: Duration = Duration::from_millis(200);

/// A listener with both limits.
pub(super) struct BoundedListener {
    inner: TcpListener,
    places: Arc<Semaphore>,
    lifetime: Duration,
}

impl BoundedListener {
    pub(super) fn new(inner: TcpListener) -> Self {
        Self { inner, places: Arc::new(Semaphore::new(CONNECTIONS)), lifetime: LIFETIME }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        loop {
            // Never closed; without a place nothing is accepted.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { continue };
            match self.inner.accept().await {
                Ok((inner, peer)) => {
                    let end = Box::pin(tokio::time::sleep(self.lifetime));
                    return (BoundedStream { inner, end, _place: place }, peer);
                }
                Err(error) => {
                    tracing::debug!(%error, "an HTTP connection was not accepted");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that fails when its time is over.
pub(super) struct BoundedStream {
    inner: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl BoundedStream {
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_silent_connection_ends_and_makes_room_for_the_next() {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = inner.local_addr().unwrap();
        let places = Arc::new(Semaphore::new(1));
        let mut listener = BoundedListener { inner, places, lifetime: Duration::from_millis(20) };
        let (_first, _second) =
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let (mut silent, _) = listener.accept().await;
        assert_eq!(listener.places.available_permits(), 0);
        assert_eq!(silent.read(&mut [0; 8]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(silent);
        listener.accept().await;
    }
}
