//! A small HTTP client that tells answers from silence.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

/// How long a test waits for something that must happen. Generous: the machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What a node said.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON; `null` if it is not.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Of a 503: whether a write may have happened. Missing or no bool is a broken contract.
    #[track_caller]
    pub(crate) fn maybe_applied(&self) -> bool {
        let json = self.json();
        json["maybe_applied"].as_bool().unwrap_or_else(|| panic!("503 without maybe_applied: {self:?}"))
    }
}

/// There was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Nobody listened: the request never left.
    NotSent,
    /// The connection broke or was silent: whether the request was carried out is unknown.
    Unknown,
}

impl From<ureq::Error> for NoAnswer {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => Self::NotSent,
            _ => Self::Unknown,
        }
    }
}

/// Talks to one node.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        Self::with_patience(base, Duration::from_secs(30))
    }

    /// The same node, asked by somebody who gives up after that long.
    pub(crate) fn impatient(&self, patience: Duration) -> Self {
        Self::with_patience(&self.base, patience)
    }

    fn with_patience(base: &str, patience: Duration) -> Self {
        let config = Agent::config_builder().timeout_global(Some(patience)).http_status_as_error(false);
        Self { agent: config.build().new_agent(), base: base.to_owned() }
    }

    /// The URL that it was made with.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> Result<Answer, NoAnswer> {
        self.send_with(method, path, body, &[])
    }

    pub(crate) fn send_with(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> Result<Answer, NoAnswer> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_vec()).expect("a valid request");
        let mut response = self.agent.run(request)?;
        let text = response.body_mut().read_to_string().map_err(|_| NoAnswer::Unknown)?;
        Ok(Answer { status: response.status().as_u16(), text })
    }

    pub(crate) fn put(&self, key: &str, value: &str, timeout_ms: u64) -> Result<Answer, NoAnswer> {
        self.send("PUT", &format!("/kv/{key}?timeout_ms={timeout_ms}"), value.as_bytes())
    }

    pub(crate) fn get(&self, key: &str, timeout_ms: u64) -> Result<Answer, NoAnswer> {
        self.send("GET", &format!("/kv/{key}?timeout_ms={timeout_ms}"), b"")
    }

    pub(crate) fn get_stale(&self, key: &str) -> Result<Answer, NoAnswer> {
        self.send("GET", &format!("/kv/{key}?consistency=stale"), b"")
    }

    pub(crate) fn delete(&self, key: &str, timeout_ms: u64) -> Result<Answer, NoAnswer> {
        self.send("DELETE", &format!("/kv/{key}?timeout_ms={timeout_ms}"), b"")
    }

    pub(crate) fn cas(
        &self,
        key: &str,
        expect: Option<&str>,
        value: &str,
        timeout_ms: u64,
    ) -> Result<Answer, NoAnswer> {
        let body = serde_json::json!({ "expect": expect, "value": value }).to_string();
        self.send("POST", &format!("/kv/{key}/cas?timeout_ms={timeout_ms}"), body.as_bytes())
    }

    pub(crate) fn status(&self) -> Result<Value, NoAnswer> {
        let answer = self.send("GET", "/raft/status", b"")?;
        if answer.status == 408 {
            // The process stood still for so long after it was connected to that it takes the request for late.
            return Err(NoAnswer::Unknown);
        }
        assert_eq!(answer.status, 200, "the status is always answered: {answer:?}");
        Ok(answer.json())
    }
}

/// A request that was sent; its answer is waited for later.
pub(crate) struct Asked {
    stream: TcpStream,
}

impl Asked {
    /// Sends a `GET`, as far as the kernel of the node's machine.
    pub(crate) fn get(node: &Client, path: &str) -> Self {
        Self::send(node, &format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"))
    }

    /// Sends these bytes.
    pub(crate) fn send(node: &Client, request: &str) -> Self {
        let address = node.base.strip_prefix("http://").expect("a plain address");
        let mut stream = TcpStream::connect(address).expect("the node listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        stream.write_all(request.as_bytes()).expect("a socket");
        Self { stream }
    }

    /// What comes of an answer that does not end, until it contains this.
    pub(crate) fn hear(&mut self, part: &str) -> String {
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let text = String::from_utf8_lossy(&answer);
            if text.contains(part) {
                return text.into_owned();
            }
            let bytes = self.stream.read(&mut buffer).expect("an answer");
            assert!(bytes > 0, "it ended without {part:?}: {text}");
            answer.extend(&buffer[..bytes]);
        }
    }

    /// The whole answer, head and body.
    pub(crate) fn answer(mut self) -> String {
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).expect("an answer, and the end of the connection");
        answer
    }
}

/// Polls until `what` gives something.
#[track_caller]
pub(crate) fn eventually<T>(claim: &str, mut what: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + DEADLINE;
    loop {
        if let Some(result) = what() {
            return result;
        }
        assert!(Instant::now() < give_up, "not within {DEADLINE:?}: {claim}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
