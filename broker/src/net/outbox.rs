//! Replies on their way out of a connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use super::budget::Charge;
use super::service::Reply;
use super::transport::WriteSide;

/// Slices handed to the kernel in one call.
const SLICES: usize = 64;

/// Frames that wait to be written, as the chunks they were made of: payloads are not copied.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The charge of a reply travels with its last chunk.
    chunks: VecDeque<(Bytes, Option<Charge>)>,
    bytes: usize,
    written: u64,
}

impl Outbox {
    pub(super) fn push(&mut self, reply: Reply) {
        let Reply { chunks, mut charge } = reply;
        let last = chunks.len().saturating_sub(1);
        for (at, chunk) in chunks.into_iter().enumerate() {
            self.bytes += chunk.len();
            let charge = if at == last { charge.take() } else { None };
            if !chunk.is_empty() || charge.is_some() {
                self.chunks.push_back((chunk, charge));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes ever written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Writes what the socket takes. Cancel-safe.
    pub(super) async fn write(&mut self, side: &mut WriteSide<'_>) -> io::Result<()> {
        let written = {
            let slices: SmallVec<[IoSlice<'_>; SLICES]> =
                self.chunks.iter().take(SLICES).map(|(chunk, _)| IoSlice::new(chunk)).collect();
            if self.bytes == 0 { 0 } else { side.write(&slices).await? }
        };
        if written == 0 && self.bytes > 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.advance(written);
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        self.written += written as u64;
        while let Some((chunk, _)) = self.chunks.front_mut() {
            if chunk.len() > written {
                chunk.advance(written);
                return;
            }
            written -= chunk.len();
            self.chunks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::budget::MemoryBudget;

    #[test]
    fn partial_writes_keep_the_rest_and_the_charge_until_the_last_byte() {
        let budget = MemoryBudget::new(100);
        let mut outbox = Outbox::default();
        outbox.push(Reply {
            chunks: vec![Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"defg")],
            charge: budget.try_charge(100),
        });
        outbox.push(Reply { chunks: vec![Bytes::from_static(b"hi")], charge: None });
        assert_eq!(outbox.bytes(), 9);
        outbox.advance(4);
        assert_eq!(outbox.chunks.front().map(|(chunk, _)| chunk.clone()), Some(Bytes::from_static(b"efg")));
        assert_eq!(budget.available(), 0);
        outbox.advance(3);
        assert_eq!(budget.available(), 100);
        outbox.advance(2);
        assert!(outbox.is_empty());
        assert_eq!((outbox.bytes(), outbox.written()), (0, 9));
    }
}
