//! One run of a simulated node: its tasks, and nothing of it that survives a crash.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use raft_actor::consensus::GroupId;
use raft_actor::log_storage::disk::Disk;
use raft_actor::{GroupError, GroupOptions, HostBuilder, RaftHandle, RaftHost, StartError, StateMachine, StopReason};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::{LocalSet, spawn_local};

use super::disks::GROUP;
use super::machine::Watched;

/// So often a node may want another turn at one moment of time. More is a loop without an end.
const TURNS_MAX: u32 = 100_000;
/// So many orders may wait for the ones before them.
const ORDERS_MAX: usize = 256;

/// A handle to a member of a group of the simulation.
pub(super) type Handle<S> = RaftHandle<Watched<S>>;

/// What has become of a process and of its groups.
pub(super) enum News<S: StateMachine> {
    /// It runs, and its log knows of these groups. A host of one group runs that as well.
    Started(Vec<GroupId>),
    /// It does not start.
    Fails(StartError),
    /// It has stopped.
    Stopped(StopReason),
    /// A group runs.
    Runs(GroupId, Handle<S>),
    /// A group does not.
    GroupFails(GroupId, GroupError),
    /// A group does not run any more.
    GroupStopped(GroupId, StopReason),
    /// A group was destroyed, or not.
    Destroyed(GroupId, Result<(), GroupError>),
    /// What came of the wish to have a group again that was destroyed.
    Revived(GroupId, Result<(), GroupError>),
}

/// What the application on a host of several groups is to do.
pub(super) enum Order<S: StateMachine> {
    /// Run this group: open it if it is there, or else create it.
    Serve(GroupId, Box<Watched<S>>, GroupOptions),
    /// Destroy it.
    Destroy(GroupId),
    /// Try to have one again that was destroyed.
    Revive(GroupId, Box<Watched<S>>, GroupOptions),
    /// Stop, as after a SIGTERM.
    ShutDown,
}

/// In the order in which it happened.
type AllNews<S> = Rc<RefCell<VecDeque<News<S>>>>;

/// A process. Dropping it is a crash: whatever ran in it is gone at once.
///
/// Its tasks are a set of their own: to not poll it is to stop the process, as with SIGSTOP.
pub(super) struct Process<S: StateMachine> {
    // The handles go first: their end may still be said to the tasks.
    pub(super) handles: BTreeMap<GroupId, Handle<S>>,
    orders: Option<Sender<Order<S>>>,
    /// As it sees the disk of its server.
    disk: Arc<dyn Disk>,
    news: AllNews<S>,
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
    /// A process that is about to start a host of one group.
    pub(super) fn new(builder: HostBuilder, disk: Arc<dyn Disk>, machine: Watched<S>) -> Self {
        let process = Self::of_nothing(disk, None);
        let news = Rc::clone(&process.news);
        process.tasks.spawn_local(async move {
            let handle = match builder.start(machine).await {
                Ok(handle) => handle,
                Err(error) => return news.borrow_mut().push_back(News::Fails(error)),
            };
            let end = handle.admin().stopped();
            news.borrow_mut().extend([News::Started(vec![GROUP]), News::Runs(GROUP, handle)]);
            let reason = end.await;
            news.borrow_mut().push_back(News::Stopped(reason));
        });
        process
    }

    /// A process that is about to start a host of several groups, and does with them what it is [told](Self::tell).
    pub(super) fn of_groups(builder: HostBuilder, disk: Arc<dyn Disk>) -> Self {
        let (orders, mut told) = channel(ORDERS_MAX);
        let process = Self::of_nothing(disk, Some(orders));
        let news = Rc::clone(&process.news);
        process.tasks.spawn_local(async move {
            let host = match builder.start_host().await {
                Ok(host) => host,
                Err(error) => return news.borrow_mut().push_back(News::Fails(error)),
            };
            news.borrow_mut().push_back(News::Started(host.groups().into_keys().collect()));
            let (end, of_the_end) = (host.stopped(), Rc::clone(&news));
            spawn_local(async move {
                let reason = end.await;
                of_the_end.borrow_mut().push_back(News::Stopped(reason));
            });
            while let Some(order) = told.recv().await {
                carry_out(&host, order, &news).await;
            }
        });
        process
    }

    fn of_nothing(disk: Arc<dyn Disk>, orders: Option<Sender<Order<S>>>) -> Self {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        let (handles, news) = (BTreeMap::new(), AllNews::default());
        Self { handles, orders, disk, news, tasks: LocalSet::new(), flag, waker }
    }

    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Has a host of several groups do something, behind what it was told before. Returns whether it is one.
    pub(super) fn tell(&self, order: Order<S>) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.try_send(order).is_ok())
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

    /// Whether there is anything to stop in order.
    pub(super) fn has_started(&self) -> bool {
        !self.handles.is_empty()
    }

    /// The process is asked to stop, as by SIGTERM.
    pub(super) fn shut_down(&self) {
        if !self.tell(Order::ShutDown)
            && let Some(handle) = self.handles.get(&GROUP)
        {
            // It goes on whether or not anybody waits for it.
            drop(handle.shutdown());
        }
    }

    /// What has happened; once.
    pub(super) fn take_news(&mut self) -> Option<News<S>> {
        self.news.borrow_mut().pop_front()
    }
}

async fn carry_out<S: StateMachine>(host: &RaftHost, order: Order<S>, news: &AllNews<S>) {
    let new = match order {
        Order::Serve(group, machine, options) => match serve(host, group, *machine, options).await {
            Ok(handle) => {
                let (end, of_the_end) = (handle.admin().stopped(), Rc::clone(news));
                spawn_local(async move {
                    let reason = end.await;
                    of_the_end.borrow_mut().push_back(News::GroupStopped(group, reason));
                });
                News::Runs(group, handle)
            }
            Err(error) => News::GroupFails(group, error),
        },
        Order::Destroy(group) => News::Destroyed(group, host.destroy_group(group).await),
        Order::Revive(group, machine, options) => {
            News::Revived(group, host.create_group(group, *machine, options).await.map(drop))
        }
        Order::ShutDown => {
            // It goes on whether or not anybody waits for it.
            drop(host.shutdown());
            return;
        }
    };
    news.borrow_mut().push_back(new);
}

async fn serve<S: StateMachine>(
    host: &RaftHost,
    group: GroupId,
    machine: Watched<S>,
    options: GroupOptions,
) -> Result<Handle<S>, GroupError> {
    if host.groups().contains_key(&group) {
        host.open_group(group, machine, options).await
    } else {
        host.create_group(group, machine, options).await
    }
}
