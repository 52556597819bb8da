//! One line of callers in the client queue.

use std::collections::VecDeque;
use std::sync::Arc;

use raft_consensus::Time;

use super::permits::{Admission, Amount};
use super::request::Request;
use super::segment::{Callers, Segment};
use super::slots::{PAGE_SLOTS_MAX, PAGE_SLOTS_MIN, Page, Waiter};
use super::waiting::Waiting;

/// Callers of one kind in the order in which they came, and the page that the next one goes into.
pub(crate) struct Lane<R: Request> {
    page: Arc<Page<R>>,
    /// The next free slot of `page`.
    next: usize,
    /// Callers not drained yet. While `open`, the last segment ends at `next` of `page`.
    segments: VecDeque<Segment>,
    open: bool,
    amount: Amount,
    /// How many came between the last two drains; as many may come again.
    came_lately: usize,
}

impl<R: Request> Lane<R> {
    pub(crate) fn new() -> Self {
        // Nothing is allocated for a kind of request that nobody makes.
        let (page, segments) = (Page::new(0), VecDeque::new());
        Self { page, next: 0, segments, open: false, amount: Amount::default(), came_lately: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// When the first of them gives up.
    pub(crate) fn earliest_deadline(&self) -> Time {
        self.segments.iter().map(|segment| segment.earliest).min().unwrap_or(Time::NEVER)
    }

    /// Lines a caller up; its place.
    pub(crate) fn push(
        &mut self,
        deadline: Time,
        input: R::Input,
        waiter: Waiter<R>,
        bytes: u64,
    ) -> (&Arc<Page<R>>, usize) {
        if self.next == self.page.len() {
            let so_far = usize::try_from(self.amount.requests).unwrap_or(PAGE_SLOTS_MAX);
            self.page = Page::new(self.came_lately.max(so_far).clamp(PAGE_SLOTS_MIN, PAGE_SLOTS_MAX));
            self.next = 0;
            self.open = false;
        }
        let index = self.next;
        self.page.fill(index, deadline, input, waiter, bytes);
        self.next += 1;
        self.amount.requests += 1;
        self.amount.bytes += bytes;
        match self.segments.back_mut() {
            Some(last) if self.open => {
                last.end = self.next;
                last.earliest = last.earliest.min(deadline);
                last.latest = last.latest.max(deadline);
            }
            Some(_) | None => {
                let callers = Callers::Local(Arc::clone(&self.page) as _);
                let (start, end) = (index, self.next);
                self.segments.push_back(Segment { callers, start, end, earliest: deadline, latest: deadline });
                self.open = true;
            }
        }
        (&self.page, index)
    }

    /// All callers in line, with the room they take.
    pub(crate) fn take(&mut self, admission: &Admission) -> Option<Waiting> {
        if self.is_empty() {
            return None;
        }
        self.open = false;
        let amount = std::mem::take(&mut self.amount);
        self.came_lately = usize::try_from(amount.requests).unwrap_or(PAGE_SLOTS_MAX);
        let permit = admission.permit(amount);
        Some(Waiting::new(std::mem::take(&mut self.segments), permit))
    }
}
