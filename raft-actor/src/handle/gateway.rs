//! The node as an actor of the application.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use actix::dev::{MessageResponse, OneshotSender};
use actix::prelude::{Actor, Context, Handler, Message};

use super::queue::{Consistency, Queue};
use super::{ReadError, WriteError};
use crate::callers::DEFAULT_TIMEOUT;
use crate::callers::Request;
use crate::callers::slots::{Outcome, Waiter};
use crate::state_machine::StateMachine;

/// The node of a state machine as an actor: `raft.addr().send(Write(command)).await`.
///
/// It is for programs that are made of actors; [`RaftHandle`](super::RaftHandle) does the same with one hop less.
/// A command of another machine is rejected by the compiler:
///
/// ```compile_fail,E0308
/// use raft_actor::{Gateway, Write};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
/// async fn add(counter: actix::Addr<Gateway<Counter>>) {
///     let _ = counter.send(Write("not a number")).await;
/// }
/// # fn main() {}
/// ```
///
/// The right one needs no annotation:
///
/// ```
/// use raft_actor::{Gateway, Write, WriteError};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
/// async fn add(counter: actix::Addr<Gateway<Counter>>) -> Result<u64, WriteError> {
///     counter.send(Write(5)).await.expect("the gateway runs as long as the node")
/// }
/// # fn main() {}
/// ```
pub struct Gateway<S: StateMachine> {
    queue: Arc<Queue<S>>,
    timeout: Duration,
}

/// Message to a [`Gateway`]: replicate and apply this command. Answered like [`RaftHandle::write`](super::RaftHandle::write).
///
/// ```
/// use raft_actor::Write;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
/// # #[actix_rt::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = LocalCluster::<Counter>::start(3).await?;
/// let counter = cluster.node(1).addr();
/// assert_eq!(counter.send(Write(5)).await??, 5);
/// # Ok(())
/// # }
/// ```
pub struct Write<S: StateMachine>(pub S::Command);

/// Message to a [`Gateway`]: answer this query linearizably. Answered like [`RaftHandle::read`](super::RaftHandle::read).
///
/// ```
/// use raft_actor::Read;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
/// # #[actix_rt::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = LocalCluster::<Counter>::start(3).await?;
/// let counter = cluster.node(1).addr();
/// assert_eq!(counter.send(Read(())).await??, 0);
/// # Ok(())
/// # }
/// ```
pub struct Read<S: StateMachine>(pub S::Query);

impl<S: StateMachine> Message for Write<S> {
    type Result = Result<S::Response, WriteError>;
}

impl<S: StateMachine> Message for Read<S> {
    type Result = Result<S::Answer, ReadError>;
}

impl<S: StateMachine> Gateway<S> {
    /// A gateway to this queue; to be started by the host, on the node's arbiter.
    pub(crate) fn new(queue: Arc<Queue<S>>) -> Self {
        Self { queue, timeout: DEFAULT_TIMEOUT }
    }
}

impl<S: StateMachine> Actor for Gateway<S> {
    type Context = Context<Self>;
}

/// Puts actix's own reply channel into the waiting slot: no future is made for the response.
pub struct QueuedWrite<S: StateMachine> {
    queue: Arc<Queue<S>>,
    timeout: Duration,
    command: S::Command,
}

/// Like [`QueuedWrite`], for a query.
pub struct QueuedRead<S: StateMachine> {
    queue: Arc<Queue<S>>,
    timeout: Duration,
    query: S::Query,
}

impl<S: StateMachine> Handler<Write<S>> for Gateway<S> {
    type Result = QueuedWrite<S>;

    fn handle(&mut self, Write(command): Write<S>, _: &mut Self::Context) -> Self::Result {
        QueuedWrite { queue: Arc::clone(&self.queue), timeout: self.timeout, command }
    }
}

impl<S: StateMachine> Handler<Read<S>> for Gateway<S> {
    type Result = QueuedRead<S>;

    fn handle(&mut self, Read(query): Read<S>, _: &mut Self::Context) -> Self::Result {
        QueuedRead { queue: Arc::clone(&self.queue), timeout: self.timeout, query }
    }
}

impl<S: StateMachine> MessageResponse<Gateway<S>, Write<S>> for QueuedWrite<S> {
    fn handle(self, _: &mut Context<Gateway<S>>, reply: Option<OneshotSender<<Write<S> as Message>::Result>>) {
        // Encoding is the user's code. A panic in it must not take the gateway away from everybody else; this
        // sender alone learns of it, as its reply channel is closed.
        let push = || self.queue.push_write(&self.command, self.timeout, waiter(reply));
        match catch_unwind(AssertUnwindSafe(push)) {
            Ok(Ok(_)) => {}
            Ok(Err(refused)) => refuse(refused.waiter, refused.error),
            Err(_) => tracing::error!("a command panicked while it was encoded"),
        }
    }
}

impl<S: StateMachine> MessageResponse<Gateway<S>, Read<S>> for QueuedRead<S> {
    fn handle(self, _: &mut Context<Gateway<S>>, reply: Option<OneshotSender<<Read<S> as Message>::Result>>) {
        let Some(reply) = reply else {
            return; // sent with `do_send`: nobody wants to know
        };
        let waiter = Waiter::Sender(reply);
        if let Err(refused) = self.queue.push_read(self.query, Consistency::Linearizable, self.timeout, waiter) {
            refuse(refused.waiter, refused.error);
        }
    }
}

fn waiter<R: Request>(reply: Option<OneshotSender<Outcome<R>>>) -> Waiter<R> {
    reply.map_or(Waiter::Nobody, Waiter::Sender)
}

fn refuse<R: Request>(waiter: Waiter<R>, error: R::Error) {
    match waiter {
        // Whoever sent it may have stopped waiting.
        Waiter::Sender(reply) => drop(reply.send(Err(error))),
        Waiter::Future | Waiter::Task(_) | Waiter::Posted(_) | Waiter::Nobody => {}
    }
}
