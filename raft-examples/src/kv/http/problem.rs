//! What is wrong with a request itself. What the cluster cannot do at the moment is `raft-actor`'s to say (503).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use super::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// A request that cannot be answered as it stands. The text says what to change.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The key is not text.
    #[error("the key is not percent-encoded UTF-8; encode it byte by byte as %XX")]
    BadKey,
    /// The key is too long.
    #[error("the key has {bytes} bytes; at most {KEY_BYTES_MAX} are allowed")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The value is not text.
    #[error("the value is not UTF-8; encode binary values, for example as base64")]
    BadValue,
    /// The value is too long.
    #[error("the value is too long; at most {VALUE_BYTES_MAX} bytes are allowed")]
    ValueTooLong,
    /// The parameters after the question mark cannot be understood.
    #[error("{detail}")]
    BadParameter {
        /// Which, and what is allowed.
        detail: String,
    },
    /// The body is not the expected JSON.
    #[error("{detail}; expected {{\"expect\":\"old value\" or null,\"value\":\"new value\"}}")]
    BadJson {
        /// What the parser says.
        detail: String,
    },
    /// The body does not say who shall lead.
    #[error("{detail}; expected {{\"to\":2}}, or {{}} for any other voter")]
    BadTransfer {
        /// What is wrong.
        detail: String,
    },
    /// The body does not say who shall belong to the cluster, or says what can never be.
    #[error("{detail}; expected {{\"voters\":[1,2,4],\"learners\":[5],\"peers\":{{\"4\":\"127.0.0.1:7104\"}}}}")]
    BadMembership {
        /// What is wrong.
        detail: String,
    },
    /// The connection broke off within the body.
    #[error("the body could not be read: {detail}")]
    BadBody {
        /// What the server says.
        detail: String,
    },
    /// The body did not arrive within the request's timeout.
    #[error("the body did not arrive within {timeout_ms} ms; nothing was changed")]
    BodyTooSlow {
        /// The request's timeout.
        timeout_ms: u64,
    },
    /// The headers of a write that is to be applied once make no sense.
    #[error(
        "{detail}; for a write that is applied once send both Raft-Client-Id, 1 to 128 characters of your own, and \
         Raft-Sequence, which counts from 1"
    )]
    BadSession {
        /// What is wrong.
        detail: &'static str,
    },
    /// The key has no value.
    #[error("the key has no value")]
    NoSuchKey,
    /// Nothing is served there.
    #[error(
        "nothing is served at {path}; try /kv/{{key}}, /kv/{{key}}/cas, /raft/status, /raft/events or /raft/metrics"
    )]
    NoSuchRoute {
        /// The path asked for.
        path: String,
    },
    /// The path exists, the method does not.
    #[error("allowed here: {allowed}")]
    WrongMethod {
        /// What does exist.
        allowed: &'static str,
    },
}

impl Problem {
    /// The word for programs; the text is for people.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadKey => "bad_key",
            Self::KeyTooLong { .. } => "key_too_long",
            Self::BadValue => "bad_value",
            Self::ValueTooLong => "value_too_long",
            Self::BadParameter { .. } => "bad_parameter",
            Self::BadJson { .. } | Self::BadTransfer { .. } => "bad_json",
            Self::BadMembership { .. } => "bad_membership",
            Self::BadBody { .. } => "bad_body",
            Self::BodyTooSlow { .. } => "body_too_slow",
            Self::BadSession { .. } => "bad_session",
            Self::NoSuchKey => "no_such_key",
            Self::NoSuchRoute { .. } => "no_such_route",
            Self::WrongMethod { .. } => "wrong_method",
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadKey
            | Self::BadValue
            | Self::BadParameter { .. }
            | Self::BadJson { .. }
            | Self::BadTransfer { .. }
            | Self::BadMembership { .. }
            | Self::BadBody { .. }
            | Self::BadSession { .. } => StatusCode::BAD_REQUEST,
            Self::NoSuchKey | Self::NoSuchRoute { .. } => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::KeyTooLong { .. } | Self::ValueTooLong => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).json(json!({ "error": self.code(), "detail": self.to_string() }))
    }
}
