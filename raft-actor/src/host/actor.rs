//! The actor that holds a host's parts together and takes them down in order.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use actix::prelude::*;
use raft_consensus::{GroupId, NodeId};
use tokio::sync::watch;

use super::NodeThread;
use super::group::End;
use super::inbound::HostInbound;
use super::life_signs::LifeSigns;
use super::presence::Presence;
use crate::clock::Clock;
use crate::handle::{HostControl, StopReason};
use crate::log_storage::{CloseLog, ForgetLogClient, LogCounters, LogOrders, LogReader, LogStorageActor};
use crate::node::{Alarm, GroupStopped, MembersChanged, RaftNode, StopNode, Timer, Turns};
use crate::observer::Observer;
use crate::state_machine::snapshots::SnapshotStore;
use crate::transport::Outbound;

/// How long a thread gets to end before it is left behind; only user code that never returns takes that long.
const JOIN_MAX: Duration = Duration::from_secs(10);

/// So many turns node and streams get to let go of the transport; only a disk that does not answer takes more.
const TURNS_MAX: usize = 1000;

/// Take the host down, in order.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct Shutdown {
    pub(crate) reason: StopReason,
}

/// Do this with the host, on its thread.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct WithHost(pub(super) HostWork);

type HostWork = Box<dyn FnOnce(&mut HostActor, &mut Context<HostActor>) + Send>;

/// What all groups of a host stand on.
pub(super) struct Ground {
    pub(super) node: NodeId,
    pub(super) cluster: Arc<str>,
    pub(super) clock: Clock,
    pub(super) observer: Option<Arc<dyn Observer>>,
    pub(super) timer: Timer,
    pub(super) turns: Turns,
    pub(super) reader: Arc<dyn LogReader>,
    pub(super) log_orders: LogOrders,
    pub(super) log_counters: Arc<LogCounters>,
    /// Whether the log runs beside the nodes: it needs no disk, or nothing has a thread.
    pub(super) log_is_inline: bool,
    /// Whether no thread may be started.
    pub(super) is_on_one_thread: bool,
    /// Where the state machines run, unless beside the nodes.
    pub(super) machine_arbiter: Option<ArbiterHandle>,
    /// Where the operator says that other hosts are.
    pub(super) peers: BTreeMap<NodeId, String>,
    pub(super) snapshot_message_bytes_max: u64,
    pub(super) presence: Arc<Presence>,
}

/// A group that runs here.
pub(super) struct Member {
    pub(super) node: Addr<RaftNode>,
    /// What is still being written when the group stops is given up.
    pub(super) snapshots: SnapshotStore,
    /// Told when it has stopped; `None` if the host ends with it.
    pub(super) stopped: Option<End>,
}

/// Owns what a host is made of.
pub(super) struct HostActor {
    pub(super) ground: Ground,
    pub(super) inbound: Arc<HostInbound>,
    /// Dropping it stops the transport; streams and nodes hold clones, so they go first.
    pub(super) outbound: Option<Rc<dyn Outbound>>,
    pub(super) storage: Addr<LogStorageActor>,
    pub(super) groups: BTreeMap<GroupId, Member>,
    /// What is said to other hosts, and heard of them, on behalf of groups that rest.
    pub(super) life_signs: LifeSigns,
    pub(super) alarm: Option<Alarm>,
    /// It takes in no groups any more, and ends with the last of those it has.
    pub(super) is_ending: bool,
    /// The threads of log and state machine, where they have their own.
    pub(super) arbiters: Vec<Arbiter>,
    pub(super) log_has_a_thread: bool,
    /// Timer and turns.
    pub(super) tasks: [actix_rt::task::JoinHandle<()>; 2],
    /// The thread that this runs on, if it is the host's own.
    pub(super) own_thread: Option<NodeThread>,
    /// Told when everything is down.
    pub(super) stopped: watch::Sender<Option<StopReason>>,
    pub(super) reason: Option<StopReason>,
}

impl Actor for HostActor {
    type Context = Context<Self>;
}

impl Handler<Shutdown> for HostActor {
    type Result = ();

    fn handle(&mut self, Shutdown { reason }: Shutdown, ctx: &mut Context<Self>) {
        self.end(reason, ctx);
    }
}

impl Handler<WithHost> for HostActor {
    type Result = ();

    fn handle(&mut self, WithHost(work): WithHost, ctx: &mut Context<Self>) {
        // Whoever waits for what it does learns from its being dropped that the host ends.
        if !self.is_ending {
            work(self, ctx);
        }
    }
}

impl Handler<GroupStopped> for HostActor {
    type Result = ();

    fn handle(&mut self, GroupStopped { group, reason }: GroupStopped, ctx: &mut Context<Self>) {
        let Some(member) = self.groups.remove(&group) else { return };
        self.inbound.groups.remove(&group);
        self.storage.do_send(ForgetLogClient(group));
        // Whoever is told that it has stopped may open it again at once, with the same directory.
        member.snapshots.close();
        self.ground.presence.stopped(group);
        self.life_signs.group_stopped(group, self.ground.clock.now());
        self.keep_pulse();
        let log_is_lost = matches!(reason, StopReason::Log(_) | StopReason::Lost { part: LOG });
        match member.stopped {
            Some(stopped) => {
                stopped.send_replace(Some(reason.clone()));
                if log_is_lost && !self.is_ending {
                    self.end(reason.clone(), ctx);
                }
            }
            None => self.is_ending = true,
        }
        if self.is_ending {
            self.reason.get_or_insert(reason);
            self.wind_down_if_empty(ctx);
        }
    }
}

impl Handler<MembersChanged> for HostActor {
    type Result = ();

    fn handle(&mut self, changed: MembersChanged, _: &mut Context<Self>) {
        let are_others = self.inbound.gate.follow(&changed);
        if let Some(outbound) = &self.outbound {
            for peer in are_others {
                // Whoever is there now may not be the one that counts, and that one may have been refused.
                outbound.forget(peer);
                if let Some(address) = changed.addresses.get(&peer) {
                    outbound.set_address(peer, address);
                }
            }
        }
        self.follow_hosts();
    }
}

/// What the log's actor is called in a [`StopReason::Lost`].
const LOG: &str = "LogStorage";

impl HostActor {
    /// Stops all groups, and with the last of them the host.
    fn end(&mut self, reason: StopReason, ctx: &mut Context<Self>) {
        self.is_ending = true;
        for member in self.groups.values() {
            member.node.do_send(StopNode { reason: reason.clone() });
        }
        if self.groups.is_empty() {
            self.reason.get_or_insert(reason);
            self.wind_down_if_empty(ctx);
        }
    }

    fn wind_down_if_empty(&mut self, ctx: &mut Context<Self>) {
        if self.groups.is_empty()
            && let Some(outbound) = self.outbound.take()
        {
            self.wind_down(outbound, ctx);
        }
    }

    /// Ends once those who live on this very thread are gone: nobody joins that one, and whoever is told that
    /// the host is down may start it again at once, with the same directory and the same address.
    fn wind_down(&self, outbound: Rc<dyn Outbound>, ctx: &mut Context<Self>) {
        let closed = self.storage.send(CloseLog);
        let log_has_a_thread = self.log_has_a_thread;
        let parts_gone = async move {
            if !log_has_a_thread {
                // An error means that it is gone already.
                let _ = closed.await;
            }
            for _ in 0..TURNS_MAX {
                if Rc::strong_count(&outbound) == 1 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        ctx.spawn(parts_gone.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

/// Runs on a crash, too. Threads are joined on a thread of their own: none may wait for itself.
impl Drop for HostActor {
    fn drop(&mut self) {
        self.tasks.iter().for_each(actix_rt::task::JoinHandle::abort);
        self.outbound = None;
        let arbiters = std::mem::take(&mut self.arbiters);
        let own_thread = self.own_thread.take();
        let inbound = Arc::clone(&self.inbound);
        // Whoever is told that the host is down may start it again at once, with the same directory.
        for member in self.groups.values() {
            member.snapshots.close();
        }
        let stopped = self.stopped.clone();
        let reason = self.reason.take().unwrap_or(StopReason::Lost { part: "RaftHost" });
        let has_threads = !arbiters.is_empty() || own_thread.is_some();
        let take_down = move || {
            join_all(arbiters.into_iter().map(|arbiter| move || stop_and_join(arbiter)));
            join_all(own_thread.into_iter().map(|thread| move || thread.stop_and_join()));
            inbound.gate.close();
            stopped.send_replace(Some(reason));
        };
        if !has_threads {
            return take_down();
        }
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let undertaker = std::thread::Builder::new().name("raft-undertaker".to_owned());
        let spawned = undertaker.spawn(move || tracing::dispatcher::with_default(&dispatch, take_down));
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread to take the host down with; its threads end by themselves");
        }
    }
}

fn stop_and_join(arbiter: Arbiter) {
    arbiter.stop();
    // A panic there has been reported by the panic hook.
    let _ = arbiter.join();
}

/// Waits for threads to end, but not for ever: user code or a disk may never return.
fn join_all(threads: impl Iterator<Item = impl FnOnce() + Send + 'static>) {
    let (done, all_done) = mpsc::channel();
    let mut count = 0;
    for join in threads {
        let done = done.clone();
        count += 1;
        std::thread::spawn(move || {
            join();
            let _ = done.send(());
        });
    }
    for _ in 0..count {
        if all_done.recv_timeout(JOIN_MAX).is_err() {
            tracing::error!("a thread of this host does not end; it is left behind");
            return;
        }
    }
}

/// The host as its handles hold it. Dropped with the last of them, it stops the host.
pub(super) struct HostHold {
    pub(super) host: Recipient<Shutdown>,
    pub(super) stopped: watch::Receiver<Option<StopReason>>,
}

impl HostControl for HostHold {
    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.host.do_send(Shutdown { reason: StopReason::ShutDown });
        let mut stopped = self.stopped.clone();
        Box::pin(async move {
            // The sender goes away only when everything is down, too.
            let _ = stopped.wait_for(Option::is_some).await;
        })
    }
}

impl Drop for HostHold {
    fn drop(&mut self) {
        self.host.do_send(Shutdown { reason: StopReason::Dropped });
    }
}
