use std::path::Path;
use std::sync::Arc;

use goatq_storage::io::blocking::BlockingDisk;
use goatq_storage::io::sim::SimDisk;
use goatq_storage::io::{Disk, DiskFile, OpenMode};
use proptest::prelude::*;
use tokio::io::AsyncReadExt;

use super::*;
use crate::net::budget::MemoryBudget;
use crate::net::transport::{SocketConfig, Stream, Transport};

#[test]
fn partial_writes_keep_the_rest_and_the_charge_until_the_last_byte() {
    let budget = MemoryBudget::new(100);
    let mut outbox = Outbox::default();
    outbox.push(Reply {
        chunks: vec![Bytes::from_static(b"abc").into(), Bytes::new().into(), Bytes::from_static(b"defg").into()],
        charge: budget.try_charge(100),
    });
    outbox.push(Reply { chunks: vec![Bytes::from_static(b"hi").into()], charge: None });
    assert_eq!(outbox.bytes(), 9);
    outbox.advance(4);
    assert!(matches!(outbox.chunks.front(), Some((Chunk::Memory(rest), _)) if **rest == *b"efg"));
    assert_eq!(budget.available(), 0);
    outbox.advance(3);
    assert_eq!(budget.available(), 100);
    outbox.advance(2);
    assert!(outbox.is_empty());
    assert_eq!((outbox.bytes(), outbox.written()), (0, 9));
}

/// A connected pair; the buffers are so small that nothing big goes in one call.
async fn pair() -> (Stream, tokio::net::TcpStream) {
    let config = SocketConfig { send_buffer: Some(8 << 10), receive_buffer: None, ..SocketConfig::default() };
    let listener = Transport::System.bind("127.0.0.1:0".parse().unwrap(), &config).unwrap();
    let client = tokio::net::TcpSocket::new_v4().unwrap();
    client.set_recv_buffer_size(8 << 10).unwrap();
    let client = client.connect(listener.address()).await.unwrap();
    (listener.accept().await.unwrap().attach().unwrap(), client)
}

/// Writes all of an outbox; what arrived at the other side, and how the writing ended.
async fn drain(mut outbox: Outbox) -> (Vec<u8>, io::Result<()>) {
    let (mut stream, mut client) = pair().await;
    let reader = tokio::spawn(async move {
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.map(|_| received)
    });
    let mut ended = Ok(());
    {
        let (_, mut side) = stream.split();
        while !outbox.is_empty() && ended.is_ok() {
            ended = tokio::select! {
                biased;
                written = outbox.write(&mut side) => written.map(drop),
                // Whatever it was doing is given up and begun again, as a connection does that has something else to do.
                () = tokio::task::yield_now() => Ok(()),
            };
        }
    }
    drop(stream);
    (reader.await.unwrap().unwrap(), ended)
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn file_on(disk: &dyn Disk, path: &Path, content: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(path, OpenMode::Create).unwrap();
    file.write_at(&[IoSlice::new(content)], 0).unwrap();
    file
}

/// What a reply is made of: bytes in memory, or a part of the file.
fn piece() -> impl Strategy<Value = (bool, usize, usize)> {
    (any::<bool>(), 0..400_000_usize, prop_oneof![0..200_usize, 0..600_000_usize])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any mixture of memory and parts of files arrives as it was, through sendfile or, where there are no descriptors or the
    /// cache is cold, through memory.
    #[test]
    fn what_is_sent_arrives_in_order(pieces in prop::collection::vec(piece(), 1..8), cold in 0..100_u32, real in any::<bool>()) {
        let content = content(1 << 20);
        let dir = tempfile::tempdir().unwrap();
        let file = if real {
            file_on(&BlockingDisk::new(1), &dir.path().join("segment"), &content)
        } else {
            let disk = SimDisk::new(u64::from(cold));
            disk.set_uncached(cold);
            disk.set_slowness(3);
            file_on(&disk, "/segment".as_ref(), &content)
        };
        let budget = MemoryBudget::new(1_000);
        let (mut outbox, mut expected) = (Outbox::default(), Vec::new());
        let mut chunks = Vec::new();
        for (in_file, start, len) in pieces {
            let bytes = &content[start..(start + len).min(content.len())];
            expected.extend_from_slice(bytes);
            chunks.push(match in_file {
                true => Chunk::File(FileRange::new(Arc::clone(&file), start as u64, bytes.len() as u64)),
                false => Chunk::Memory(Bytes::copy_from_slice(bytes)),
            });
        }
        outbox.push(Reply { chunks, charge: budget.try_charge(10) });
        prop_assert_eq!(outbox.bytes(), expected.len());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (received, ended) = runtime.block_on(drain(outbox));
        prop_assert!(ended.is_ok(), "{:?}", ended);
        prop_assert!(received == expected, "{} bytes instead of {}", received.len(), expected.len());
        prop_assert_eq!(budget.available(), 1_000);
    }
}

#[tokio::test]
async fn a_file_that_was_cut_ends_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let disk = BlockingDisk::new(1);
    let real = file_on(&disk, &dir.path().join("segment"), &content(100_000));
    let simulated = file_on(&SimDisk::new(1), "/segment".as_ref(), &content(100_000));
    for file in [real, simulated] {
        let mut outbox = Outbox::default();
        let range = FileRange::new(Arc::clone(&file), 0, 100_000);
        outbox.push(Reply { chunks: vec![Bytes::from_static(b"head").into(), Chunk::File(range)], charge: None });
        file.truncate(40_000).unwrap();
        let (received, ended) = drain(outbox).await;
        assert_eq!(ended.map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
        assert!(received.len() <= 40_004, "nothing is made up");
    }
}

#[tokio::test]
async fn a_removed_file_is_sent_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("segment");
    let disk = BlockingDisk::new(1);
    let file = file_on(&disk, &path, &content(300_000));
    let mut outbox = Outbox::default();
    outbox.push(Reply { chunks: vec![Chunk::File(FileRange::new(file, 1_000, 299_000))], charge: None });
    disk.remove_file(&path).unwrap();
    let (received, ended) = drain(outbox).await;
    assert!(ended.is_ok());
    assert_eq!(received, content(300_000)[1_000..]);
}
