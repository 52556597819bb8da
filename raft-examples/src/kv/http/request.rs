//! What every request to a key carries: the key, a timeout, perhaps a body.

use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use raft_actor::{RaftHandle, WriteError};
use serde::Deserialize;
use serde_json::Value;

use super::Problem;
use crate::kv::state_machine::{Command, Kv, Outcome};

/// Longest key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;
/// Longest value, in bytes of UTF-8.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// A JSON body may escape each byte of its two values as `\uXXXX`.
pub(super) const JSON_BYTES_MAX: usize = 2 * 6 * VALUE_BYTES_MAX;

/// Longest name of a client, in bytes.
const CLIENT_BYTES_MAX: usize = 128;

const TIMEOUT_MS_DEFAULT: u64 = 5_000;
const TIMEOUT_MS_MAX: u64 = 600_000;

/// How fresh a read has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consistency {
    /// At least as fresh as the moment of the request.
    Linearizable,
    /// The same, by the leader's lease if it has one.
    Lease,
    /// What this node has, which may be old.
    Stale,
}

/// A request to one key.
#[derive(Debug)]
pub(super) struct KeyRequest {
    pub(super) key: String,
    pub(super) consistency: Consistency,
    timeout: Duration,
    deadline: Instant,
    /// The client and its sequence, for a write that is applied once.
    once: Option<(String, u64)>,
    /// Bytes of the body, if the client said so beforehand.
    announced: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    timeout_ms: Option<u64>,
    consistency: Option<String>,
}

impl KeyRequest {
    /// Reads all but the body.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let key = key_of(request.uri().path())?;
        let parameters = web::Query::<Parameters>::from_query(request.query_string())
            .map_err(|error| Problem::BadParameter { detail: error.to_string() })?
            .into_inner();
        let timeout = timeout_of(parameters.timeout_ms)?;
        let consistency = consistency_of(parameters.consistency.as_deref())?;
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let announced = length.and_then(|length| length.parse().ok());
        Ok(Self { key, consistency, timeout, deadline: Instant::now() + timeout, once: None, announced })
    }

    /// As [`KeyRequest::of`], for a write.
    pub(super) fn of_write(request: &HttpRequest) -> Result<Self, Problem> {
        let once = once_of(request)?;
        Ok(Self { once, ..Self::of(request)? })
    }

    /// Writes, once only if the client counts its writes.
    pub(super) async fn write(&self, raft: &RaftHandle<Kv>, command: Command) -> Result<Outcome, WriteError> {
        let raft = raft.with_timeout(self.time_left());
        match &self.once {
            None => raft.write(command).await,
            Some((client, sequence)) => raft.write_once(client, *sequence, command).await,
        }
    }

    /// How long the cluster may take. A little is left even if the body took all.
    pub(super) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// The body as the new value.
    pub(super) async fn value(&self, body: web::Payload) -> Result<String, Problem> {
        String::from_utf8(self.bytes(body, VALUE_BYTES_MAX).await?).map_err(|_| Problem::BadValue)
    }

    /// The body as what to expect and what to set.
    pub(super) async fn compare_and_swap(&self, body: web::Payload) -> Result<(Option<String>, String), Problem> {
        let bytes = self.bytes(body, JSON_BYTES_MAX).await?;
        let swap: CompareAndSwap =
            serde_json::from_slice(&bytes).map_err(|error| Problem::BadJson { detail: error.to_string() })?;
        let expect = match swap.expect {
            Value::Null => None,
            Value::String(text) => Some(text),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return Err(Problem::BadJson { detail: "\"expect\" is neither a string nor null".into() });
            }
        };
        if swap.value.len() > VALUE_BYTES_MAX {
            return Err(Problem::ValueTooLong);
        }
        Ok((expect, swap.value))
    }

    /// Reads a body of at most `limit` bytes, for at most the time of the request.
    async fn bytes(&self, body: web::Payload, limit: usize) -> Result<Vec<u8>, Problem> {
        // Who announces too much is told before it is sent.
        if self.announced.is_some_and(|bytes| bytes > limit as u64) {
            return Err(Problem::ValueTooLong);
        }
        let too_slow = Problem::BodyTooSlow { timeout_ms: self.timeout.as_millis().try_into().unwrap_or(u64::MAX) };
        match tokio::time::timeout(self.time_left(), body.to_bytes_limited(limit)).await {
            Err(_elapsed) => Err(too_slow),
            Ok(Err(_over_limit)) => Err(Problem::ValueTooLong),
            Ok(Ok(Err(error))) => Err(Problem::BadBody { detail: error.to_string() }),
            Ok(Ok(Ok(bytes))) => Ok(bytes.into()),
        }
    }
}

/// `expect` has to be there: a forgotten one must not mean "absent".
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompareAndSwap {
    expect: Value,
    value: String,
}

/// How long a request may take whose only parameter that is.
pub(super) fn timeout_asked(request: &HttpRequest) -> Result<Duration, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Timeout {
        timeout_ms: Option<u64>,
    }
    let parameters = web::Query::<Timeout>::from_query(request.query_string());
    let parameters = parameters.map_err(|error| Problem::BadParameter { detail: error.to_string() })?;
    timeout_of(parameters.timeout_ms)
}

/// How long a request may take.
pub(super) fn timeout_of(asked_ms: Option<u64>) -> Result<Duration, Problem> {
    match asked_ms {
        None => Ok(Duration::from_millis(TIMEOUT_MS_DEFAULT)),
        Some(ms) if (1..=TIMEOUT_MS_MAX).contains(&ms) => Ok(Duration::from_millis(ms)),
        Some(_) => Err(Problem::BadParameter { detail: format!("timeout_ms goes from 1 to {TIMEOUT_MS_MAX}") }),
    }
}

/// The headers of a write that is applied once: both of them, or none.
fn once_of(request: &HttpRequest) -> Result<Option<(String, u64)>, Problem> {
    let bad = |detail| Err(Problem::BadSession { detail });
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    match (header("Raft-Client-Id"), header("Raft-Sequence")) {
        (None, None) => Ok(None),
        (None, Some(_)) => bad("Raft-Client-Id is missing"),
        (Some(_), None) => bad("Raft-Sequence is missing"),
        (Some(client), Some(_)) if !(1..=CLIENT_BYTES_MAX).contains(&client.len()) => {
            bad("Raft-Client-Id does not fit")
        }
        (Some(client), Some(sequence)) => match sequence.parse() {
            Ok(sequence) if sequence >= 1 => Ok(Some((client.to_owned(), sequence))),
            Ok(_) | Err(_) => bad("Raft-Sequence is no such number"),
        },
    }
}

fn consistency_of(name: Option<&str>) -> Result<Consistency, Problem> {
    match name {
        None | Some("linearizable") => Ok(Consistency::Linearizable),
        Some("lease") => Ok(Consistency::Lease),
        Some("stale") => Ok(Consistency::Stale),
        Some(other) => {
            let detail = format!("consistency={other} is unknown; use linearizable, lease or stale");
            Err(Problem::BadParameter { detail })
        }
    }
}

/// The key within `/kv/{key}` or `/kv/{key}/cas`, decoded here because the router replaces what is not UTF-8,
/// and two keys must not become one.
fn key_of(path: &str) -> Result<String, Problem> {
    let encoded = path.strip_prefix("/kv/").and_then(|rest| rest.split('/').next()).ok_or(Problem::BadKey)?;
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => hex(bytes.next())? << 4 | hex(bytes.next())?,
            plain => plain,
        };
        decoded.push(byte);
    }
    if decoded.len() > KEY_BYTES_MAX {
        return Err(Problem::KeyTooLong { bytes: decoded.len() });
    }
    String::from_utf8(decoded).map_err(|_| Problem::BadKey)
}

fn hex(digit: Option<u8>) -> Result<u8, Problem> {
    match digit {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        Some(_) | None => Err(Problem::BadKey),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_was_percent_encoded() {
        assert_eq!(key_of("/kv/x"), Ok("x".into()));
        assert_eq!(key_of("/kv/a%2Fb%20c/cas"), Ok("a/b c".into()));
        assert_eq!(key_of("/kv/%C3%A4"), Ok("ä".into()));
        assert_eq!(key_of("/kv/100%2525"), Ok("100%25".into()));
        for bad in ["/kv/%", "/kv/%4", "/kv/%zz", "/kv/%ff"] {
            assert_eq!(key_of(bad), Err(Problem::BadKey), "{bad}");
        }
    }

    #[test]
    fn a_key_may_have_just_so_many_bytes() {
        let path = |bytes: usize| format!("/kv/{}", "k".repeat(bytes));
        assert!(key_of(&path(KEY_BYTES_MAX)).is_ok());
        assert_eq!(key_of(&path(KEY_BYTES_MAX + 1)), Err(Problem::KeyTooLong { bytes: KEY_BYTES_MAX + 1 }));
    }

    #[test]
    fn the_default_is_linearizable_and_what_is_unknown_is_refused() {
        assert_eq!(consistency_of(None), Ok(Consistency::Linearizable));
        assert_eq!(consistency_of(Some("stale")), Ok(Consistency::Stale));
        assert_eq!(consistency_of(Some("lease")), Ok(Consistency::Lease));
        assert!(matches!(consistency_of(Some("eventual")), Err(Problem::BadParameter { .. })));
    }
}
