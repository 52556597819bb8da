//! One run of a simulated node: its tasks, and nothing of it that survives a crash.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use raft_actor::{HostBuilder, RaftHandle, StartError, StateMachine, StopReason};
use tokio::task::LocalSet;

use super::machine::Watched;

/// So often a node may want another turn at one moment of time. More is a loop without an end.
const TURNS_MAX: u32 = 100_000;

/// A handle to a node of the simulation.
pub(super) type Handle<S> = RaftHandle<Watched<S>>;

/// How a start went.
type Start<S> = Result<Handle<S>, StartError>;

/// A process. Dropping it is a crash: whatever ran in it is gone at once.
///
/// Its tasks are a set of their own: to not poll it is to stop the process, as with SIGSTOP.
pub(super) struct Process<S: StateMachine> {
    // The handle goes first: its end may still be said to the tasks.
    handle: Option<Handle<S>>,
    start: Rc<RefCell<Option<Start<S>>>>,
    stop: Rc<RefCell<Option<StopReason>>>,
    tasks: LocalSet,
    flag: Arc<Flag>,
    waker: Waker,
}

/// Raised when one of the tasks can go on.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The process never comes to rest.
pub(super) struct Spins;

impl<S: StateMachine> Process<S> {
    /// A process that is about to start this host.
    pub(super) fn new(builder: HostBuilder, machine: Watched<S>) -> Self {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        let tasks = LocalSet::new();
        let start = Rc::new(RefCell::new(None));
        let stop = Rc::new(RefCell::new(None));
        let (started, stopped) = (Rc::clone(&start), Rc::clone(&stop));
        tasks.spawn_local(async move {
            let outcome = builder.start(machine).await;
            let end = outcome.as_ref().ok().map(|handle| handle.admin().stopped());
            *started.borrow_mut() = Some(outcome);
            if let Some(end) = end {
                let reason = end.await;
                *stopped.borrow_mut() = Some(reason);
            }
        });
        Self { handle: None, start, stop, tasks, flag, waker }
    }

    /// Whether there is something to do.
    pub(super) fn wants_turn(&self) -> bool {
        self.flag.0.load(Ordering::Relaxed)
    }

    /// Lets the tasks go on until none can any more.
    pub(super) fn run(&mut self) -> Result<(), Spins> {
        let mut cx = Context::from_waker(&self.waker);
        for _ in 0..TURNS_MAX {
            if !self.flag.0.swap(false, Ordering::Relaxed) {
                return Ok(());
            }
            // It is never ready: some actors wait for ever.
            let _ = Pin::new(&mut self.tasks).poll(&mut cx);
        }
        Err(Spins)
    }

    /// How the start went; once, when it is known.
    pub(super) fn take_start(&mut self) -> Option<Result<(), StartError>> {
        let outcome = self.start.borrow_mut().take()?;
        Some(outcome.map(|handle| self.handle = Some(handle)))
    }

    /// Why the host has stopped; once, when it has.
    pub(super) fn take_stop(&mut self) -> Option<StopReason> {
        self.stop.borrow_mut().take()
    }

    pub(super) fn handle(&self) -> Option<&Handle<S>> {
        self.handle.as_ref()
    }
}
