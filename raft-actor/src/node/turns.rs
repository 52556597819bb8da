//! Groups with new requests, and those whose log has become durable, have their turns a few at a time.
//!
//! A request leads to a good many short turns, of its leader, its followers and the leader again. If a thousand groups
//! began at once, each would have its second turn when all others have had their first, and nothing that it touches
//! would be in the processor's caches any more. So a host lets only a few begin, then everybody on the thread has a turn,
//! then the next few begin. It is the same when one sync has made the logs of a thousand groups durable: a few are told, then those
//! to whom they have something to say have their turns, and so on. Nobody waits for anything but that.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use actix::prelude::Recipient;

use crate::log_storage::{Flush, Persisted};

/// So many begin in a row. What they touch, and those who began up to five rounds before, fits into a cache of 1 MiB.
const BEGIN_TOGETHER: usize = 8;

/// After so many rounds the log is told of what was ordered, if somebody waits even then. A sync costs as much processor time as
/// a handful of writes: it should be shared by those who are about to order something.
const ROUNDS_BEFORE_SYNC: usize = 4;

/// The line in which the groups of a host stand. Clones are the same line.
#[derive(Clone, Default)]
pub(crate) struct Turns {
    line: Arc<Mutex<Line>>,
}

#[derive(Default)]
struct Line {
    /// Who is to be told that its log is durable. They go first: what they began is to come to its end.
    answers: VecDeque<Answer>,
    waiting: VecDeque<Arc<Place>>,
    /// The log, to be told of orders when nobody waits any more, or after so many more rounds.
    log: Option<(Recipient<Flush>, usize)>,
    /// How many have begun since everybody else had a turn the last time.
    begun: usize,
    /// Whoever goes through the line, while nobody waits.
    asleep: Option<Waker>,
    /// Nobody goes through it any more, so nobody may wait.
    is_closed: bool,
}

/// Somebody's log is durable.
pub(crate) type Answer = (Arc<Recipient<Persisted>>, Persisted);

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

    /// Tells the nodes what one sync has made durable, from the thread of the log: one word for all of them, unless they are few.
    pub(crate) fn answer(&self, answers: Vec<Answer>) {
        let mut line = lock(&self.line);
        if line.is_closed || (line.answers.is_empty() && answers.len() <= BEGIN_TOGETHER) {
            // Within the lock, as below: a node hears of its writes in their order.
            return answers.into_iter().for_each(tell);
        }
        line.answers.extend(answers);
        let asleep = line.asleep.take();
        drop(line);
        if let Some(asleep) = asleep {
            asleep.wake();
        }
    }

    /// Tells the log that something was ordered: at once, or when those who are in line had their turns.
    pub(crate) fn tell_log(&self, log: &Recipient<Flush>) {
        let mut line = lock(&self.line);
        if line.is_closed || line.is_empty() {
            drop(line);
            return log.do_send(Flush);
        }
        line.log = Some((log.clone(), ROUNDS_BEFORE_SYNC));
    }

    /// Goes through the line, for ever.
    pub(crate) async fn run(self) {
        let open = Open(self);
        poll_fn(|cx| open.0.next_round(cx)).await
    }

    /// By the time of the next round everybody who was woken in this one has had a turn.
    fn next_round(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut line = lock(&self.line);
        let told = line.answers.len().min(BEGIN_TOGETHER);
        line.answers.drain(..told).for_each(tell);
        let begun = line.waiting.len().min(BEGIN_TOGETHER - told);
        line.begun = told + begun;
        let first: Vec<Arc<Place>> = line.waiting.drain(..begun).collect();
        let is_done = line.is_empty();
        if is_done {
            line.asleep = Some(cx.waker().clone());
        }
        if let Some((log, rounds)) = line.log.take() {
            match rounds.checked_sub(1) {
                Some(rounds) if !is_done => line.log = Some((log, rounds)),
                Some(_) | None => log.do_send(Flush),
            }
        }
        drop(line);
        first.iter().for_each(|place| place.begin());
        if !is_done {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Line {
    /// Whether nobody waits.
    fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.waiting.is_empty()
    }
}

fn tell((node, persisted): Answer) {
    node.do_send(persisted);
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
        std::mem::take(&mut line.answers).into_iter().for_each(tell);
        let (waiting, log) = (std::mem::take(&mut line.waiting), line.log.take());
        drop(line);
        if let Some((log, _)) = log {
            log.do_send(Flush);
        }
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

    use actix::prelude::{Actor, Addr, Handler, Message, MessageResult};
    use raft_consensus::WriteSeq;

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

    /// Notes what it is told.
    #[derive(Default)]
    struct Told(Vec<u64>);

    impl Actor for Told {
        type Context = actix::Context<Self>;
    }

    impl Handler<Persisted> for Told {
        type Result = ();
        fn handle(&mut self, persisted: Persisted, _: &mut Self::Context) {
            self.0.push(persisted.seq.get());
        }
    }

    #[derive(Message)]
    #[rtype(result = "Vec<u64>")]
    struct WhatYouWereTold;

    impl Handler<WhatYouWereTold> for Told {
        type Result = MessageResult<WhatYouWereTold>;
        fn handle(&mut self, _: WhatYouWereTold, _: &mut Self::Context) -> Self::Result {
            MessageResult(self.0.clone())
        }
    }

    /// What each of the nodes was told so far.
    async fn told(nodes: &[Addr<Told>]) -> Vec<Vec<u64>> {
        let mut all = Vec::new();
        for node in nodes {
            all.push(node.send(WhatYouWereTold).await.expect("it lives"));
        }
        all
    }

    #[actix_rt::test]
    async fn a_few_at_a_time_are_told_what_a_sync_made_durable_in_the_order_of_their_writes() {
        let turns = Turns::default();
        let host = Arc::<Node>::default();
        let host_waker = Waker::from(Arc::clone(&host));
        let mut cx = Context::from_waker(&host_waker);
        let mut line = pin!(turns.clone().run());
        assert!(line.as_mut().poll(&mut cx).is_pending());
        let nodes: Vec<Addr<Told>> = (0..BEGIN_TOGETHER + 1).map(|_| Told::default().start()).collect();
        let sync = |seq, count| {
            let answer =
                |node: &Addr<Told>| (Arc::new(node.clone().recipient()), Persisted { seq: WriteSeq::new(seq) });
            turns.answer(nodes[..count].iter().map(answer).collect());
        };
        sync(1, 2);
        assert_eq!(told(&nodes).await[..3], [vec![1], vec![1], vec![]], "few are told at once");
        sync(2, nodes.len());
        sync(3, 1);
        assert_eq!(told(&nodes).await[0], [1], "a later one does not overtake those who wait");
        assert_eq!(host.0.load(Ordering::Relaxed), 1, "one word from the log for all of them");
        assert!(line.as_mut().poll(&mut cx).is_pending());
        let after_one_round = told(&nodes).await;
        assert_eq!((&after_one_round[0], &after_one_round[BEGIN_TOGETHER]), (&vec![1, 2], &vec![]));
        assert!(line.as_mut().poll(&mut cx).is_pending());
        let after_two = told(&nodes).await;
        assert_eq!((&after_two[0], &after_two[BEGIN_TOGETHER]), (&vec![1, 2, 3], &vec![2]));
    }

    /// A log that counts how often it is told.
    #[derive(Default)]
    struct Log(usize);

    #[derive(Message)]
    #[rtype(result = "usize")]
    struct HowOften;

    impl Handler<HowOften> for Log {
        type Result = usize;
        fn handle(&mut self, _: HowOften, _: &mut Self::Context) -> usize {
            self.0
        }
    }

    impl Actor for Log {
        type Context = actix::Context<Self>;
    }

    impl Handler<Flush> for Log {
        type Result = ();
        fn handle(&mut self, _: Flush, _: &mut Self::Context) {
            self.0 += 1;
        }
    }

    #[actix_rt::test]
    async fn the_log_waits_for_those_in_line_but_for_a_few_rounds_at_most() {
        let turns = Turns::default();
        let mut cx = Context::from_waker(Waker::noop());
        let mut line = pin!(turns.clone().run());
        assert!(line.as_mut().poll(&mut cx).is_pending());
        let log = Log::default().start();
        let flush = log.clone().recipient();
        let told = async || log.send(HowOften).await.expect("it lives");
        turns.tell_log(&flush);
        assert_eq!(told().await, 1, "nobody is in line");
        let nodes = nodes(&turns, 3 * BEGIN_TOGETHER);
        nodes.iter().for_each(|(_, turn)| turn.wake_by_ref());
        turns.tell_log(&flush);
        assert!(line.as_mut().poll(&mut cx).is_pending());
        assert_eq!(told().await, 1, "somebody waits");
        assert!(line.as_mut().poll(&mut cx).is_pending());
        assert_eq!(told().await, 2, "all have begun");
        turns.tell_log(&flush);
        assert_eq!(told().await, 3);
        for (_, turn) in nodes.iter().cycle().take(BEGIN_TOGETHER * (ROUNDS_BEFORE_SYNC + 3)) {
            turn.wake_by_ref();
        }
        turns.tell_log(&flush);
        for _ in 0..=ROUNDS_BEFORE_SYNC {
            assert_eq!(told().await, 3);
            assert!(line.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(told().await, 4, "somebody waits, but it has been long enough");
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
