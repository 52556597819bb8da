//! A node made by hand: it says what the test wants, in the words of docs/WIRE.md.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use raft_actor::NodeId;
use raft_actor::consensus::GroupId;
use raft_actor::envelope::codec::frame::{Frame, FrameWriter};
use raft_actor::envelope::{Body, Envelope, Forward, ForwardError, ForwardReply, codec};
use raft_actor::transport::{DirectoryId, Hello, Incarnation};
use serde::{Deserialize, Serialize};

/// How long a test waits for what must happen. Only a failing test ever waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

const WELCOME: u8 = 2;
const CLIENT_GREETING: u8 = 4;

/// Written down a second time: the wire format is a promise.
#[derive(Debug, Deserialize)]
struct ClientGreeting {
    magic: String,
    version_min: u8,
    version_max: u8,
    cluster: String,
}

#[derive(Debug, Serialize)]
struct ClientWelcome {
    version: u8,
    hello: Hello,
    members: BTreeMap<NodeId, String>,
}

pub(crate) struct FakeNode {
    id: u64,
    listener: TcpListener,
}

impl FakeNode {
    pub(crate) fn new(id: u64) -> Self {
        Self { id, listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub(crate) fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Waits for a client and lets it in.
    pub(crate) fn admit(&self) -> Line {
        self.admit_telling(&[])
    }

    /// The same, and tells it where others are.
    pub(crate) fn admit_telling(&self, others: &[&Self]) -> Line {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = Line { node: self.id, stream };
        let bytes = line.frame().expect("a greeting");
        let frame = Frame::parse(&bytes, 0).unwrap();
        assert_eq!(frame.kind, CLIENT_GREETING);
        let greeting: ClientGreeting = frame.header().unwrap();
        let said = (greeting.magic.as_str(), greeting.version_min, greeting.version_max, greeting.cluster.as_str());
        assert_eq!(said, ("raft-actor", 1, 1, "sum"));
        let hello = Hello {
            node: NodeId::from(self.id),
            cluster: "sum".to_owned(),
            incarnation: Incarnation(7),
            directory: DirectoryId(self.id),
            address: self.address(),
        };
        let members = others.iter().map(|other| (NodeId::from(other.id), other.address())).collect();
        let mut out = Vec::new();
        let welcome = ClientWelcome { version: 1, hello, members };
        FrameWriter::begin(&mut out, 0, WELCOME, &welcome, 4096).finish().unwrap();
        line.stream.write_all(&out).unwrap();
        line
    }
}

/// A connection of a client.
pub(crate) struct Line {
    node: u64,
    stream: TcpStream,
}

impl Line {
    /// `None`: the client has hung up.
    fn frame(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).ok()?;
        Some(frame)
    }

    /// The next thing that the client wants.
    pub(crate) fn asked(&mut self) -> Forward {
        let bytes = self.frame().expect("the client asks something");
        match codec::decode(&bytes).unwrap().body {
            Body::Forward(forward) => forward,
            other => panic!("no request: {other:?}"),
        }
    }

    /// Answers all of it alike.
    pub(crate) fn answer(&mut self, forward: &Forward, outcome: Result<u64, ForwardError>) {
        let outcome = outcome.map(|sum| raft_actor::remote::encode(&sum).unwrap());
        self.answer_with(forward, vec![outcome; forward.requests.len()]);
    }

    pub(crate) fn answer_with(&mut self, forward: &Forward, outcomes: Vec<Result<Bytes, ForwardError>>) {
        let body = Body::ForwardReply(ForwardReply { id: forward.id, first: 0, outcomes });
        let (from, to) = (NodeId::from(self.node), NodeId::from(0));
        let mut out = Vec::new();
        codec::encode(&Envelope { from, to, group: GroupId::from(1), body }, u32::MAX, &mut out).unwrap();
        self.stream.write_all(&out).unwrap();
    }

    /// Waits until the client hangs up.
    pub(crate) fn left(mut self) {
        assert!(self.frame().is_none(), "the client stays");
    }
}

/// What a command of a session says of itself, by docs/SESSIONS.md: flags, sequence, acknowledged, client.
pub(crate) fn session_of(command: &[u8]) -> (u8, u64, u64, String) {
    assert_eq!(command[0], 1, "a command of a session");
    let number = |at: usize| u64::from_le_bytes(command[at..at + 8].try_into().unwrap());
    let length = usize::from(command[30]);
    (command[13], number(14), number(22), String::from_utf8(command[31..31 + length].to_vec()).unwrap())
}
