//! The threads of a host. The library owns them: it never runs on a caller's runtime.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use actix::prelude::*;
use actix_rt::ArbiterHandle;

/// A thread with an actix System of its own, for nodes to live on.
///
/// A host has one to itself unless it is given one to share. It ends when the
/// last clone is dropped.
///
/// The trace subscriber of the thread that spawns it is in force on it too.
#[derive(Debug, Clone)]
pub struct NodeThread {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    arbiter: ArbiterHandle,
    system: System,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl NodeThread {
    /// Starts a thread of this name.
    ///
    /// # Errors
    /// If the operating system refuses another thread.
    pub fn spawn(name: &str) -> io::Result<Self> {
        let (started, ready) = mpsc::channel();
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _subscriber = tracing::dispatcher::set_default(&dispatch);
            let runner = System::new();
            // The receiver only goes away if the spawning thread died.
            let _ = started.send((Arbiter::current(), System::current()));
            if let Err(error) = runner.run() {
                tracing::error!(%error, "a node thread ended with an error");
            }
        })?;
        let (arbiter, system) =
            ready.recv().map_err(|_| io::Error::other("the node thread ended before it had started"))?;
        Ok(Self { inner: Arc::new(Inner { arbiter, system, thread: Mutex::new(Some(thread)) }) })
    }

    /// Runs `task` on the thread, within its System: actors that it starts and futures that it
    /// spawns with `actix_rt::spawn` live beside the nodes, and their requests wake no other thread.
    /// They must not block: the nodes could not speak meanwhile. Returns whether the thread still takes tasks.
    pub fn run(&self, task: impl FnOnce() + Send + 'static) -> bool {
        self.inner.arbiter.spawn_fn(task)
    }

    /// Stops the thread, whatever runs on it, and waits until it has ended.
    pub(crate) fn stop_and_join(&self) {
        self.inner.system.stop();
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.system.stop();
    }
}

/// An arbiter whose thread has the caller's trace subscriber. To be called on a node thread.
pub(crate) fn spawn_arbiter() -> Arbiter {
    let arbiter = Arbiter::new();
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    arbiter.spawn_fn(move || {
        // In force until the thread ends, which is when the arbiter does.
        std::mem::forget(tracing::dispatcher::set_default(&dispatch));
    });
    arbiter
}
