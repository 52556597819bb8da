//! What all kinds of requests have in common.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Failure;

/// A kind of request: what it asks with, and what it is answered with. A type-level name; has no values.
pub(crate) trait Request: 'static {
    /// What stays in the caller's slot until the state machine takes it.
    type Input: Serialize + DeserializeOwned + Send + 'static;
    /// What the state machine answers.
    type Output: Serialize + DeserializeOwned + Send + 'static;
    /// What the caller gets instead.
    type Error: From<Failure> + Send + Unpin + 'static;
}
