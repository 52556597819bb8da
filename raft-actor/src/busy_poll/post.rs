//! Who on a thread is to be woken, left for that thread to do.
//!
//! To wake a task of another thread touches what that thread has in its caches and takes a lock of its runtime, for each
//! task. Whoever has answers for many tasks of a thread that looks for work anyway leaves their wakers in its post, and
//! the thread wakes its tasks itself, which costs it next to nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The wakers left for one thread.
#[derive(Debug, Default)]
pub(crate) struct Post {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    wakers: Vec<Waker>,
    /// Whether somebody comes for them soon.
    is_open: bool,
}

impl Post {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code of others runs under this lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has its thread wake a task, or wakes it at once if that thread sleeps.
    pub(super) fn leave(&self, waker: Waker) {
        let mut inner = self.lock();
        if inner.is_open {
            inner.wakers.push(waker);
        } else {
            drop(inner);
            waker.wake();
        }
    }

    pub(super) fn open(&self) {
        self.lock().is_open = true;
    }

    /// Wakes those that were left, from the thread that the post is of; whether there were any. `spare` is an empty list
    /// whose room is used.
    pub(super) fn fetch(&self, spare: &mut Vec<Waker>) -> bool {
        std::mem::swap(&mut self.lock().wakers, spare);
        let is_any = !spare.is_empty();
        spare.drain(..).for_each(Waker::wake);
        is_any
    }

    /// From here on nobody comes; whoever was left is woken.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.is_open = false;
        let wakers = std::mem::take(&mut inner.wakers);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }
}
