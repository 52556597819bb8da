//! Groups with new requests have their turns a few at a time.
//!
//! A request leads to a good many short turns, of its leader, its followers and the leader again. If a thousand groups
//! began at once, each would have its second turn when all others have had their first, and nothing that it touches
//! would be in the processor's caches any more. So a host lets only a few begin, then everybody on the thread has a turn,
//! then the next few begin. Nobody waits for anything but that.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

/// So many begin in a row. What they touch, and those who began up to five rounds before, fits into a cache of 1 MiB.
const BEGIN_TOGETHER: usize = 8;

/// The line in which the groups of a host stand. Clones are the same line.
#[derive(Clone, Default)]
pub(crate) struct Turns {
    line: Arc<Mutex<Line>>,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Arc<Place>>,
    /// How many have begun since everybody else had a turn the last time.
    begun: usize,
    /// Whoever goes through the line, while nobody waits.
    asleep: Option<Waker>,
    /// Nobody goes through it any more, so nobody may wait.
    is_closed: bool,
}

/// A node's place in the line.
struct Place {
    line: Weak<Mutex<Line>>,
    node: Mutex<Option<Waker>>,
}

/// A node's access to the line.
pub(crate) struct Turn {
    place: Arc<Place>,
    waker: Waker,
}

impl Turns {
    /// A place for one more node.
    pub(crate) fn turn(&self) -> Turn {
        let place = Arc::new(Place { line: Arc::downgrade(&self.line), node: Mutex::default() });
        Turn { waker: Waker::from(Arc::clone(&place)), place }
    }

    /// Goes through the line, for ever.
    pub(crate) async fn run(self) {
        let open = Open(self);
        poll_fn(|cx| open.0.next_round(cx)).await
    }

    /// By the time of the next round everybody who was woken in this one has had a turn.
    fn next_round(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut line = lock(&self.line);
        line.begun = line.waiting.len().min(BEGIN_TOGETHER);
        let begun = line.begun;
        let first: Vec<Arc<Place>> = line.waiting.drain(..begun).collect();
        if line.waiting.is_empty() {
            line.asleep = Some(cx.waker().clone());
        }
        let is_done = line.waiting.is_empty();
        drop(line);
        first.iter().for_each(|place| place.begin());
        if !is_done {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    // Nothing leaves it half changed.
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Somebody goes through the line.
struct Open(Turns);

impl Drop for Open {
    fn drop(&mut self) {
        let mut line = lock(&self.0.line);
        line.is_closed = true;
        let waiting = std::mem::take(&mut line.waiting);
        drop(line);
        waiting.iter().for_each(|place| place.begin());
    }
}

impl Turn {
    /// What wakes the node of `cx` when it is its turn. The same each time, whoever the node is.
    pub(crate) fn waker(&self, cx: &Context<'_>) -> &Waker {
        let mut node = self.place.node.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *node {
            Some(node) => node.clone_from(cx.waker()),
            None => *node = Some(cx.waker().clone()),
        }
        &self.waker
    }
}

impl Place {
    fn begin(&self) {
        let node = self.node.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(node) = node {
            node.wake();
        }
    }
}

impl Wake for Place {
    fn wake(self: Arc<Self>) {
        let Some(line) = self.line.upgrade() else { return self.begin() };
        let mut line = lock(&line);
        if line.is_closed || (line.begun < BEGIN_TOGETHER && line.waiting.is_empty()) {
            line.begun += 1;
            drop(line);
            return self.begin();
        }
        line.waiting.push_back(Arc::clone(&self));
        let asleep = line.asleep.take();
        drop(line);
        if let Some(asleep) = asleep {
            asleep.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Node(AtomicUsize);

    impl Wake for Node {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Nodes of a host, each with what wakes it when it is its turn.
    fn nodes(turns: &Turns, count: usize) -> Vec<(Arc<Node>, Waker)> {
        let node = |_| {
            let (node, turn) = (Arc::<Node>::default(), turns.turn());
            let waker = turn.waker(&Context::from_waker(&Waker::from(Arc::clone(&node)))).clone();
            (node, waker)
        };
        (0..count).map(node).collect()
    }

    fn woken(nodes: &[(Arc<Node>, Waker)]) -> usize {
        nodes.iter().map(|(node, _)| node.0.load(Ordering::Relaxed)).sum()
    }

    #[test]
    fn a_few_begin_then_everybody_else_has_a_turn_and_nobody_is_forgotten() {
        let turns = Turns::default();
        let host = Arc::<Node>::default();
        let host_waker = Waker::from(Arc::clone(&host));
        let mut cx = Context::from_waker(&host_waker);
        let mut line = pin!(turns.clone().run());
        assert!(line.as_mut().poll(&mut cx).is_pending());
        let nodes = nodes(&turns, 2 * BEGIN_TOGETHER + 3);
        nodes.iter().for_each(|(_, turn)| turn.wake_by_ref());
        assert_eq!(woken(&nodes), BEGIN_TOGETHER);
        assert_eq!(host.0.load(Ordering::Relaxed), 1, "the first who has to wait wakes whoever goes through the line");
        assert!(line.as_mut().poll(&mut cx).is_pending());
        assert_eq!(woken(&nodes), 2 * BEGIN_TOGETHER);
        assert_eq!(host.0.load(Ordering::Relaxed), 2, "it goes on after everybody on the thread had a turn");
        assert!(line.as_mut().poll(&mut cx).is_pending());
        assert_eq!(woken(&nodes), nodes.len());
        assert_eq!(host.0.load(Ordering::Relaxed), 2, "nobody is left in the line");
    }

    #[test]
    fn nobody_waits_in_a_line_that_nobody_goes_through() {
        let turns = Turns::default();
        let mut line = Box::pin(turns.clone().run());
        assert!(line.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let nodes = nodes(&turns, BEGIN_TOGETHER + 2);
        nodes.iter().for_each(|(_, turn)| turn.wake_by_ref());
        drop(line);
        assert_eq!(woken(&nodes), nodes.len());
        nodes[0].1.wake_by_ref();
        drop(turns);
        nodes[1].1.wake_by_ref();
        assert_eq!(woken(&nodes), nodes.len() + 2);
    }
}
