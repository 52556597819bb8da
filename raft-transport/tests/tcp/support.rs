//! Hosts for the transport to work for, and sockets that speak its protocol by hand.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use raft_actor::NodeId;
use raft_actor::consensus::{GroupId, Message, PreVoteReply, Term};
use raft_actor::envelope::codec::frame::{Frame, FrameWriter};
use raft_actor::envelope::{Body, Envelope, Forward, ForwardKind, ForwardReply, codec};
use raft_actor::transport::{ClientRequest, Credit, DirectoryId, Hello, Inbound, Incarnation, Refusal, Transport};
use raft_transport::{Count, Tcp, TcpCounters, TcpOptions};
use serde::{Deserialize, Serialize};

/// How long a test waits for what must happen. Only a failing test ever waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn node(id: u64) -> NodeId {
    NodeId::from(id)
}

/// Node `id` of the tests' cluster.
pub(crate) fn hello(id: u64) -> Hello {
    Hello {
        node: node(id),
        cluster: "test".to_owned(),
        incarnation: Incarnation(7),
        directory: DirectoryId(100 + id),
        address: "127.0.0.1:1".to_owned(),
    }
}

/// Limits that let what must time out do so soon.
pub(crate) fn options() -> TcpOptions {
    TcpOptions { reconnect_delay_max: Duration::from_millis(50), ..TcpOptions::default() }
}

/// What a host was told.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    Delivered(Envelope),
    Confirmed(Hello),
    Refused(NodeId, Refusal),
    Unreachable(NodeId),
    HungUp(NodeId),
}

/// A host that lets in members of its cluster and keeps a record.
struct Host {
    hello: Hello,
    events: Mutex<Sender<Event>>,
    /// Credits that are not given back; `None`: all are, at once.
    held: Arc<Mutex<Option<Held>>>,
}

/// Credits that are held back, and those of which messages.
struct Held {
    credits: Vec<Credit>,
    is_held: fn(&Envelope) -> bool,
}

impl Host {
    fn record(&self, event: Event) {
        // The test may be over.
        let _ = self.events.lock().unwrap().send(event);
    }
}

impl Inbound for Host {
    fn admit(&self, hello: &Hello) -> Result<(), Refusal> {
        if hello.cluster != self.hello.cluster {
            return Err(Refusal::Cluster { ours: self.hello.cluster.clone() });
        }
        if hello.incarnation != self.hello.incarnation {
            return Err(Refusal::Incarnation);
        }
        Ok(())
    }

    fn confirmed(&self, by: &Hello) {
        self.record(Event::Confirmed(by.clone()));
    }

    fn refused(&self, by: NodeId, refusal: Refusal) {
        self.record(Event::Refused(by, refusal));
    }

    fn deliver(&self, envelope: Envelope, credit: Credit) {
        if let Some(held) = &mut *self.held.lock().unwrap()
            && (held.is_held)(&envelope)
        {
            held.credits.push(credit);
        }
        self.record(Event::Delivered(envelope));
    }

    fn unreachable(&self, peer: NodeId) {
        self.record(Event::Unreachable(peer));
    }

    fn hung_up(&self, peer: NodeId) {
        self.record(Event::HungUp(peer));
    }

    /// A client gets as many bytes as it asks for.
    fn asked(&self, request: ClientRequest, credit: Credit) {
        let wanted = |bytes: &bytes::Bytes| std::str::from_utf8(bytes).unwrap().parse().unwrap();
        let outcomes = request.forward.requests.iter().map(|bytes| Ok(vec![0; wanted(bytes)].into())).collect();
        (request.replies)(ForwardReply { id: request.forward.id, first: 0, outcomes });
        drop(credit);
    }
}

enum Command {
    Send(Box<Envelope>),
    SetAddress(NodeId, String),
    Forget(NodeId),
    /// Says that all commands before it were carried out.
    Barrier(Sender<()>),
    /// Drops the transport, says so, and lives on.
    Stop(Sender<()>),
}

/// A started transport on a thread of its own.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) address: String,
    pub(crate) counters: Arc<TcpCounters>,
    events: Receiver<Event>,
    commands: tokio::sync::mpsc::UnboundedSender<Command>,
    held: Arc<Mutex<Option<Held>>>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    pub(crate) fn start(id: u64) -> Self {
        Self::start_with(hello(id), options())
    }

    pub(crate) fn start_with(hello: Hello, options: TcpOptions) -> Self {
        Self::start_on(Tcp::bind("127.0.0.1:0").unwrap().options(options), hello)
    }

    pub(crate) fn start_on(tcp: Tcp, mut hello: Hello) -> Self {
        let (id, address, counters) = (hello.node, tcp.address(), tcp.counters());
        hello.address.clone_from(&address);
        let (commands, mut inbox) = tokio::sync::mpsc::unbounded_channel();
        let (events_in, events) = channel();
        let held = Arc::new(Mutex::new(None));
        let host = Arc::new(Host { hello: hello.clone(), events: Mutex::new(events_in), held: Arc::clone(&held) });
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let mut outbound = Some(Box::new(tcp).start(hello, host).unwrap());
                while let Some(command) = inbox.recv().await {
                    match (command, &outbound) {
                        (Command::Send(envelope), Some(outbound)) => drop(outbound.send(*envelope)),
                        (Command::SetAddress(peer, address), Some(outbound)) => outbound.set_address(peer, &address),
                        (Command::Forget(peer), Some(outbound)) => outbound.forget(peer),
                        (Command::Barrier(done), _) => done.send(()).unwrap(),
                        (Command::Stop(done), _) => {
                            outbound = None;
                            done.send(()).unwrap();
                        }
                        (_, None) => panic!("the transport was stopped"),
                    }
                }
            });
        });
        Self { id, address, counters, events, commands, held, thread: Some(thread) }
    }

    fn command(&self, command: Command) {
        assert!(self.commands.send(command).is_ok(), "the node's thread is gone");
    }

    pub(crate) fn send(&self, envelope: Envelope) {
        self.command(Command::Send(Box::new(envelope)));
    }

    pub(crate) fn set_address(&self, peer: NodeId, address: &str) {
        self.command(Command::SetAddress(peer, address.to_owned()));
    }

    pub(crate) fn forget(&self, peer: NodeId) {
        self.command(Command::Forget(peer));
    }

    /// Waits until everything that was to be sent is queued, sent or dropped.
    pub(crate) fn barrier(&self) {
        let (done, reached) = channel();
        self.command(Command::Barrier(done));
        reached.recv_timeout(PATIENCE).unwrap();
    }

    /// Drops the transport while the thread lives on.
    pub(crate) fn stop_transport(&self) {
        let (done, stopped) = channel();
        self.command(Command::Stop(done));
        stopped.recv_timeout(PATIENCE).unwrap();
    }

    /// Connects to `other` and waits until that has let us in.
    pub(crate) fn connect(&self, other: &Self) {
        self.set_address(other.id, &other.address);
        self.confirmed_by(other.id);
    }

    pub(crate) fn count(&self, count: Count) -> u64 {
        self.counters.get(count)
    }

    /// Waits for something; what happens before is skipped.
    pub(crate) fn wait<T>(&self, what: &str, mut is_it: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) => {
                    if let Some(it) = is_it(event) {
                        return it;
                    }
                }
                Err(_) => panic!("node {} waits for {what} in vain; {:?}", self.id, self.counters),
            }
        }
    }

    pub(crate) fn confirmed_by(&self, peer: NodeId) {
        self.wait("a confirmation", |event| matches!(event, Event::Confirmed(by) if by.node == peer).then_some(()));
    }

    pub(crate) fn refused_by(&self, peer: NodeId) -> Refusal {
        self.wait("a refusal", |event| match event {
            Event::Refused(by, refusal) if by == peer => Some(refusal),
            _ => None,
        })
    }

    pub(crate) fn lost(&self, peer: NodeId) {
        let is_lost = |event| event == Event::Unreachable(peer) || event == Event::HungUp(peer);
        self.wait("the loss of a peer", |event| is_lost(event).then_some(()));
    }

    /// Waits until it is told that a peer has hung up.
    pub(crate) fn hung_up(&self, peer: NodeId) {
        self.wait("a peer that hangs up", |event| (event == Event::HungUp(peer)).then_some(()));
    }

    pub(crate) fn delivered(&self) -> Envelope {
        self.wait("a message", |event| match event {
            Event::Delivered(envelope) => Some(envelope),
            _ => None,
        })
    }

    /// What has been delivered so far.
    pub(crate) fn delivered_so_far(&self) -> Vec<Envelope> {
        self.events
            .try_iter()
            .filter_map(|event| match event {
                Event::Delivered(envelope) => Some(envelope),
                _ => None,
            })
            .collect()
    }

    /// Whom it was told to be unreachable so far.
    pub(crate) fn lost_so_far(&self) -> Vec<NodeId> {
        self.events
            .try_iter()
            .filter_map(|event| match event {
                Event::Unreachable(peer) => Some(peer),
                _ => None,
            })
            .collect()
    }

    /// Who has hung up so far.
    pub(crate) fn hung_up_so_far(&self) -> Vec<NodeId> {
        self.events
            .try_iter()
            .filter_map(|event| match event {
                Event::HungUp(peer) => Some(peer),
                _ => None,
            })
            .collect()
    }

    /// Waits until something is so that only counters tell.
    pub(crate) fn eventually(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let pause = Duration::from_millis(2);
        for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
            if is_so(self) {
                return;
            }
            std::thread::sleep(pause);
        }
        panic!("in vain: {what}; {:?}", self.counters);
    }

    /// Gives no credit back from now on.
    pub(crate) fn hold_credit(&self) {
        self.hold_credit_of(|_| true);
    }

    /// The same, but only for some messages.
    pub(crate) fn hold_credit_of(&self, is_held: fn(&Envelope) -> bool) {
        *self.held.lock().unwrap() = Some(Held { credits: Vec::new(), is_held });
    }

    /// How many messages are being processed.
    pub(crate) fn held(&self) -> usize {
        self.held.lock().unwrap().as_ref().map_or(0, |held| held.credits.len())
    }

    pub(crate) fn release_credit(&self) {
        self.held.lock().unwrap().take();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let (closed, _) = tokio::sync::mpsc::unbounded_channel();
        self.commands = closed;
        let result = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            result.unwrap();
        }
    }
}

/// A small message; `mark` tells one from the other.
pub(crate) fn message(from: NodeId, to: NodeId, mark: u64) -> Envelope {
    let reply = PreVoteReply { term: Term::new(mark), granted: true };
    Envelope { from, to, group: GroupId::from(1), body: Body::Raft(Message::PreVoteReply(reply)) }
}

/// A message of about `bytes`.
pub(crate) fn bulky(from: NodeId, to: NodeId, mark: u64, bytes: usize) -> Envelope {
    let requests = vec![vec![0; bytes].into()];
    let forward = Forward { id: mark, timeout_ms: 1, kind: ForwardKind::Write, term: None, requests };
    Envelope { from, to, group: GroupId::from(1), body: Body::Forward(forward) }
}

/// What marks a message of either kind.
pub(crate) fn mark(envelope: &Envelope) -> u64 {
    match &envelope.body {
        Body::Raft(message) => message.term().get(),
        Body::Forward(forward) => forward.id,
        Body::ForwardReply(reply) => reply.id,
        Body::SnapshotChunk(chunk) => chunk.offset,
        Body::SnapshotReply(reply) => reply.received,
        Body::Pulse(pulse) => pulse.run,
    }
}

/// A frame as it goes over the line.
pub(crate) fn frame(envelope: &Envelope) -> Vec<u8> {
    let mut out = Vec::new();
    codec::encode(envelope, u32::MAX, &mut out).unwrap();
    out
}

pub(crate) const GREETING: u8 = 1;
pub(crate) const WELCOME: u8 = 2;
pub(crate) const REFUSED: u8 = 3;

/// The first words, written down a second time: the wire format is a promise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub(crate) magic: String,
    pub(crate) version_min: u8,
    pub(crate) version_max: u8,
    pub(crate) lane: String,
    pub(crate) to: u64,
    pub(crate) hello: Hello,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Welcome {
    pub(crate) version: u8,
    pub(crate) hello: Hello,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) text: String,
}

/// What node `from` says to node `to`.
pub(crate) fn greeting(from: u64, to: NodeId) -> Greeting {
    let (magic, lane) = ("raft-actor".to_owned(), "Raft".to_owned());
    Greeting { magic, version_min: 1, version_max: 1, lane, to: to.get(), hello: hello(from) }
}

pub(crate) fn handshake_frame<H: Serialize>(kind: u8, header: &H) -> Vec<u8> {
    let mut out = Vec::new();
    FrameWriter::begin(&mut out, 0, kind, header, u32::MAX).finish().unwrap();
    out
}

/// A socket in the hands of the test.
pub(crate) struct Raw(pub TcpStream);

impl Raw {
    pub(crate) fn connect(to: &Node) -> Self {
        Self::over(TcpStream::connect(&to.address).unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Connects as node `from` and is let in.
    pub(crate) fn admitted(from: u64, to: &Node) -> Self {
        let mut raw = Self::connect(to);
        raw.write(&handshake_frame(GREETING, &greeting(from, to.id)));
        let (kind, welcome): (u8, Welcome) = raw.read_header();
        assert_eq!((kind, welcome.hello.node, welcome.version), (WELCOME, to.id, 1));
        raw
    }

    /// Sends `greeting` and returns why it is refused.
    pub(crate) fn refused<H: Serialize>(greeting: &H, to: &Node) -> Refusal {
        Self::refused_saying(GREETING, greeting, to)
    }

    /// The same for first words of another kind.
    pub(crate) fn refused_saying<H: Serialize>(kind: u8, greeting: &H, to: &Node) -> Refusal {
        let mut raw = Self::connect(to);
        raw.write(&handshake_frame(kind, greeting));
        let (kind, refused): (u8, Refused) = raw.read_header();
        assert_eq!(kind, REFUSED);
        assert_eq!(refused.text, refused.refusal.to_string());
        raw.wait_closed();
        refused.refusal
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Writes to a peer that may hang up in the middle of it.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    pub(crate) fn read_frame(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut frame).unwrap();
        frame
    }

    /// Reads a frame of the handshake.
    pub(crate) fn read_header<H: serde::de::DeserializeOwned>(&mut self) -> (u8, H) {
        let bytes = self.read_frame();
        let frame = Frame::parse(&bytes, 0).unwrap();
        (frame.kind, frame.header().unwrap())
    }

    /// Waits until the other end has closed the connection without another word.
    pub(crate) fn wait_closed(&mut self) {
        match self.0.read(&mut [0; 1]) {
            Ok(0) => {}
            Ok(_) => panic!("the other end speaks instead of closing"),
            Err(error) if is_closed(&error) => {}
            Err(error) => panic!("the other end does not close: {error}"),
        }
    }

    /// Says that nothing more will come, and waits until the other end has closed as well.
    pub(crate) fn finish(mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
        self.wait_closed();
    }
}

pub(crate) fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// A host under attack, and a peer of it that behaves.
pub(crate) struct Pair {
    pub(crate) target: Node,
    pub(crate) friend: Node,
    next_mark: std::cell::Cell<u64>,
}

impl Pair {
    pub(crate) fn start(options: TcpOptions) -> Self {
        let pair = Self {
            target: Node::start_with(hello(1), options),
            friend: Node::start(2),
            next_mark: std::cell::Cell::new(1_000_000),
        };
        pair.friend.connect(&pair.target);
        pair
    }

    /// The friend still gets through, and nothing else did.
    pub(crate) fn still_serves_only_friends(&self) {
        let mark = self.next_mark.get();
        self.next_mark.set(mark + 1);
        let sent = message(self.friend.id, self.target.id, mark);
        self.friend.send(sent.clone());
        assert_eq!(self.target.delivered(), sent);
    }

    /// The friend still gets through, while node `other` may as well.
    pub(crate) fn still_serves_only_friends_beside(&self, other: u64) {
        let sent = message(self.friend.id, self.target.id, 1);
        self.friend.send(sent.clone());
        let heard = |event| match event {
            Event::Delivered(envelope) if envelope.from != node(other) => Some(envelope),
            _ => None,
        };
        assert_eq!(self.target.wait("the friend", heard), sent);
    }
}
