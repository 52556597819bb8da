//! The actor that owns a host's log.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use raft_consensus::{GroupId, HardState, LogWrite, WriteSeq};

use super::{GroupWrite, LogCounters, LogCounts, LogError, LogStorage};
use crate::clock::{Clock, Work};
use crate::node::Turns;

/// Quiet time after which the log may do what can wait.
const IDLE_AFTER: Duration = Duration::from_millis(20);

/// Orders a write; answered by [`Persisted`] to the group's [`LogClient`].
#[derive(Debug)]
pub(crate) struct Persist {
    pub(crate) group: GroupId,
    pub(crate) seq: WriteSeq,
    pub(crate) hard_state: Option<HardState>,
    pub(crate) log: Option<LogWrite>,
}

/// Everything that the group ordered up to `seq` is durable.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Persisted {
    pub(crate) seq: WriteSeq,
}

/// The log failed, or its actor is gone. What is on the disk is unknown until it is opened anew.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct StorageFailed {
    /// What the log said; `None` if its actor ended without a word.
    pub(crate) error: Option<Arc<LogError>>,
}

/// Where a group's answers go.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct LogClient {
    pub(crate) group: GroupId,
    pub(crate) persisted: Arc<Recipient<Persisted>>,
    pub(crate) failed: Recipient<StorageFailed>,
}

/// The member is gone: what it still ordered is nobody's any more, and does not reach the log.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ForgetLogClient(pub(crate) GroupId);

/// Does something with the log itself, on its thread, behind all that was ordered before.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct WithLog(pub(crate) LogWork);

type LogWork = Box<dyn FnOnce(&mut dyn LogStorage) + Send>;

/// The log refused what a node wrote with a call.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Refused(LogError);

/// Stop in order: everything ordered before is written first.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct CloseLog;

/// There are orders: all that has queued up while the disk was busy is written now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Flush;

/// What a host's log has in common with its nodes, on whatever threads they are. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct LogShare {
    /// What was ordered and is not taken yet, of all groups: one message tells the log of all of it.
    orders: Arc<Mutex<Vec<Persist>>>,
    /// The line in which groups are told what is durable.
    turns: Turns,
    counters: Arc<LogCounters>,
}

impl LogShare {
    pub(crate) fn new(turns: Turns) -> Self {
        Self { turns, ..Self::default() }
    }

    /// What the log counts.
    pub(crate) fn counters(&self) -> Arc<LogCounters> {
        Arc::clone(&self.counters)
    }

    /// How nodes order from the log that is told by `flush`.
    pub(crate) fn orders_to(&self, flush: Recipient<Flush>) -> LogOrders {
        LogOrders::Sent { share: self.clone(), flush }
    }

    fn orders(&self) -> MutexGuard<'_, Vec<Persist>> {
        // Nothing leaves it half changed.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a node has its log written.
#[derive(Clone)]
pub(crate) enum LogOrders {
    /// By the log's actor, with what others ordered.
    Sent {
        /// Where the orders wait.
        share: LogShare,
        /// The actor, told when something waits where nothing did.
        flush: Recipient<Flush>,
    },
    /// With a call: the log is on the same thread, and a write to it is as durable as it ever will be.
    Here {
        /// The log.
        storage: Rc<RefCell<Box<dyn LogStorage>>>,
        /// Its actor, which stops the host if the log fails.
        refused: RefusedBy,
        /// It has failed: what is written behind that would confirm what is missing, too.
        has_failed: Rc<Cell<bool>>,
    },
}

/// Whoever is to know that the log failed.
#[derive(Clone)]
pub(crate) struct RefusedBy(Recipient<Refused>);

impl LogOrders {
    /// Orders a write. What is durable at once is returned; the rest is answered by [`Persisted`].
    pub(crate) fn order(&self, Persist { group, seq, hard_state, log }: Persist) -> Option<Persisted> {
        match self {
            Self::Sent { share, flush } => {
                let mut orders = share.orders();
                orders.push(Persist { group, seq, hard_state, log });
                let is_first = orders.len() == 1;
                drop(orders);
                if is_first {
                    share.turns.tell_log(flush);
                }
                None
            }
            Self::Here { has_failed, .. } if has_failed.get() => None,
            Self::Here { storage, refused, has_failed } => {
                let mut storage = storage.borrow_mut();
                match storage.write(&[GroupWrite { group, hard_state, log }]).and_then(|()| storage.sync()) {
                    Ok(()) => Some(Persisted { seq }),
                    Err(error) => {
                        has_failed.set(true);
                        refused.0.do_send(Refused(error));
                        None
                    }
                }
            }
        }
    }
}

/// Drives a [`LogStorage`]: one write and one sync for all that queued since the last one (group commit).
///
/// It runs on a thread of its own, or on the node's if the log is volatile. A
/// failed write or sync ends it; it is never restarted.
pub(crate) struct LogStorageActor {
    storage: Rc<RefCell<Box<dyn LogStorage>>>,
    clients: BTreeMap<GroupId, LogClient>,
    clock: Clock,
    /// Orders of groups whose [`LogClient`] has not come yet: orders do not go through the mailbox, and may overtake it.
    early: Vec<Persist>,
    queue: Vec<GroupWrite>,
    /// The newest write of each group in `queue`.
    newest: BTreeMap<GroupId, WriteSeq>,
    /// What is written, while its sync takes the time that the clock says it takes.
    syncing: Option<Written>,
    share: LogShare,
    idle_timer: Option<SpawnHandle>,
    /// Whether something was written since the timer began.
    wrote_lately: bool,
}

/// What was written and is not synced yet.
struct Written {
    newest: BTreeMap<GroupId, WriteSeq>,
    counts: LogCounts,
}

impl LogStorageActor {
    pub(crate) fn new(storage: Box<dyn LogStorage>, clock: Clock, share: LogShare) -> Self {
        Self {
            storage: Rc::new(RefCell::new(storage)),
            clock,
            clients: BTreeMap::new(),
            early: Vec::new(),
            queue: Vec::new(),
            newest: BTreeMap::new(),
            syncing: None,
            share,
            idle_timer: None,
            wrote_lately: false,
        }
    }

    /// Starts beside the nodes. If the log needs no disk, they can write to it themselves.
    pub(crate) fn start_here(self) -> (Addr<Self>, LogOrders) {
        let here =
            (self.storage.borrow().is_volatile() && self.clock.takes_no_time()).then(|| Rc::clone(&self.storage));
        let share = self.share.clone();
        let actor = self.start();
        let orders = match here {
            Some(storage) => {
                let refused = RefusedBy(actor.clone().recipient());
                LogOrders::Here { storage, refused, has_failed: Rc::default() }
            }
            None => share.orders_to(actor.clone().recipient()),
        };
        (actor, orders)
    }

    /// Takes what the nodes have ordered by now.
    fn take_orders(&mut self) {
        let orders = std::mem::take(&mut *self.share.orders());
        for order in std::mem::take(&mut self.early).into_iter().chain(orders) {
            if !self.clients.contains_key(&order.group) {
                self.early.push(order);
                continue;
            }
            let Persist { group, seq, hard_state, log } = order;
            self.queue.push(GroupWrite { group, hard_state, log });
            self.newest.insert(group, seq);
        }
    }

    /// Writes and syncs what has queued up, unless a sync is under way: then what queues goes into the next one.
    fn flush(&mut self, ctx: &mut Context<Self>) -> Result<(), LogError> {
        if self.syncing.is_some() {
            return Ok(());
        }
        self.take_orders();
        if self.queue.is_empty() {
            return Ok(());
        }
        self.wrote_lately = true;
        self.storage.borrow_mut().write(&self.queue)?;
        let counts = LogCounts::of_sync(&self.queue);
        self.queue.clear();
        self.syncing = Some(Written { newest: std::mem::take(&mut self.newest), counts });
        let duration = self.clock.duration_of(Work::Sync);
        if duration.is_zero() {
            return self.sync();
        }
        let clock = self.clock.clone();
        let synced = async move { clock.sleep(duration).await }.into_actor(self);
        ctx.spawn(synced.map(|(), actor, ctx| {
            let outcome = actor.sync().and_then(|()| actor.flush(ctx));
            actor.go_on(outcome, ctx);
        }));
        Ok(())
    }

    /// Makes durable what was written, and says so.
    fn sync(&mut self) -> Result<(), LogError> {
        let Some(Written { newest, counts }) = self.syncing.take() else { return Ok(()) };
        self.storage.borrow_mut().sync()?;
        self.share.counters.synced(counts);
        let answers = newest.into_iter().filter_map(|(group, seq)| {
            let client = self.clients.get(&group)?;
            Some((Arc::clone(&client.persisted), Persisted { seq }))
        });
        self.share.turns.answer(answers.collect());
        Ok(())
    }

    /// Writes and syncs all that was ordered, now.
    fn finish(&mut self, ctx: &mut Context<Self>) -> Result<(), LogError> {
        self.sync()?;
        self.flush(ctx)?;
        self.sync()
    }

    fn go_on(&mut self, outcome: Result<(), LogError>, ctx: &mut Context<Self>) {
        match outcome {
            Ok(()) => self.schedule_idle(ctx),
            Err(error) => self.fail(error, ctx),
        }
    }

    fn fail(&mut self, error: LogError, ctx: &mut Context<Self>) {
        tracing::error!(%error, "the log stops");
        self.tell_clients(Some(Arc::new(error)));
        ctx.stop();
    }

    fn tell_clients(&mut self, error: Option<Arc<LogError>>) {
        for client in std::mem::take(&mut self.clients).into_values() {
            client.failed.do_send(StorageFailed { error: error.clone() });
        }
    }

    fn schedule_idle(&mut self, ctx: &mut Context<Self>) {
        if self.storage.borrow().is_volatile() || self.idle_timer.is_some() {
            return;
        }
        let clock = self.clock.clone();
        let quiet = async move { clock.sleep(IDLE_AFTER).await }.into_actor(self);
        self.idle_timer = Some(ctx.spawn(quiet.map(|(), actor, ctx| {
            actor.idle_timer = None;
            // Between two writes is not idle: the next one would wait for what can wait.
            let has_orders = !actor.share.orders().is_empty();
            if std::mem::take(&mut actor.wrote_lately) || has_orders || actor.syncing.is_some() {
                return actor.schedule_idle(ctx);
            }
            let idle = actor.storage.borrow_mut().idle();
            match idle {
                Ok(true) => actor.schedule_idle(ctx),
                Ok(false) => {}
                Err(error) => actor.fail(error, ctx),
            }
        })));
    }
}

impl Actor for LogStorageActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(0);
        self.schedule_idle(ctx);
    }
}

/// Runs on a crash too: only tells, never writes.
impl Drop for LogStorageActor {
    fn drop(&mut self) {
        self.tell_clients(None);
    }
}

impl Handler<LogClient> for LogStorageActor {
    type Result = ();

    fn handle(&mut self, client: LogClient, ctx: &mut Context<Self>) {
        self.clients.insert(client.group, client);
        if !self.early.is_empty() {
            ctx.notify(Flush);
        }
    }
}

impl Handler<ForgetLogClient> for LogStorageActor {
    type Result = ();

    fn handle(&mut self, ForgetLogClient(group): ForgetLogClient, _: &mut Context<Self>) {
        self.take_orders();
        self.early.retain(|order| order.group != group);
        self.clients.remove(&group);
    }
}

impl Handler<WithLog> for LogStorageActor {
    type Result = ();

    fn handle(&mut self, WithLog(work): WithLog, ctx: &mut Context<Self>) {
        if let Err(error) = self.finish(ctx) {
            // Whoever waits for the work learns from its being dropped that the log is gone.
            return self.fail(error, ctx);
        }
        work(self.storage.borrow_mut().as_mut());
        self.wrote_lately = true;
        self.schedule_idle(ctx);
    }
}

impl Handler<Flush> for LogStorageActor {
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Context<Self>) {
        let outcome = self.flush(ctx);
        self.go_on(outcome, ctx);
    }
}

impl Handler<Refused> for LogStorageActor {
    type Result = ();

    fn handle(&mut self, Refused(error): Refused, ctx: &mut Context<Self>) {
        self.fail(error, ctx);
    }
}

impl Handler<CloseLog> for LogStorageActor {
    type Result = ();

    fn handle(&mut self, _: CloseLog, ctx: &mut Context<Self>) {
        match self.finish(ctx) {
            Ok(()) => {
                let closed = self.storage.borrow_mut().close();
                if let Err(error) = closed {
                    tracing::warn!(%error, "the log is not sealed; all that was acknowledged is in it");
                }
            }
            Err(error) => self.fail(error, ctx),
        }
        ctx.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use raft_consensus::Term;

    use super::*;
    use crate::log_storage::{LogReader, MemoryLog, RecoveredGroup};

    /// A durable log, as far as anybody can tell, that notes what it is asked to do.
    struct Noting {
        log: MemoryLog,
        calls: Arc<Mutex<Vec<&'static str>>>,
    }

    impl LogStorage for Noting {
        fn groups(&self) -> Vec<GroupId> {
            self.log.groups()
        }
        fn recover(&mut self, group: GroupId) -> Result<RecoveredGroup, LogError> {
            self.log.recover(group)
        }
        fn write(&mut self, writes: &[GroupWrite]) -> Result<(), LogError> {
            self.calls.lock().unwrap().push("write");
            self.log.write(writes)
        }
        fn sync(&mut self) -> Result<(), LogError> {
            self.log.sync()
        }
        fn reader(&self) -> Arc<dyn LogReader> {
            self.log.reader()
        }
        fn idle(&mut self) -> Result<bool, LogError> {
            self.calls.lock().unwrap().push("idle");
            Ok(false)
        }
    }

    /// Somebody whose log it is.
    struct Member;

    impl Actor for Member {
        type Context = Context<Self>;
    }

    impl Handler<Persisted> for Member {
        type Result = ();
        fn handle(&mut self, _: Persisted, _: &mut Context<Self>) {}
    }

    impl Handler<StorageFailed> for Member {
        type Result = ();
        fn handle(&mut self, _: StorageFailed, _: &mut Context<Self>) {}
    }

    /// Without a disk, and it refuses its first write.
    struct RefusesOnce {
        log: MemoryLog,
        has_refused: bool,
    }

    impl LogStorage for RefusesOnce {
        fn groups(&self) -> Vec<GroupId> {
            self.log.groups()
        }
        fn recover(&mut self, group: GroupId) -> Result<RecoveredGroup, LogError> {
            self.log.recover(group)
        }
        fn write(&mut self, writes: &[GroupWrite]) -> Result<(), LogError> {
            if std::mem::replace(&mut self.has_refused, true) { self.log.write(writes) } else { Err(LogError::Stopped) }
        }
        fn sync(&mut self) -> Result<(), LogError> {
            self.log.sync()
        }
        fn reader(&self) -> Arc<dyn LogReader> {
            self.log.reader()
        }
        fn is_volatile(&self) -> bool {
            true
        }
    }

    #[actix_rt::test]
    async fn a_log_that_has_refused_a_call_confirms_nothing_any_more() {
        let storage = RefusesOnce { log: MemoryLog::new(), has_refused: false };
        let (_, orders) = LogStorageActor::new(Box::new(storage), Clock::start(), LogShare::default()).start_here();
        let order = |seq| {
            let hard_state = Some(HardState { term: Term::new(seq), vote: None, damage: None });
            orders.order(Persist { group: 1.into(), seq: WriteSeq::new(seq), hard_state, log: None })
        };
        assert!(order(1).is_none());
        assert!(order(2).is_none(), "it would confirm the one before");
    }

    #[actix_rt::test]
    async fn a_log_that_needs_no_disk_is_written_with_a_call_and_others_are_not() {
        let seq = WriteSeq::new(1);
        let hard_state = HardState { term: Term::new(4), vote: None, damage: None };
        let write = || Persist { group: 1.into(), seq, hard_state: Some(hard_state), log: None };
        let (_, orders) =
            LogStorageActor::new(Box::new(MemoryLog::new()), Clock::start(), LogShare::default()).start_here();
        assert!(orders.order(write()).is_some_and(|persisted| persisted.seq == seq));
        let LogOrders::Here { storage, .. } = &orders else { panic!("it is volatile") };
        assert_eq!(storage.borrow_mut().recover(1.into()).unwrap().hard_state, hard_state);
        let durable = Noting { log: MemoryLog::new(), calls: Arc::default() };
        let (_, orders) = LogStorageActor::new(Box::new(durable), Clock::start(), LogShare::default()).start_here();
        assert!(orders.order(write()).is_none());
    }

    #[actix_rt::test]
    async fn an_order_that_overtakes_the_news_of_its_group_is_carried_out() {
        let share = LogShare::default();
        let calls = Arc::<Mutex<Vec<&'static str>>>::default();
        let log = Noting { log: MemoryLog::new(), calls: Arc::clone(&calls) };
        let addr = LogStorageActor::new(Box::new(log), Clock::start(), share.clone()).start();
        let orders = share.orders_to(addr.clone().recipient());
        let hard_state = Some(HardState { term: Term::new(1), vote: None, damage: None });
        orders.order(Persist { group: 1.into(), seq: WriteSeq::new(1), hard_state, log: None });
        // The log looks, and knows nobody yet.
        addr.send(Flush).await.expect("it runs");
        assert_eq!(share.counters.read().writes, 0);
        let client = Member.start();
        let (persisted, failed) = (Arc::new(client.clone().recipient()), client.recipient());
        addr.send(LogClient { group: 1.into(), persisted, failed }).await.expect("it runs");
        addr.send(Flush).await.expect("it runs");
        assert_eq!(share.counters.read().writes, 1);
    }

    #[test]
    fn what_can_wait_does_not_come_between_writes() {
        let paused = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        actix_rt::System::with_tokio_rt(move || paused().expect("a runtime")).block_on(async {
            let clock = Clock::start();
            let calls = Arc::<Mutex<Vec<&'static str>>>::default();
            let share = LogShare::default();
            let log = LogStorageActor::new(
                Box::new(Noting { log: MemoryLog::new(), calls: Arc::clone(&calls) }),
                clock.clone(),
                share.clone(),
            );
            let addr = log.start();
            let client = Member.start();
            let (persisted, failed) = (Arc::new(client.clone().recipient()), client.recipient());
            let orders = share.orders_to(addr.clone().recipient());
            addr.do_send(LogClient { group: 1.into(), persisted, failed });
            for seq in 1..=200 {
                let hard_state = Some(HardState { term: Term::new(seq), vote: None, damage: None });
                orders.order(Persist { group: 1.into(), seq: WriteSeq::new(seq), hard_state, log: None });
                clock.sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(*calls.lock().unwrap(), ["write"; 200]);
            assert_eq!(share.counters.read(), LogCounts { syncs: 200, writes: 200, entries: 0 });
            clock.sleep(10 * IDLE_AFTER).await;
            assert_eq!(calls.lock().unwrap()[200..], ["idle"], "once, for it had no more to do");
        });
    }
}
