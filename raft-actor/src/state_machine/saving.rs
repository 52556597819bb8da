//! The state machine's actor takes snapshots and loads them.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use actix::prelude::*;
use raft_consensus::SnapshotMeta;

use super::actor::{Owned, Restore, SnapshotNews, StateMachineActor, TakeSnapshot, panic_message};
use super::on_disk::{self, MachineError};
use super::sessions::Sessions;
use super::snapshots::{ReceivedSnapshot, SnapshotError, SnapshotStore};
use super::{Snapshot, StateMachine};
use crate::callers::{Failure, StopReason};
use crate::clock::Work;

/// A snapshot that is being written, or an account of why not.
type Saving = Pin<Box<dyn Future<Output = Result<SnapshotMeta, SnapshotError>>>>;

impl<S: StateMachine> Owned<S> {
    /// Freezes the state here and now; whatever is applied from here on is not in it.
    fn begin_snapshot(&mut self) -> Result<Saving, SnapshotError> {
        // The log is going to be cut behind it, and a machine on disk goes on from the log after a restart.
        if self.halted.is_none()
            && let Some(Err(error)) = self.machine.on_disk().map(on_disk::sync)
        {
            self.fail(error);
        }
        if self.halted.is_some() {
            return Err(SnapshotError::Over { reason: "the state machine applies nothing any more" });
        }
        let frozen = freeze(&self.machine)?;
        let (snapshots, meta, sessions) = (self.snapshots.clone(), self.covered.clone(), self.sessions.clone());
        let save = move || save::<S>(&snapshots, meta, &sessions, frozen);
        if self.saves_here {
            let (clock, duration) = (self.clock.clone(), self.clock.duration_of(Work::Save));
            return Ok(Box::pin(async move {
                if !duration.is_zero() {
                    clock.sleep(duration).await;
                }
                save()
            }));
        }
        let saved = tokio::task::spawn_blocking(save);
        Ok(Box::pin(async move { saved.await.unwrap_or(Err(SnapshotError::Over { reason: "its thread has ended" })) }))
    }

    fn snapshot_ended(&self, outcome: Result<SnapshotMeta, SnapshotError>) {
        let news = match outcome {
            Ok(meta) => {
                tracing::debug!(position = %meta.position, "a snapshot was taken");
                SnapshotNews::Taken(Box::new(meta))
            }
            Err(error) => {
                tracing::error!(%error, "no snapshot could be taken; the log grows until one can");
                SnapshotNews::Failed(Arc::new(error))
            }
        };
        self.feedback.snapshots.do_send(news);
    }

    fn restore(&mut self, received: ReceivedSnapshot) -> Result<SnapshotMeta, SnapshotError> {
        // First the file: after a crash in between, the start loads it.
        let file = self.snapshots.adopt(received)?;
        self.sessions.replace(load(&mut self.machine, &mut file.body())?);
        Ok(file.meta().clone())
    }

    /// A machine on disk makes its own what was loaded.
    fn keep_loaded(&mut self) -> Result<(), MachineError> {
        self.commit()?;
        // Else an older state could be found after a crash, and what follows it may be gone from the log by then.
        self.machine.on_disk().map_or(Ok(()), on_disk::sync)
    }
}

/// Freezes a state. A panic of the user's code is an error.
pub(crate) fn freeze<S: Snapshot>(machine: &S) -> Result<S::Frozen, SnapshotError> {
    // It has the machine by shared reference: a panic in it cannot have changed the state.
    catch_unwind(AssertUnwindSafe(|| machine.freeze())).map_err(|panic| panicked("freeze", &*panic))
}

/// Writes a frozen state. A panic of the user's code is an error.
pub(crate) fn save<S: StateMachine>(
    snapshots: &SnapshotStore,
    meta: SnapshotMeta,
    sessions: &Sessions,
    frozen: S::Frozen,
) -> Result<SnapshotMeta, SnapshotError> {
    let written = AssertUnwindSafe(|| {
        snapshots.write(&meta, |out| {
            sessions.save(out)?;
            S::save(frozen, out)
        })
    });
    catch_unwind(written).unwrap_or_else(|panic| Err(panicked("save", &*panic)))?;
    Ok(meta)
}

/// Loads a state; gives back what clients were answered. A panic of the user's code is an error.
pub(crate) fn load<S: Snapshot>(machine: &mut S, body: &mut dyn io::Read) -> Result<Sessions, SnapshotError> {
    let sessions = Sessions::load(body).map_err(|source| SnapshotError::Machine { action: "load", source })?;
    match catch_unwind(AssertUnwindSafe(|| machine.load(body))) {
        Ok(Ok(())) => Ok(sessions),
        Ok(Err(source)) => Err(SnapshotError::Machine { action: "load", source }),
        Err(panic) => Err(panicked("load", &*panic)),
    }
}

fn panicked(action: &'static str, panic: &(dyn Any + Send)) -> SnapshotError {
    let source = io::Error::other(format!("it panicked: {}", panic_message(panic)));
    SnapshotError::Machine { action, source }
}

impl<S: StateMachine> Handler<TakeSnapshot> for StateMachineActor<S> {
    type Result = ();

    fn handle(&mut self, _: TakeSnapshot, ctx: &mut Self::Context) {
        if !self.has_node() {
            return;
        }
        let begun = self.owned.borrow_mut().begin_snapshot();
        match begun {
            Ok(saving) => {
                ctx.spawn(
                    saving.into_actor(self).map(|outcome, actor, _| actor.owned.borrow().snapshot_ended(outcome)),
                );
            }
            Err(error) => self.owned.borrow().snapshot_ended(Err(error)),
        }
    }
}

impl<S: StateMachine> Handler<Restore> for StateMachineActor<S> {
    type Result = ();

    fn handle(&mut self, Restore { snapshot }: Restore, ctx: &mut Self::Context) {
        if !self.has_node() {
            return;
        }
        self.take_time(Work::Load, ctx);
        let mut owned = self.owned.borrow_mut();
        match &owned.halted {
            // What it could not decode lies below the snapshot: it can go on from there.
            None | Some(Failure::CannotApply { .. }) => {}
            // It stops anyway.
            Some(_) => return,
        }
        match owned.restore(snapshot) {
            Ok(meta) => {
                let position = meta.position;
                owned.covered = meta;
                if let Err(error) = owned.keep_loaded() {
                    return owned.fail(error);
                }
                tracing::info!(%position, "a snapshot was loaded");
                owned.halted = None;
                owned.feedback.snapshots.do_send(SnapshotNews::Restored(position));
            }
            Err(error) => {
                tracing::error!(%error, "a snapshot cannot be installed; this group stops");
                owned.stop(StopReason::Snapshot(Arc::new(error)));
            }
        }
    }
}
