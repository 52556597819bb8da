//! The actor that owns the user's state machine.

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::{Actor, AsyncContext, Context, Handler, Message, Recipient, WrapFuture};
use bytes::Bytes;
use raft_consensus::{Entries, Entry, LogIndex, LogPosition, Payload, SnapshotMeta};

use super::command::{self, Once, Stamp};
use super::on_disk::{self, MachineError, Owner, Stored};
use super::sessions::{Seen, Sessions};
use super::snapshots::{ReceivedSnapshot, SnapshotError, SnapshotStore};
use super::{ApplyContext, Reads, StateMachine, Writes};
use crate::callers::{Answers, Failure, StopReason, decode, encode_to_bytes};
use crate::clock::{Clock, Work};

/// Apply these committed entries and answer whoever waits for them.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Apply {
    /// Consecutive, following on the previous Apply.
    pub(crate) entries: Entries,
    /// The callers of some of them, in ascending order: the index of the first, and
    /// the right to answer it and those of the entries after it.
    pub(crate) answers: Vec<(LogIndex, Answers)>,
}

/// Answer these queries from the state as it is: after every Apply that was sent before.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Query {
    /// The callers.
    pub(crate) answers: Vec<Answers>,
}

/// To the node, once for each [`Apply`]: all entries up to here are applied, their callers answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(crate) struct Applied {
    /// The last entry applied.
    pub(crate) through: LogIndex,
    /// The log time then, in milliseconds.
    pub(crate) time_ms: u64,
}

/// To the node, at most once: no entry is applied any more.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) enum StateMachineStopped {
    /// It panicked, or its thread is gone: the group has to stop.
    Failed(StopReason),
    /// A committed command cannot be decoded by this build. The node goes on replicating and voting,
    /// with `applied` staying where it is.
    Poisoned {
        /// The entry.
        index: LogIndex,
        /// Why not.
        error: Arc<str>,
    },
}

/// Take a snapshot of the state as it is: after every Apply that was sent before. Applying goes on while it is written.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct TakeSnapshot;

/// Make this snapshot this member's own and load it: after every Apply that was sent before.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Restore {
    /// All of it is here.
    pub(crate) snapshot: ReceivedSnapshot,
}

/// To the node, once for each [`TakeSnapshot`] and each [`Restore`]. If the latter fails, [`StateMachineStopped`] instead.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) enum SnapshotNews {
    /// It is durable.
    Taken(Box<SnapshotMeta>),
    /// There is none; the state machine goes on.
    Failed(Arc<SnapshotError>),
    /// It is durable and loaded; nothing at or below its position is applied any more.
    Restored(LogPosition),
}

/// Where the actor reports to. Not called after the actor is gone, but for one last `StateMachineStopped`.
#[derive(Clone)]
pub(crate) struct Feedback {
    pub(crate) applied: Recipient<Applied>,
    pub(crate) stopped: Recipient<StateMachineStopped>,
    pub(crate) snapshots: Recipient<SnapshotNews>,
}

/// What the actor needs beside the machine.
pub(crate) struct MachineParts {
    pub(crate) owner: Owner,
    /// What the machine has applied: what a snapshot of it would cover.
    pub(crate) covered: SnapshotMeta,
    /// What clients were answered, up to there.
    pub(crate) sessions: Sessions,
    /// What of that a machine on disk has stored.
    pub(crate) stored: Option<Stored>,
    /// Where its snapshots are.
    pub(crate) snapshots: SnapshotStore,
    /// Whether snapshots are written on the thread of this actor, because no other may be started.
    pub(crate) saves_here: bool,
    pub(crate) feedback: Feedback,
    pub(crate) clock: Clock,
}

/// Owns the state machine; applies and answers, in the order of its mailbox. Runs
/// wherever it was started: on an arbiter of its own kind, or on the node's if the user declared `apply` cheap.
pub(crate) struct StateMachineActor<S: StateMachine> {
    pub(super) owned: Rc<RefCell<Owned<S>>>,
    pub(super) clock: Clock,
}

/// The state machine of a node on the same thread, if `apply` was declared cheap: what is committed is applied with a
/// call, and nobody has to be woken for it.
pub(crate) trait ApplyHere {
    /// As the message, behind all that the actor was sent before and has handled. What it comes to if all goes well;
    /// otherwise the node is told as ever.
    fn apply_now(&self, apply: Apply) -> Option<Applied>;
}

/// The state machine and all that goes with it.
pub(super) struct Owned<S: StateMachine> {
    pub(super) owner: Owner,
    pub(super) machine: S,
    /// What a snapshot taken now would cover; its position is that of the last entry applied, or being applied.
    pub(super) covered: SnapshotMeta,
    pub(super) sessions: Sessions,
    /// What of the two a machine on disk has stored.
    pub(super) stored: Option<Stored>,
    pub(super) snapshots: SnapshotStore,
    pub(super) saves_here: bool,
    /// Set once it must not touch the machine any more; what callers are told.
    pub(super) halted: Option<Failure>,
    pub(super) feedback: Feedback,
    pub(super) clock: Clock,
}

impl<S: StateMachine> StateMachineActor<S> {
    pub(crate) fn new(machine: S, parts: MachineParts) -> Self {
        let MachineParts { owner, covered, sessions, stored, snapshots, saves_here, feedback, clock } = parts;
        let halted = None;
        let owned = Owned {
            owner,
            machine,
            covered,
            sessions,
            stored,
            snapshots,
            saves_here,
            halted,
            feedback,
            clock: clock.clone(),
        };
        Self { owned: Rc::new(RefCell::new(owned)), clock }
    }

    /// For a node on this thread, unless applying is to take its time.
    pub(crate) fn here(&self) -> Option<Rc<dyn ApplyHere>> {
        self.clock.takes_no_time().then(|| Rc::clone(&self.owned) as Rc<dyn ApplyHere>)
    }

    /// Whether the node still runs. What waits here when a group has stopped is nobody's any more: the group may be destroyed,
    /// or run again with another machine on the same data.
    pub(super) fn has_node(&self) -> bool {
        self.owned.borrow().feedback.applied.connected()
    }

    /// In a simulation work takes time: what comes next waits as long.
    pub(super) fn take_time(&self, work: Work, ctx: &mut Context<Self>) {
        let duration = self.clock.duration_of(work);
        if !duration.is_zero() {
            let clock = self.clock.clone();
            ctx.wait(async move { clock.sleep(duration).await }.into_actor(self));
        }
    }
}

impl<S: StateMachine> Owned<S> {
    fn applied(&self) -> LogIndex {
        self.covered.position.index
    }

    /// Applies the entries in order. Stops at the first that cannot be. A panic of the user's code comes through.
    fn apply(&mut self, entries: &Entries, answers: &mut VecDeque<(LogIndex, Answers)>) -> Result<(), Halt> {
        for entry in entries.iter() {
            // Its effects are already in a machine that lives on disk or was loaded, or the entry came twice.
            if entry.position.index <= self.applied() {
                continue;
            }
            let before = std::mem::replace(&mut self.covered.position, entry.position);
            match &entry.payload {
                Payload::Command(command) => {
                    if let Err(halt) = self.apply_command(entry, command, answers) {
                        // Not applied, so not to be reported as such.
                        self.covered.position = before;
                        return Err(halt);
                    }
                }
                // Of the log's own concern; the machine does not see it.
                Payload::Noop => {}
                // Nor this; but whoever begins with a snapshot has to know who belongs to the cluster.
                Payload::Configuration(configuration) => {
                    self.covered.configuration.clone_from(configuration);
                    self.covered.configured_at = entry.position;
                }
            }
        }
        Ok(())
    }

    fn apply_command(
        &mut self,
        entry: &Entry,
        command: &Bytes,
        answers: &mut VecDeque<(LogIndex, Answers)>,
    ) -> Result<(), Halt> {
        let poison = |error: String| Halt::Poison { index: entry.position.index, error };
        let framed =
            command::parse(command).ok_or_else(|| poison("it is no command, or one of a newer build".to_owned()))?;
        // Decoded from the log's bytes even where it was encoded: a lossy round trip must not make the members differ.
        let command =
            framed.command.map(decode::<S::Command>).transpose().map_err(|error| poison(error.to_string()))?;
        let outcome = match (framed.once, command) {
            (None, Some(command)) => Outcome::Response(self.apply_to_machine(entry.position, command)?),
            (Some((once, stamp)), Some(command)) => self.apply_once(&once, stamp, entry.position, command)?,
            (Some((once, stamp)), None) if self.sessions.keep_alive(&once, stamp) => Outcome::KeptAlive(stamp),
            (Some(_), None) => Outcome::Failed(Failure::SessionExpired),
            (None, None) => return Err(poison("neither a command nor a session".to_owned())),
        };
        if let Some((first, callers)) = answers.front_mut()
            && *first <= entry.position.index
        {
            match outcome {
                Outcome::Response(response) => callers.answer::<Writes<S>>(response),
                Outcome::KeptAlive(stamp) => callers.answer_encoded(encode_to_bytes(&stamp.lifetime_ms)),
                Outcome::Failed(failure) => callers.fail_next(&failure),
            }
            if callers.is_empty() {
                answers.pop_front();
            }
        }
        Ok(())
    }

    fn apply_to_machine(&mut self, position: LogPosition, command: S::Command) -> Result<S::Response, Halt> {
        let mut ctx = ApplyContext::new(position);
        let response = self.machine.apply(&mut ctx, command);
        match ctx.failed {
            None => Ok(response),
            Some(source) => Err(Halt::Failed(MachineError::Apply { index: position.index, source })),
        }
    }

    /// Applies a command of a session, unless it was applied before.
    fn apply_once(
        &mut self,
        once: &Once<'_>,
        stamp: Stamp,
        position: LogPosition,
        command: S::Command,
    ) -> Result<Outcome<S>, Halt> {
        Ok(match self.sessions.look_up(once, stamp) {
            Seen::New => {
                let response = self.apply_to_machine(position, command)?;
                // An answer that cannot be encoded cannot be given again: whoever asks is told that it is unknown.
                let answer = encode_to_bytes(&response).unwrap_or_default();
                self.sessions.remember(once.client, once.sequence, answer);
                Outcome::Response(response)
            }
            Seen::Answered(answer) => decode(&answer).map_or(Outcome::Failed(Failure::Unknown), Outcome::Response),
            Seen::Forgotten => Outcome::Failed(Failure::SessionExpired),
        })
    }

    /// Has a machine on disk make one transaction of what was applied, with what is to be known of it after a restart.
    pub(super) fn commit(&mut self) -> Result<(), MachineError> {
        let Some(disk) = self.machine.on_disk() else { return Ok(()) };
        on_disk::commit(disk, &self.owner, &self.covered, &mut self.sessions, &mut self.stored)
    }

    fn report(&self) -> Applied {
        Applied { through: self.applied(), time_ms: self.sessions.time_ms() }
    }

    /// Applies and answers. Returns how far it is, unless it halts: then the node is told that, too.
    fn apply_and_answer(&mut self, Apply { entries, answers }: Apply) -> Option<Applied> {
        let mut answers = VecDeque::from(answers);
        if self.halted.is_none() {
            let applied = catch_unwind(AssertUnwindSafe(|| self.apply(&entries, &mut answers)));
            // A batch of which a part failed is never committed: nobody knows which part.
            let committed = match &applied {
                Ok(Ok(()) | Err(Halt::Poison { .. })) => self.commit(),
                Ok(Err(Halt::Failed(_))) | Err(_) => Ok(()),
            };
            match (applied, committed) {
                (_, Err(error)) | (Ok(Err(Halt::Failed(error))), Ok(())) => self.fail(error),
                // Callers beyond the entries: there are none, and if there were, nobody would come back to them.
                (Ok(Ok(())), Ok(())) => return Some(self.report()),
                (Ok(Err(Halt::Poison { index, error })), Ok(())) => {
                    tracing::error!(%index, %error, "a committed command cannot be decoded by this build; it applies nothing any more");
                    self.feedback.applied.do_send(self.report());
                    let news = StateMachineStopped::Poisoned { index, error: error.into() };
                    self.halt(Failure::CannotApply { index }, news);
                }
                (Err(panic), Ok(())) => {
                    let (index, message) = (self.applied(), Arc::from(panic_message(&*panic)));
                    tracing::error!(%index, %message, "the state machine panicked in apply; this group stops");
                    self.stop(StopReason::ApplyPanicked { index, message });
                }
            }
        }
        if let Some(failure) = &self.halted {
            for (_, callers) in answers {
                callers.fail(failure);
            }
        }
        None
    }

    fn answer_queries(&self, callers: &mut Answers) {
        while !callers.is_empty() {
            let Some(query) = callers.input::<Reads<S>>() else {
                callers.skip();
                continue;
            };
            // `query` has the machine by shared reference: a panic in it cannot have changed the state.
            match catch_unwind(AssertUnwindSafe(|| self.machine.query(query))) {
                Ok(answer) => callers.answer::<Reads<S>>(answer),
                Err(panic) => {
                    tracing::error!(message = panic_message(&*panic), "the state machine panicked on a query");
                    callers.fail_next(&Failure::QueryPanicked);
                }
            }
        }
    }

    /// The machine's own disk has failed it.
    pub(super) fn fail(&mut self, error: MachineError) {
        tracing::error!(%error, "the state machine cannot go on; this group stops");
        self.stop(StopReason::Machine(Arc::new(error)));
    }

    pub(super) fn stop(&mut self, reason: StopReason) {
        let failure = Failure::NodeStopped { reason: reason.clone(), maybe_applied: true };
        self.halt(failure, StateMachineStopped::Failed(reason));
    }

    /// From here on the machine is not touched any more.
    pub(super) fn halt(&mut self, failure: Failure, news: StateMachineStopped) {
        self.halted = Some(failure);
        self.feedback.stopped.do_send(news);
    }
}

/// What an entry with a command came to.
enum Outcome<S: StateMachine> {
    /// It was applied, now or before.
    Response(S::Response),
    /// It is none: its session is remembered for another lifetime.
    KeptAlive(Stamp),
    /// It was not applied now.
    Failed(Failure),
}

/// Why no more is applied.
enum Halt {
    /// A committed command that this build cannot decode.
    Poison { index: LogIndex, error: String },
    /// The machine's own disk has failed it.
    Failed(MachineError),
}

/// The machine is never pinned, so `Actor`'s bound need not reach the user's type.
impl<S: StateMachine> Unpin for StateMachineActor<S> {}

impl<S: StateMachine> Actor for StateMachineActor<S> {
    type Context = Context<Self>;
}

impl<S: StateMachine> Handler<Apply> for StateMachineActor<S> {
    type Result = ();

    fn handle(&mut self, apply: Apply, ctx: &mut Self::Context) {
        if !self.has_node() {
            return;
        }
        self.take_time(Work::Apply { entries: apply.entries.len() }, ctx);
        let mut owned = self.owned.borrow_mut();
        if let Some(applied) = owned.apply_and_answer(apply) {
            owned.feedback.applied.do_send(applied);
        }
    }
}

impl<S: StateMachine> ApplyHere for RefCell<Owned<S>> {
    fn apply_now(&self, apply: Apply) -> Option<Applied> {
        self.borrow_mut().apply_and_answer(apply)
    }
}

impl<S: StateMachine> Handler<Query> for StateMachineActor<S> {
    type Result = ();

    fn handle(&mut self, Query { answers }: Query, _: &mut Self::Context) {
        let owned = self.owned.borrow();
        for mut callers in answers {
            match &owned.halted {
                None => owned.answer_queries(&mut callers),
                Some(failure) => callers.fail(failure),
            }
        }
    }
}

impl<S: StateMachine> Drop for StateMachineActor<S> {
    fn drop(&mut self) {
        // Still borrowed after a panic in the middle of it.
        let Ok(owned) = self.owned.try_borrow() else { return };
        if owned.halted.is_none() {
            // The node learns of it however this came about; on a clean stop it is gone already, or does not mind.
            let reason = StopReason::Lost { part: "state machine" };
            owned.feedback.stopped.do_send(StateMachineStopped::Failed(reason));
        }
    }
}

/// What a panic said.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}
