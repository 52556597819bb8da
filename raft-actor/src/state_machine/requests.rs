//! The two kinds of requests a client makes.

use std::marker::PhantomData;

use super::StateMachine;
use crate::callers::{ReadError, Request, WriteError};

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
