//! A group joins what the host has: its log, its transport, its timer, its threads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::WeakRecipient;
use actix::prelude::*;
use raft_consensus::{GroupId, NodeId, Raft, Settings, Start};
use tokio::sync::watch;

use super::actor::{HostActor, HostHold, Member};
use super::open::Loaded;
use super::outlet::GroupOutbound;
use super::snapshot_settings::SnapshotSettings;
use crate::events::EventFeed;
use crate::handle::{
    DEFAULT_LIFETIME, Gateway, HandleParts, HostControl, NodeFace, Queue, QueueLimits, RaftHandle, SessionNames,
    Status, StopReason, Subscriptions,
};
use crate::log_storage::{LogCache, LogClient, RecoveredGroup};
use crate::node::{Front, Machine, NodeParts, Peers, RaftNode, StopNode, SuffrageGranted};
use crate::replication::{SnapshotPace, StreamContext};
use crate::state_machine::snapshots::SnapshotStore;
use crate::state_machine::{Feedback, MachineParts, Owner, StateMachine, StateMachineActor};

/// How a group is to be; see [`RaftHost::create_group`](super::RaftHost::create_group).
///
/// The default: founded by all [peers](super::HostBuilder::peers) of the host, with its settings.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct GroupOptions {
    pub(super) founders: Option<BTreeMap<NodeId, String>>,
    pub(super) join: bool,
    pub(super) settings: Option<Settings>,
    /// `None`: as the host. Otherwise how much clocks may be off, in percent, if there are to be lease reads.
    pub(super) lease_drift_percent_max: Option<Option<u8>>,
    pub(super) snapshots: SnapshotSettings,
    pub(super) queue_limits: QueueLimits,
    pub(super) session_lifetime: Option<Duration>,
    pub(super) rest_after: Option<Duration>,
}

impl GroupOptions {
    /// The first members of the group with their addresses, this host included; the same list on all of them. It
    /// matters when the group is created; from then on its log says who the members are.
    pub fn members<I, N, A>(mut self, members: I) -> Self
    where
        I: IntoIterator<Item = (N, A)>,
        N: Into<NodeId>,
        A: Into<String>,
    {
        self.founders = Some(members.into_iter().map(|(id, address)| (id.into(), address.into())).collect());
        self
    }

    /// Do not found the group; wait to be added to one that runs on other hosts.
    pub fn join(mut self) -> Self {
        self.join = true;
        self
    }

    /// Times and limits of the protocol. Default: those of the host.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    /// Found the group with lease reads, or, with `None`, without; see
    /// [`HostBuilder::lease_reads`](super::HostBuilder::lease_reads), which is the default. The same on all founders, as
    /// is the minimum election timeout. It matters when the group is created; from then on it stands in its log.
    pub fn lease_reads(mut self, drift_percent_max: impl Into<Option<u8>>) -> Self {
        self.lease_drift_percent_max = Some(drift_percent_max.into());
        self
    }

    /// Take a snapshot whenever so many entries were applied since the last one, and purge the log behind it; 0: never
    /// by this count. Wins over the [`settings`](GroupOptions::settings).
    pub fn snapshot_every(mut self, entries: u64) -> Self {
        self.snapshots.entries = Some(entries);
        self
    }

    /// Keep so many entries of the log behind a snapshot for followers that lag a little: they need no snapshot then.
    /// Wins over the [`settings`](GroupOptions::settings).
    pub fn log_tail(mut self, entries: u64) -> Self {
        self.snapshots.tail_entries = Some(entries);
        self
    }

    /// How many requests of clients may be under way at a time in this group.
    pub fn queue_limits(mut self, limits: QueueLimits) -> Self {
        self.queue_limits = limits;
        self
    }

    /// How long a [`Session`](crate::Session) of this group is remembered; see
    /// [`HostBuilder::session_lifetime`](super::HostBuilder::session_lifetime).
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = Some(lifetime);
        self
    }

    /// After how long without any activity the group rests: its leader sends no heartbeats any more, as long as the hosts
    /// of its members are heard. Zero: never. The same on all members. Default: two minimum election timeouts.
    pub fn rest_after(mut self, time: Duration) -> Self {
        self.rest_after = Some(time);
        self
    }

    pub(super) fn lifetime(&self) -> Duration {
        self.session_lifetime.unwrap_or(DEFAULT_LIFETIME)
    }
}

/// A group that is about to run.
pub(super) struct NewGroup<S> {
    pub(super) group: GroupId,
    pub(super) machine: S,
    /// What the machine has applied.
    pub(super) loaded: Loaded,
    pub(super) recovered: RecoveredGroup,
    pub(super) snapshots: SnapshotStore,
    pub(super) settings: Settings,
    pub(super) queue_limits: QueueLimits,
    pub(super) session_lifetime: Duration,
    /// Tells this run of the group from all others, and seeds its chance.
    pub(super) seed: u64,
    /// Bytes of the newest log kept in memory beyond what must be.
    pub(super) cache_bytes_max: u64,
    pub(super) life: Life,
}

/// How long a group runs.
pub(super) enum Life {
    /// It is the host's only one: they end together.
    WithHost,
    /// As long as somebody has a handle of it. Its handles keep the host running.
    OfItsOwn(Arc<HostHold>),
}

impl HostActor {
    /// Starts a group on the node's thread.
    pub(super) fn add_group<S: StateMachine>(&mut self, host: &Addr<Self>, new: NewGroup<S>) -> RaftHandle<S> {
        let NewGroup { group, machine, loaded, recovered, snapshots, settings, seed, .. } = new;
        let ground = &self.ground;
        let clock = ground.clock.clone();
        self.life_signs.serve(&settings, clock.now());
        let pace = SnapshotPace::of(&settings, ground.snapshot_message_bytes_max);
        let raft = Raft::new(Start {
            id: ground.node,
            settings,
            hard_state: recovered.hard_state,
            log: recovered.log,
            snapshot: snapshots.newest().map(|file| file.meta().clone()),
            applied: loaded.covered.position.index,
            suffrage: self.inbound.gate.has_suffrage(),
            directory: Some(self.inbound.gate.hello().directory),
            seed,
            now: clock.now(),
        });
        let (queue, node_queue) = Queue::<S>::new(new.queue_limits, clock.clone());
        let (status, status_seen) =
            watch::channel(Arc::new(Status::new(Arc::clone(&ground.cluster), &raft.status(), clock.now())));
        let subscriptions = Subscriptions::default();
        let events = EventFeed::new(ground.node, group);
        let front = Front {
            queue: Arc::new(node_queue),
            status,
            subscriptions: subscriptions.clone(),
            events: events.clone(),
            cluster: Arc::clone(&ground.cluster),
            status_of: None,
        };
        let outbound = self.outbound.clone().expect("a host that winds down is asked for no group");
        let node = RaftNode::create(|ctx| {
            let context = StreamContext {
                node: ground.node,
                group,
                cache: Rc::new(RefCell::new(LogCache::new(new.cache_bytes_max))),
                reader: Arc::clone(&ground.reader),
                reader_is_fast: ground.log_is_inline,
                outbound: Rc::new(GroupOutbound::new(group, outbound, Arc::clone(&self.inbound))),
                unreadable: ctx.address().downgrade().recipient(),
                unreachable: ctx.address().downgrade().recipient(),
                snapshots: snapshots.clone(),
                pace,
                clock: clock.clone(),
            };
            let feedback = Feedback {
                applied: ctx.address().recipient(),
                stopped: ctx.address().recipient(),
                snapshots: ctx.address().recipient(),
            };
            let parts = MachineParts {
                owner: Owner { cluster: Arc::clone(&ground.cluster), group },
                covered: loaded.covered,
                sessions: loaded.sessions,
                stored: loaded.stored,
                snapshots: snapshots.clone(),
                saves_here: ground.is_on_one_thread,
                feedback,
                clock: clock.clone(),
            };
            let machine = start_machine(machine, parts, ground.machine_arbiter.as_ref());
            self.storage.do_send(LogClient {
                group,
                persisted: Arc::new(ctx.address().recipient()),
                failed: ctx.address().recipient(),
            });
            RaftNode::new(NodeParts {
                raft,
                clock,
                observer: ground.observer.clone(),
                context,
                storage: ground.log_orders.clone(),
                machine,
                front,
                timer: ground.timer.clone(),
                turns: ground.turns.clone(),
                host: host.clone().recipient(),
                members: host.clone().recipient(),
                peers: Peers::new(ground.peers.clone(), self.inbound.gate.configured(group)),
                session_lifetime: new.session_lifetime,
                run: seed,
            })
        });
        self.inbound.groups.insert(group, node.clone());
        self.inbound.tell_met(&node);
        // It may have been granted between the look at it above and the line before this one.
        if self.inbound.gate.has_suffrage() {
            node.do_send(SuffrageGranted);
        }
        self.ground.presence.runs(group);
        let (host, stopped, told) = self.life(host, &node, new.life);
        let face = NodeFace {
            status: status_seen,
            stopped,
            log: Arc::clone(&self.ground.log_counters),
            change_membership: node.downgrade().recipient(),
            transfer_leadership: node.downgrade().recipient(),
            take_snapshot: node.downgrade().recipient(),
            subscriptions,
            events,
            host,
        };
        self.groups.insert(group, Member { node, snapshots, stopped: told });
        self.follow_hosts();
        self.keep_pulse();
        RaftHandle::new(HandleParts {
            gateway: Gateway::new(Arc::clone(&queue)).start(),
            queue,
            node: Arc::new(face),
            sessions: SessionNames::new(seed),
        })
    }

    /// What stops the group, who is told that it has stopped, and who tells.
    fn life(&self, host: &Addr<Self>, node: &Addr<RaftNode>, life: Life) -> (Arc<dyn HostControl>, Ended, Option<End>) {
        match life {
            Life::WithHost => {
                let stopped = self.stopped.subscribe();
                (Arc::new(HostHold { host: host.clone().recipient(), stopped: stopped.clone() }), stopped, None)
            }
            Life::OfItsOwn(hold) => {
                let (end, stopped) = watch::channel(None);
                let control = GroupHold { node: node.downgrade().recipient(), stopped: stopped.clone(), _host: hold };
                (Arc::new(control), stopped, Some(end))
            }
        }
    }
}

/// Told when a group has stopped.
type Ended = watch::Receiver<Option<StopReason>>;
/// Tells it.
pub(super) type End = watch::Sender<Option<StopReason>>;

fn start_machine<S: StateMachine>(machine: S, parts: MachineParts, arbiter: Option<&ArbiterHandle>) -> Machine {
    let (here, addr) = match arbiter {
        Some(arbiter) => {
            let new = move |_: &mut Context<StateMachineActor<S>>| StateMachineActor::new(machine, parts);
            (None, StateMachineActor::start_in_arbiter(arbiter, new))
        }
        None => {
            let actor = StateMachineActor::new(machine, parts);
            (actor.here(), actor.start())
        }
    };
    Machine {
        here,
        apply: addr.clone().recipient(),
        query: addr.clone().recipient(),
        take_snapshot: addr.clone().recipient(),
        restore: addr.recipient(),
    }
}

/// A group of several as its handles hold it. Dropped with the last of them, it stops the group at once.
struct GroupHold {
    node: WeakRecipient<StopNode>,
    stopped: Ended,
    /// The host runs as long as one of its groups does.
    _host: Arc<HostHold>,
}

impl GroupHold {
    fn stop(&self, reason: StopReason) {
        if let Some(node) = self.node.upgrade() {
            node.do_send(StopNode { reason });
        }
    }
}

impl HostControl for GroupHold {
    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.stop(StopReason::ShutDown);
        let mut stopped = self.stopped.clone();
        Box::pin(async move {
            // The sender goes away only when the host has ended, too.
            let _ = stopped.wait_for(Option::is_some).await;
        })
    }
}

impl Drop for GroupHold {
    fn drop(&mut self) {
        self.stop(StopReason::Dropped);
    }
}
