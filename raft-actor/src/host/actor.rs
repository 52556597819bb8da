//! The actor that holds a host's parts together and takes them down in order.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use actix::prelude::*;
use raft_consensus::GroupId;
use tokio::sync::watch;

use super::NodeThread;
use super::inbound::HostInbound;
use crate::handle::{HostControl, StopReason};
use crate::log_storage::{CloseLog, LogStorageActor};
use crate::node::{GroupStopped, MembersChanged, RaftNode, StopNode};
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

/// Owns what a host is made of. When its only group has stopped, for whatever reason, the host ends.
pub(super) struct HostActor {
    pub(super) inbound: Arc<HostInbound>,
    /// Dropping it stops the transport; streams and nodes hold clones, so they go first.
    pub(super) outbound: Option<Rc<dyn Outbound>>,
    pub(super) storage: Addr<LogStorageActor>,
    /// What is still being written when the host stops is given up.
    pub(super) snapshots: SnapshotStore,
    pub(super) groups: BTreeMap<GroupId, Addr<RaftNode>>,
    /// The threads of log and state machine, where they have their own.
    pub(super) arbiters: Vec<Arbiter>,
    pub(super) log_has_a_thread: bool,
    pub(super) timer: actix_rt::task::JoinHandle<()>,
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

    fn handle(&mut self, Shutdown { reason }: Shutdown, _: &mut Context<Self>) {
        for node in self.groups.values() {
            node.do_send(StopNode { reason: reason.clone() });
        }
    }
}

impl Handler<GroupStopped> for HostActor {
    type Result = ();

    fn handle(&mut self, GroupStopped { group, reason }: GroupStopped, ctx: &mut Context<Self>) {
        self.groups.remove(&group);
        self.inbound.groups.remove(&group);
        self.reason.get_or_insert(reason);
        if self.groups.is_empty()
            && let Some(outbound) = self.outbound.take()
        {
            self.wind_down(outbound, ctx);
        }
    }
}

impl Handler<MembersChanged> for HostActor {
    type Result = ();

    fn handle(&mut self, changed: MembersChanged, _: &mut Context<Self>) {
        self.inbound.gate.follow(changed);
    }
}

impl HostActor {
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
        self.timer.abort();
        self.outbound = None;
        let arbiters = std::mem::take(&mut self.arbiters);
        let own_thread = self.own_thread.take();
        let inbound = Arc::clone(&self.inbound);
        // Whoever is told that the host is down may start it again at once, with the same directory.
        self.snapshots.close();
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
