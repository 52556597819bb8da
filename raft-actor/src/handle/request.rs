//! The two kinds of requests a client makes.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Failure, ReadError, WriteError};
use crate::state_machine::StateMachine;

/// A kind of request: what it asks with, and what it is answered with. A type-level name; has no values.
pub(crate) trait Request: 'static {
    /// What stays in the caller's slot until the state machine takes it.
    type Input: Serialize + DeserializeOwned + Send + 'static;
    /// What the state machine answers.
    type Output: Serialize + DeserializeOwned + Send + 'static;
    /// What the caller gets instead.
    type Error: From<Failure> + Send + Unpin + 'static;
}

/// Writes of `S`. The command is encoded at the edge and travels as bytes, so nothing stays in the slot.
pub(crate) struct Writes<S>(PhantomData<fn(S)>);

/// Reads of `S`. The query stays in the slot; only a forwarded one is ever encoded.
pub(crate) struct Reads<S>(PhantomData<fn(S)>);

impl<S: StateMachine> Request for Writes<S> {
    type Input = ();
    type Output = S::Response;
    type Error = WriteError;
}

impl<S: StateMachine> Request for Reads<S> {
    type Input = S::Query;
    type Output = S::Answer;
    type Error = ReadError;
}
