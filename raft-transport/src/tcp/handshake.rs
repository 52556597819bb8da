//! The first words on a connection.
//!
//! Who opened it introduces itself with a [`Greeting`]; the other end answers
//! [`Welcome`] or [`Refused`] and, in the latter case, closes. All three are
//! frames of version 0, and these frames never change their layout, so that
//! builds of any age can tell each other why they do not get along. Their
//! headers may gain fields. A client, who is no host, says [`ClientGreeting`] in place of the Greeting.

use std::collections::BTreeMap;
use std::io;

use raft_actor::NodeId;
use raft_actor::envelope::codec::frame::{Frame, FrameError, FrameWriter, LENGTH_BYTES};
use raft_actor::envelope::codec::{VERSION, VERSION_MIN};
use raft_actor::transport::{Hello, Refusal};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The frame version of the handshake, whatever is spoken afterwards.
const HANDSHAKE_VERSION: u8 = 0;
/// Most bytes of a frame of the handshake.
pub(super) const HANDSHAKE_BYTES_MAX: u32 = 4096;
/// Tells our protocol from others that happen to have frames like ours.
const MAGIC: &str = "raft-actor";

const GREETING: u8 = 1;
const WELCOME: u8 = 2;
const REFUSED: u8 = 3;
const CLIENT_GREETING: u8 = 4;

/// Most bytes of addresses that a client is told of.
const MEMBERS_BYTES_MAX: usize = 2048;

/// Which of the connections between two hosts this is. Each has its own
/// queue and credit, so that what is bulky never delays a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Lane {
    /// Messages of Raft, of all groups, and forwarded requests.
    Raft,
    /// Snapshots.
    Bulk,
}

/// Said by the host that opened the connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Greeting {
    magic: String,
    version_min: u8,
    version_max: u8,
    /// What the connection will carry.
    pub(super) lane: Lane,
    /// Whom the speaker expects to find here.
    pub(super) to: NodeId,
    /// Who speaks.
    pub(super) hello: Hello,
}

/// Said by a client that opened the connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ClientGreeting {
    magic: String,
    version_min: u8,
    version_max: u8,
    /// The name of the cluster that the client wants to use.
    pub(crate) cluster: String,
}

/// Whoever has just connected.
pub(super) enum Newcomer {
    /// A host.
    Peer(Box<Greeting>),
    /// A client.
    Client(ClientGreeting),
}

/// The part of a [`Greeting`] that every version has.
#[derive(Deserialize)]
struct Versions {
    magic: String,
    version_min: u8,
    version_max: u8,
}

/// Said by the host that accepted the connection: messages may follow.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Welcome {
    /// The version of all frames that follow.
    version: u8,
    hello: Hello,
}

/// The same, said to a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ClientWelcome {
    /// The version of all frames that follow.
    version: u8,
    /// Who speaks.
    pub(crate) hello: Hello,
    /// Where the other members are, as far as the speaker knows: those that fit.
    #[serde(default)]
    pub(crate) members: BTreeMap<NodeId, String>,
}

/// Said by the host that does not let the other in.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Refused {
    refusal: Refusal,
    /// The same in words, for a build that does not know this refusal.
    text: String,
}

/// The part of [`Refused`] that every version has.
#[derive(Deserialize)]
struct RefusedText {
    text: String,
}

/// Why a handshake led to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error("{bytes} bytes are too many for a handshake")]
    TooLong { bytes: u32 },
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a frame of kind {kind} is no part of a handshake here")]
    Kind { kind: u8 },
    #[error("malformed: {0}")]
    Header(String),
    #[error("this is not the protocol of raft-actor")]
    Magic,
    #[error("no common protocol version")]
    Version,
    #[error("node {found} answered")]
    WrongNode { found: NodeId },
    #[error("{0}")]
    Refused(Refusal),
    #[error("refused by a newer build: {0}")]
    RefusedInWords(String),
}

impl Greeting {
    pub(super) fn new(hello: Hello, to: NodeId, lane: Lane) -> Self {
        Self { magic: MAGIC.to_owned(), version_min: VERSION_MIN, version_max: VERSION, lane, to, hello }
    }
}

impl ClientGreeting {
    fn new(cluster: &str) -> Self {
        let cluster = cluster.to_owned();
        Self { magic: MAGIC.to_owned(), version_min: VERSION_MIN, version_max: VERSION, cluster }
    }
}

impl Newcomer {
    /// Reads what somebody says who has just connected.
    pub(super) async fn read(stream: &mut TcpStream) -> Result<Self, HandshakeError> {
        let bytes = read_frame(stream).await?;
        let frame = Frame::parse(&bytes, HANDSHAKE_VERSION)?;
        if frame.kind != GREETING && frame.kind != CLIENT_GREETING {
            return Err(HandshakeError::Kind { kind: frame.kind });
        }
        let versions: Versions = header(&frame)?;
        if versions.magic != MAGIC {
            return Err(HandshakeError::Magic);
        }
        // Before the rest is read: a version that we do not speak may say it in a way that we do not understand.
        common_version(versions.version_min, versions.version_max).ok_or(HandshakeError::Version)?;
        if frame.kind == CLIENT_GREETING { Ok(Self::Client(header(&frame)?)) } else { Ok(Self::Peer(header(&frame)?)) }
    }
}

/// Introduces ourselves; returns who let us in.
pub(super) async fn greet(stream: &mut TcpStream, greeting: &Greeting) -> Result<Hello, HandshakeError> {
    write_frame(stream, GREETING, greeting).await?;
    let welcome: Welcome = read_answer(stream).await?;
    common_version(welcome.version, welcome.version).ok_or(HandshakeError::Version)?;
    if welcome.hello.node != greeting.to {
        return Err(HandshakeError::WrongNode { found: welcome.hello.node });
    }
    Ok(welcome.hello)
}

/// Introduces a client of `cluster`; returns who lets it in.
pub(crate) async fn greet_as_client(stream: &mut TcpStream, cluster: &str) -> Result<ClientWelcome, HandshakeError> {
    write_frame(stream, CLIENT_GREETING, &ClientGreeting::new(cluster)).await?;
    let welcome: ClientWelcome = read_answer(stream).await?;
    common_version(welcome.version, welcome.version).ok_or(HandshakeError::Version)?;
    Ok(welcome)
}

/// Reads a Welcome, of whichever form.
async fn read_answer<W: serde::de::DeserializeOwned>(stream: &mut TcpStream) -> Result<W, HandshakeError> {
    let bytes = read_frame(stream).await?;
    let frame = Frame::parse(&bytes, HANDSHAKE_VERSION)?;
    match frame.kind {
        WELCOME => header(&frame),
        REFUSED => Err(match header::<Refused>(&frame) {
            Ok(refused) => HandshakeError::Refused(refused.refusal),
            Err(_) => HandshakeError::RefusedInWords(header::<RefusedText>(&frame)?.text),
        }),
        kind => Err(HandshakeError::Kind { kind }),
    }
}

/// Lets somebody in.
pub(super) async fn welcome(stream: &mut TcpStream, hello: &Hello) -> Result<(), HandshakeError> {
    // Only one version exists so far; `common_version` will say which of several.
    write_frame(stream, WELCOME, &Welcome { version: VERSION, hello: hello.clone() }).await
}

/// Lets a client in, and tells it as many of the other members' addresses as fit.
pub(super) async fn welcome_client(
    stream: &mut TcpStream,
    hello: &Hello,
    members: impl Iterator<Item = (NodeId, String)>,
) -> Result<(), HandshakeError> {
    let mut bytes = 0;
    let fit = members.take_while(|(_, address)| {
        bytes += address.len() + size_of::<NodeId>();
        bytes <= MEMBERS_BYTES_MAX
    });
    let welcome = ClientWelcome { version: VERSION, hello: hello.clone(), members: fit.collect() };
    write_frame(stream, WELCOME, &welcome).await
}

/// Says why somebody is not let in. The caller closes.
pub(super) async fn refuse(stream: &mut TcpStream, refusal: &Refusal) -> Result<(), HandshakeError> {
    let text = refusal.to_string();
    write_frame(stream, REFUSED, &Refused { refusal: refusal.clone(), text }).await?;
    Ok(stream.shutdown().await?)
}

/// The newest version that both sides speak.
fn common_version(min: u8, max: u8) -> Option<u8> {
    let version = max.min(VERSION);
    (version >= min && version >= VERSION_MIN).then_some(version)
}

/// Whether `hello` can be said at all: it has to fit into a frame of the handshake.
pub(super) fn fits(hello: &Hello) -> bool {
    let greeting = Greeting::new(hello.clone(), hello.node, Lane::Raft);
    FrameWriter::begin(&mut Vec::new(), HANDSHAKE_VERSION, GREETING, &greeting, HANDSHAKE_BYTES_MAX).finish().is_ok()
}

fn header<H: serde::de::DeserializeOwned>(frame: &Frame<'_>) -> Result<H, HandshakeError> {
    frame.header().map_err(|error| HandshakeError::Header(error.to_string()))
}

async fn write_frame<H: Serialize>(stream: &mut TcpStream, kind: u8, header: &H) -> Result<(), HandshakeError> {
    let mut out = Vec::new();
    FrameWriter::begin(&mut out, HANDSHAKE_VERSION, kind, header, HANDSHAKE_BYTES_MAX)
        .finish()
        .map_err(|too_large| HandshakeError::TooLong { bytes: u32::try_from(too_large.bytes).unwrap_or(u32::MAX) })?;
    Ok(stream.write_all(&out).await?)
}

async fn read_frame(stream: &mut TcpStream) -> Result<Vec<u8>, HandshakeError> {
    let mut length = [0; LENGTH_BYTES];
    stream.read_exact(&mut length).await?;
    let bytes = u32::from_be_bytes(length);
    if bytes > HANDSHAKE_BYTES_MAX {
        return Err(HandshakeError::TooLong { bytes });
    }
    let mut frame = vec![0; usize::try_from(bytes).expect("a handshake's length fits into a usize")];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}
