//! A connection that speaks any version of any API, one request at a time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use goatq_protocol::frame;
use goatq_protocol::wire::Request;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Connection {
    stream: TcpStream,
    client: ByteString,
    correlation_id: i32,
}

impl Connection {
    pub(crate) fn open(address: &str) -> Self {
        Self::open_as(address, "walk")
    }

    /// With this client id, which member ids begin with.
    pub(crate) fn open_as(address: &str, client: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, client: client.into(), correlation_id: 0 }
    }

    pub(crate) fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request);
        self.receive::<R>(version)
    }

    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation_id += 1;
        let frame = frame::encode_request(self.correlation_id, Some(&self.client), request, version).unwrap();
        frame.iter().for_each(|chunk| self.stream.write_all(chunk).unwrap());
    }

    pub(crate) fn receive<R: Request>(&mut self, version: i16) -> R::Response {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap_or_else(|error| panic!("no answer to {:?}: {error}", R::KEY));
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut frame).unwrap();
        let (correlation_id, response) = frame::decode_response(Bytes::from(frame), version).unwrap();
        assert_eq!(correlation_id, self.correlation_id);
        response
    }
}
