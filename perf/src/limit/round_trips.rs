//! Small requests and their answers: what a thread spends on one when nothing has to be done for it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::event::epoll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::limit::line::{Amounts, Meter};

/// A produce request with one record of 1 KiB, and its answer.
const REQUEST: usize = 1150;
const ANSWER: usize = 60;

/// How the serving thread waits for requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Blocking,
    Epoll,
    Tokio,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocking => "blocking",
            Self::Epoll => "epoll",
            Self::Tokio => "tokio",
        })
    }
}

/// Serves requests for `time`. The other thread has one request under way on each connection.
pub(crate) fn measure(time: Duration, server: Server, connections: usize) -> Result<Amounts> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening on loopback")?;
    let address = listener.local_addr()?;
    std::thread::scope(|scope| {
        // It ends when its connections do.
        scope.spawn(move || ask(address, connections));
        let mut streams = Vec::with_capacity(connections);
        for _ in 0..connections {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let (meter, count) = match server {
            Server::Blocking => blocking(&mut streams, time)?,
            Server::Epoll => by_epoll(&mut streams, time)?,
            Server::Tokio => by_tokio(streams, time)?,
        };
        Ok(meter.amounts(0, count))
    })
}

fn ask(address: SocketAddr, connections: usize) {
    let streams = (0..connections).map(|_| {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    let Ok(mut streams) = streams.collect::<std::io::Result<Vec<TcpStream>>>() else { return };
    let (request, mut answer) = ([1; REQUEST], [0; ANSWER]);
    loop {
        for stream in &mut streams {
            if stream.write_all(&request).is_err() {
                return;
            }
        }
        for stream in &mut streams {
            if stream.read_exact(&mut answer).is_err() {
                return;
            }
        }
    }
}

fn blocking(streams: &mut [TcpStream], time: Duration) -> Result<(Meter, u64)> {
    let meter = Meter::start();
    let mut count = 0;
    let mut request = [0; REQUEST];
    while meter.elapsed() < time || count == 0 {
        for stream in &mut *streams {
            stream.read_exact(&mut request)?;
            stream.write_all(&[2; ANSWER])?;
            count += 1;
        }
    }
    Ok((meter, count))
}

fn by_epoll(streams: &mut [TcpStream], time: Duration) -> Result<(Meter, u64)> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut received = BTreeMap::new();
    for (index, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true)?;
        epoll::add(&poll, stream, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
        received.insert(index, 0);
    }
    let mut received: Vec<usize> = received.into_values().collect();
    let mut events = Vec::with_capacity(streams.len());
    let mut buffer = [0; 4 * REQUEST];
    let meter = Meter::start();
    let mut count = 0;
    while meter.elapsed() < time || count == 0 {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let index = event.data.u64() as usize;
            let read = match streams[index].read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                read => read?,
            };
            ensure!(read > 0, "the other end is gone");
            received[index] += read;
            while received[index] >= REQUEST {
                received[index] -= REQUEST;
                // An answer always fits: there is one under way.
                streams[index].write_all(&[2; ANSWER])?;
                count += 1;
            }
        }
    }
    Ok((meter, count))
}

fn by_tokio(streams: Vec<TcpStream>, time: Duration) -> Result<(Meter, u64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = std::cell::Cell::new(0);
    let meter = Meter::start();
    runtime.block_on(async {
        let tasks = tokio::task::LocalSet::new();
        let (done, mut served) = tokio::sync::mpsc::unbounded_channel();
        for stream in streams {
            stream.set_nonblocking(true)?;
            let mut stream = tokio::net::TcpStream::from_std(stream)?;
            let done = done.clone();
            tasks.spawn_local(async move {
                let mut request = [0; REQUEST];
                let mut count = 0_u64;
                let deadline = tokio::time::sleep(time);
                let serve = async {
                    while stream.read_exact(&mut request).await.is_ok() && stream.write_all(&[2; ANSWER]).await.is_ok()
                    {
                        count += 1;
                    }
                };
                tokio::select! {
                    () = serve => {}
                    () = deadline => {}
                }
                // The receiver outlives all tasks.
                done.send(count).ok();
            });
        }
        drop(done);
        tasks.await;
        while let Some(served) = served.recv().await {
            count.set(count.get() + served);
        }
        anyhow::Ok(())
    })?;
    Ok((meter, count.get()))
}
