//! The room of callers who may be answered elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::permits::Permit;

/// Shared by a [`Waiting`](super::Waiting) and its [`Answers`](super::Answers).
#[derive(Default)]
pub(crate) struct HandedOut {
    permit: Mutex<Option<Permit>>,
    answered: AtomicBool,
}

impl HandedOut {
    pub(crate) fn holding(permit: Permit) -> Self {
        Self { permit: Mutex::new(Some(permit)), ..Self::default() }
    }

    /// Whether all were answered.
    pub(crate) fn is_finished(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// All were answered: gives the room back, without waiting for the node.
    pub(crate) fn finish(&self) {
        self.answered.store(true, Ordering::Release);
        self.give_back();
    }

    pub(crate) fn give_back(&self) {
        drop(self.permit.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
