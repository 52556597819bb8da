//! A client of `raft-kv`'s HTTP face: HTTP/1.1 with connections that are kept alive, and nothing else, so that it takes
//! little of the processors that the nodes need.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use bytes::{Buf, BytesMut};
use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::keys::Keys;
use super::machine::Data;
use super::options::ReadKind;
use super::target::Target;

/// An answer's head is far shorter.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 32;

/// A client of one node. Clones share its connections, of which there are as many as requests under way at the same time.
#[derive(Clone)]
pub(super) struct HttpClient {
    address: Rc<str>,
    idle: Rc<RefCell<Vec<Connection>>>,
    keys: Keys,
}

struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl HttpClient {
    /// A client of the node that serves HTTP there.
    pub(super) fn new(address: &str) -> Self {
        Self { address: address.into(), idle: Rc::default(), keys: Keys::default() }
    }

    /// Sends a request that is complete but for its `Host`, and takes any of these as the answer.
    async fn request(&self, line: &str, body: &[u8], expected: &[u16]) -> Result<(), String> {
        let idle = self.idle.borrow_mut().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(&self.address).await.map_err(|error| error.to_string())?,
        };
        let head = format!("{line} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n", self.address, body.len());
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        let status = connection.exchange(&request).await.map_err(|error| error.to_string())?;
        // One that failed is closed by being dropped.
        self.idle.borrow_mut().push(connection);
        if expected.contains(&status) { Ok(()) } else { Err(format!("HTTP status {status}")) }
    }
}

impl Target for HttpClient {
    async fn write(&self, data: Data) -> Result<(), String> {
        self.request(&format!("PUT /kv/{}", self.keys.next()), &data.0, &[200]).await
    }

    /// Over as many connections at the same time.
    async fn write_many(&self, data: Data, writes: usize) -> Result<(), String> {
        try_join_all((0..writes).map(|_| self.write(data.clone()))).await.map(drop)
    }

    async fn read(&self, kind: ReadKind) -> Result<(), String> {
        let consistency = match kind {
            ReadKind::Linearizable => "linearizable",
            ReadKind::Lease => "lease",
            ReadKind::Stale => "stale",
        };
        // Nobody may have written it yet.
        let line = format!("GET /kv/{}?consistency={consistency}", Keys::READ);
        self.request(&line, &[], &[200, 404]).await
    }
}

impl Connection {
    async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(1024) })
    }

    /// One request, and the status of its answer, which is read to its end.
    async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        loop {
            if let Some(head) = Head::parse(&self.buffer)? {
                while self.buffer.len() < head.bytes + head.body_bytes {
                    self.read().await?;
                }
                self.buffer.advance(head.bytes + head.body_bytes);
                return Ok(head.status);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// What of an answer's head matters.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    bytes: usize,
    body_bytes: usize,
}

impl Head {
    /// `None` if it is not complete yet.
    fn parse(buffer: &[u8]) -> io::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(buffer).map_err(io::Error::other)? {
            httparse::Status::Partial if buffer.len() > HEAD_BYTES_MAX => Err(io::Error::other("an endless head")),
            httparse::Status::Partial => Ok(None),
            httparse::Status::Complete(bytes) => {
                let is_length = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case("content-length");
                let length = response.headers.iter().find(is_length);
                let length = length.and_then(|header| str::from_utf8(header.value).ok()?.trim().parse().ok());
                let body_bytes = length.ok_or_else(|| io::Error::other("an answer without its length"))?;
                Ok(Some(Self { status: response.code.unwrap_or_default(), bytes, body_bytes }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_it_says_and_wherever_it_is_cut_more_is_waited_for() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nx: y\r\n\r\n";
        for end in 0..answer.len() {
            assert_eq!(Head::parse(&answer[..end]).expect("a part of an answer"), None, "{end}");
        }
        let head = Head::parse(answer).expect("it is complete");
        assert_eq!(head, Some(Head { status: 200, bytes: answer.len(), body_bytes: 3 }));
    }

    #[test]
    fn what_is_no_answer_or_has_no_length_is_refused() {
        assert!(Head::parse(b"SSH-2.0\r\n\r\n").is_err());
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        let endless = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &[b'a'; HEAD_BYTES_MAX]].concat();
        assert!(Head::parse(&endless).is_err());
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_a_failure_is_not_taken_for_an_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = HttpClient::new(&listener.local_addr().expect("it is bound").to_string());
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("one connection");
            for status in ["200 OK", "503 No"] {
                let mut request = BytesMut::new();
                while !request.ends_with(b"\r\n\r\nabc") {
                    stream.read_buf(&mut request).await.expect("a request");
                }
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
                stream.write_all(answer.as_bytes()).await.expect("it is taken");
            }
        };
        let ask = async {
            let data = Data(bytes::Bytes::from_static(b"abc"));
            (client.write(data.clone()).await, client.write(data).await)
        };
        let ((), (first, second)) = tokio::join!(serve, ask);
        assert_eq!((first, second), (Ok(()), Err("HTTP status 503".to_owned())));
    }
}
