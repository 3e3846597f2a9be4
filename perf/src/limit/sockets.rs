//! Bytes from and to a connection over loopback. The other end is another thread, whose CPU time does not count.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::limit::files::{self, Aligned, Rotation, Target};
use crate::limit::line::{Amounts, Meter};
use crate::limit::{MIB, Scope, size_name};

/// Bytes that the other end writes or reads at once.
const PEER_BYTES: usize = 256 << 10;
/// What is sent lies in the page cache.
const SENT_FILE: u64 = 256 << 20;
/// Direct writes gather this much.
const DIRECT_BYTES: usize = MIB;

/// How bytes get from the page cache to a socket, and how many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ReadWrite(usize),
    SendFile(usize),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadWrite(bytes) => write!(f, "read and write {}", size_name(*bytes)),
            Self::SendFile(bytes) => write!(f, "sendfile {}", size_name(*bytes)),
        }
    }
}

/// Receives frames, and does with each what a broker must: its checksum, and a write.
pub(crate) fn receive(scope: &Scope, folder: &Path, crc: bool, target: Option<Target>) -> Result<Amounts> {
    let mut rotation = target.map(|target| Rotation::new(folder, target, scope.bytes)).transpose()?;
    // Frames gather in the buffer that is written.
    let frames = if target == Some(Target::RecycledDirect) { (DIRECT_BYTES / scope.frame).max(1) } else { 1 };
    let mut buffer = Aligned::new(frames * scope.frame);
    let mut serve = |stream: &mut TcpStream| -> Result<u64> {
        for frame in buffer.slice_mut().chunks_exact_mut(scope.frame) {
            stream.read_exact(frame)?;
            if crc {
                std::hint::black_box(crc32c::crc32c(frame));
            }
        }
        if let Some(rotation) = &mut rotation {
            rotation.write(buffer.slice())?;
        }
        Ok(buffer.slice().len() as u64)
    };
    let bounded = if target == Some(Target::NewFiles) { scope.bytes } else { u64::MAX };
    against(feed, |stream| during(scope.time, bounded, || serve(stream)))
}

/// Sends a file that is in the page cache, over and over.
pub(crate) fn send(scope: &Scope, folder: &Path, way: Way) -> Result<Amounts> {
    let size = SENT_FILE.min(scope.bytes);
    let file = files::written(&folder.join("sent"), size)?;
    let mut buffer = Vec::new();
    let mut position = 0;
    against(drain, |stream| {
        during(scope.time, u64::MAX, || {
            let sent = send_some(stream, &file, way, position, &mut buffer)?;
            position = if position + sent >= size { 0 } else { position + sent };
            Ok(sent)
        })
    })
}

fn send_some(stream: &mut TcpStream, file: &File, way: Way, from: u64, buffer: &mut Vec<u8>) -> Result<u64> {
    match way {
        Way::ReadWrite(bytes) => {
            buffer.resize(bytes, 0);
            let read = file.read_at(buffer, from)?;
            stream.write_all(&buffer[..read])?;
            Ok(read as u64)
        }
        Way::SendFile(bytes) => {
            let mut from = from;
            Ok(rustix::fs::sendfile(stream, file, Some(&mut from), bytes)? as u64)
        }
    }
}

/// Connects `peer` to `serve`, which runs on this thread; the peer ends when the connection does.
fn against(peer: fn(SocketAddr), serve: impl FnOnce(&mut TcpStream) -> Result<Amounts>) -> Result<Amounts> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening on loopback")?;
    let address = listener.local_addr()?;
    std::thread::scope(|scope| {
        scope.spawn(move || peer(address));
        let mut stream = listener.accept()?.0;
        stream.set_nodelay(true)?;
        serve(&mut stream)
    })
}

fn feed(address: SocketAddr) {
    let block = Aligned::new(PEER_BYTES);
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    while stream.write_all(block.slice()).is_ok() {}
}

fn drain(address: SocketAddr) {
    let mut block = vec![0; PEER_BYTES];
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    loop {
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
}

/// Repeats `work`, which returns the bytes it has moved: first a tenth of the time unmeasured, then for all of it or until
/// `bytes` have been moved.
fn during(time: Duration, bytes: u64, mut work: impl FnMut() -> Result<u64>) -> Result<Amounts> {
    let mut moved = 0;
    let meter = Meter::start();
    while meter.elapsed() < time / 10 && moved < bytes / 2 {
        moved += work()?;
    }
    let (meter, before, mut operations) = (Meter::start(), moved, 0);
    while operations == 0 || (meter.elapsed() < time && moved < bytes) {
        moved += work()?;
        operations += 1;
    }
    Ok(meter.amounts(moved - before, operations))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_by_time_or_by_bytes() {
        let amounts = during(Duration::from_secs(3600), 100, || Ok(10)).unwrap();
        assert_eq!((amounts.bytes, amounts.operations), (50, 5));
        let amounts = during(Duration::from_millis(2), u64::MAX, || Ok(1)).unwrap();
        assert!(amounts.operations > 0 && amounts.bytes == amounts.operations);
        let amounts = during(Duration::ZERO, 0, || Ok(7)).unwrap();
        assert_eq!((amounts.bytes, amounts.operations), (7, 1));
    }
}
