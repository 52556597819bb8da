//! What a caller of a remote client waits for.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use raft_actor::remote;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::error::RemoteError;
use super::requests::Outcome;
use super::{Core, SessionHold};

/// A request that is under way. Dropping it withdraws nothing. Needs no particular runtime.
#[must_use = "the request is under way, but only the future knows what came of it"]
pub struct RemoteAnswer<T> {
    state: State,
    is_write: bool,
    /// The client and the session live as long as somebody waits.
    _core: Arc<Core>,
    _session: Option<Arc<SessionHold>>,
    answer: PhantomData<fn() -> T>,
}

enum State {
    Waiting(oneshot::Receiver<Outcome>),
    /// It did not get in; `None` once said.
    Refused(Option<RemoteError>),
}

impl<T> RemoteAnswer<T> {
    pub(super) fn new(
        core: Arc<Core>,
        session: Option<Arc<SessionHold>>,
        is_write: bool,
        pushed: Result<oneshot::Receiver<Outcome>, RemoteError>,
    ) -> Self {
        let state = match pushed {
            Ok(receiver) => State::Waiting(receiver),
            Err(error) => State::Refused(Some(error)),
        };
        Self { state, is_write, _core: core, _session: session, answer: PhantomData }
    }
}

impl<T: DeserializeOwned> Future for RemoteAnswer<T> {
    type Output = Result<T, RemoteError>;

    /// # Panics
    /// If it is polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let maybe_applied = this.is_write;
        let outcome = match &mut this.state {
            State::Waiting(receiver) => {
                ready!(Pin::new(receiver).poll(cx)).unwrap_or(Err(RemoteError::Closed { maybe_applied }))
            }
            State::Refused(error) => Err(error.take().expect("a future is not polled after it was ready")),
        };
        let decode =
            |answer: bytes::Bytes| remote::decode(&answer).map_err(|_| RemoteError::BadAnswer { maybe_applied });
        Poll::Ready(outcome.and_then(decode))
    }
}

impl<T> fmt::Debug for RemoteAnswer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteAnswer").field("is_write", &self.is_write).finish_non_exhaustive()
    }
}

/// Several requests that are under way. Dropping it withdraws nothing.
#[must_use = "the requests are under way, but only the future knows what came of them"]
#[derive(Debug)]
pub struct RemoteAnswers<T> {
    answers: std::vec::IntoIter<RemoteAnswer<T>>,
    current: Option<RemoteAnswer<T>>,
    outcomes: Vec<Result<T, RemoteError>>,
}

impl<T> RemoteAnswers<T> {
    pub(super) fn new(answers: Vec<RemoteAnswer<T>>) -> Self {
        Self { outcomes: Vec::with_capacity(answers.len()), answers: answers.into_iter(), current: None }
    }
}

/// Nothing in it is pinned.
impl<T> Unpin for RemoteAnswers<T> {}

impl<T: DeserializeOwned> Future for RemoteAnswers<T> {
    type Output = Vec<Result<T, RemoteError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if this.current.is_none() {
                this.current = this.answers.next();
            }
            let Some(current) = &mut this.current else { return Poll::Ready(std::mem::take(&mut this.outcomes)) };
            let outcome = ready!(Pin::new(current).poll(cx));
            this.outcomes.push(outcome);
            this.current = None;
        }
    }
}
