//! Puts a host together, on its own thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use raft_consensus::{LogIndex, NodeId, Raft, Settings, Start};
use tokio::sync::{oneshot, watch};

use super::actor::{HostActor, HostHold};
use super::builder::HostBuilder;
use super::gate::Gate;
use super::inbound::HostInbound;
use super::open::{GROUP, Loaded, Opened, open};
use super::{NodeThread, Placement, StartError, threads};
use crate::clock::Clock;
use crate::events::EventFeed;
use crate::handle::{
    Gateway, HandleParts, NodeFace, Queue, QueueLimits, RaftHandle, SessionNames, Status, Subscriptions,
};
use crate::log_storage::{LogCache, LogClient, LogStorageActor};
use crate::node::{Front, Machine, MembersChanged, NodeParts, Peers, RaftNode, SuffrageGranted, Timer};
use crate::observer::Observer;
use crate::replication::{SnapshotPace, StreamContext};
use crate::state_machine::{Feedback, MachineParts, StateMachine, StateMachineActor};
use crate::transport::{Hello, Inbound, Outbound, Transport};

/// Bytes of the newest log kept in memory beyond what must be.
const CACHE_BYTES_MAX: u64 = 16 << 20;

/// Everything that travels to the host's thread.
struct Kit<S> {
    opened: Opened,
    node: NodeId,
    cluster: String,
    transport: Box<dyn Transport>,
    peers: std::collections::BTreeMap<NodeId, String>,
    join: bool,
    settings: Settings,
    placement: Placement,
    seed: u64,
    queue_limits: QueueLimits,
    /// With what it has applied.
    machine: (S, Loaded),
    session_lifetime: Duration,
    /// The node's thread, if it ends with the host.
    own_thread: Option<NodeThread>,
    clock: Clock,
    observer: Option<Arc<dyn Observer>>,
}

impl HostBuilder {
    /// Starts the host on threads of its own; works on any runtime, and on none.
    ///
    /// Ready as soon as the host runs, whether or not somebody leads yet: requests wait for that.
    ///
    /// # Errors
    /// If something is missing or does not fit, if the directory or log cannot be
    /// used, or the transport cannot listen.
    pub async fn start<S: StateMachine>(self, machine: S) -> Result<RaftHandle<S>, StartError> {
        self.validate()?;
        start(self, machine).await
    }
}

async fn start<S: StateMachine>(mut builder: HostBuilder, mut machine: S) -> Result<RaftHandle<S>, StartError> {
    let node = builder.node.expect("validated before");
    if builder.placement.is_current_thread() {
        let opened = open(&mut builder, node)?;
        let loaded = opened.load_machine(&mut machine)?;
        return assemble(Kit::new(opened, builder, node, (machine, loaded), None));
    }
    // Opening reads the disk: on a thread of its own, so that no runtime stands still.
    let (opened, builder) = on_a_thread("raft-open", move || {
        let loaded = open(&mut builder, node).and_then(|opened| {
            let loaded = opened.load_machine(&mut machine)?;
            Ok((opened, (machine, loaded)))
        });
        (loaded, builder)
    })
    .await?;
    let (opened, machine) = opened?;
    let thread = builder.placement.node_thread(node).map_err(StartError::Thread)?;
    let thread = thread.expect("only the placement on the current thread has no other one");
    let own_thread = builder.placement.owns_node_thread().then(|| thread.clone());
    let kit = Kit::new(opened, builder, node, machine, own_thread);
    let (done, started) = oneshot::channel();
    thread.run(move || {
        // Nobody waits any more if the caller was dropped; the handle's end then stops the host.
        let _ = done.send(assemble(kit));
    });
    started.await.map_err(|_| StartError::Crashed)?
}

impl<S> Kit<S> {
    fn new(
        opened: Opened,
        mut builder: HostBuilder,
        node: NodeId,
        machine: (S, Loaded),
        own_thread: Option<NodeThread>,
    ) -> Self {
        let seed = builder.draw_seed();
        builder.snapshots.apply_to(&mut builder.settings);
        Self {
            opened,
            node,
            cluster: builder.cluster,
            transport: builder.transport.expect("validated before"),
            peers: builder.peers,
            join: builder.join,
            settings: builder.settings,
            placement: builder.placement,
            seed,
            queue_limits: builder.queue_limits,
            session_lifetime: builder.session_lifetime,
            machine,
            own_thread,
            clock: builder.clock.unwrap_or_else(Clock::start),
            observer: builder.observer,
        }
    }
}

/// Runs on the node's thread.
fn assemble<S: StateMachine>(kit: Kit<S>) -> Result<RaftHandle<S>, StartError> {
    let Kit { opened, node, cluster, transport, peers, join, settings, placement, clock, observer, .. } = kit;
    let Opened { identity, directory, storage, recovered, snapshots } = opened;
    let (machine, Loaded { covered, sessions }) = kit.machine;
    let hello = Hello {
        node,
        cluster: cluster.clone(),
        incarnation: identity.incarnation,
        directory: identity.directory,
        address: transport.address(),
    };
    let cluster: Arc<str> = cluster.into();
    let founders = if join { Default::default() } else { peers.keys().copied().collect() };
    let gate = Gate::new(hello.clone(), founders, identity, directory);
    let configured = gate.configured();
    // Which of its configurations are committed will be seen; so far all of them may count.
    let members = recovered.log.members_from(LogIndex::ZERO);
    gate.follow(MembersChanged { committed: configured, left: Default::default(), members });
    let inbound = Arc::new(HostInbound::new(gate, clock.clone()));
    let pace = SnapshotPace::of(&settings, transport.snapshot_message_bytes_max());
    let outbound = listen(transport, hello, Arc::clone(&inbound) as Arc<dyn Inbound>)?;
    // What the operator says now comes last and wins over what the log remembers: hosts move while they are down.
    for (peer, address) in recovered.log.configuration().addresses.iter().chain(&peers) {
        if *peer != node {
            outbound.set_address(*peer, address);
        }
    }

    let is_volatile = storage.is_volatile();
    let reader = storage.reader();
    let mut arbiters = Vec::new();
    let is_log_inline = is_volatile || placement.is_current_thread();
    let storage = if is_log_inline {
        LogStorageActor::new(storage, clock.clone()).start()
    } else {
        let arbiter = threads::spawn_arbiter();
        let log_clock = clock.clone();
        let addr =
            LogStorageActor::start_in_arbiter(&arbiter.handle(), move |_| LogStorageActor::new(storage, log_clock));
        arbiters.push(arbiter);
        addr
    };
    let timer = Timer::new(clock.clone());
    let timer_task = actix_rt::spawn(timer.clone().run());
    let raft = Raft::new(Start {
        id: node,
        settings,
        hard_state: recovered.hard_state,
        log: recovered.log,
        snapshot: snapshots.newest().map(|file| file.meta().clone()),
        applied: covered.position.index,
        suffrage: inbound.gate.has_suffrage(),
        seed: kit.seed,
        now: clock.now(),
    });
    let (queue, node_queue) = Queue::<S>::new(kit.queue_limits, clock.clone());
    let (status, status_seen) =
        watch::channel(Arc::new(Status::new(Arc::clone(&cluster), &raft.status(), clock.now())));
    let (stopped, stopped_seen) = watch::channel(None);
    let subscriptions = Subscriptions::default();
    let events = EventFeed::new(node, GROUP);
    let front = Front {
        queue: Arc::new(node_queue),
        status,
        subscriptions: subscriptions.clone(),
        events: events.clone(),
        cluster,
    };
    let context = StreamContext {
        node,
        group: GROUP,
        cache: Rc::new(RefCell::new(LogCache::new(CACHE_BYTES_MAX))),
        reader,
        reader_is_fast: is_log_inline,
        outbound: Rc::clone(&outbound),
        inbound: Arc::clone(&inbound) as Arc<dyn Inbound>,
        snapshots: snapshots.clone(),
        pace,
        clock: clock.clone(),
    };
    let machine_arbiter = (!placement.is_apply_inline()).then(threads::spawn_arbiter);
    let (mut change_membership, mut transfer_leadership, mut take_snapshot) = (None, None, None);
    let host = HostActor::create(|ctx| {
        let host = ctx.address();
        let node_addr = RaftNode::create(|ctx| {
            let feedback = Feedback {
                applied: ctx.address().recipient(),
                stopped: ctx.address().recipient(),
                snapshots: ctx.address().recipient(),
            };
            let parts = MachineParts {
                covered,
                sessions,
                snapshots: snapshots.clone(),
                saves_here: placement.is_current_thread(),
                feedback,
                clock: clock.clone(),
            };
            let machine = start_machine(machine, parts, machine_arbiter.as_ref());
            storage.do_send(LogClient {
                group: GROUP,
                persisted: ctx.address().recipient(),
                failed: ctx.address().recipient(),
            });
            RaftNode::new(NodeParts {
                raft,
                clock,
                observer,
                context,
                storage: storage.clone().recipient(),
                machine,
                front,
                timer,
                host: host.clone().recipient(),
                members: host.recipient(),
                peers: Peers::new(peers, configured),
                session_lifetime: kit.session_lifetime,
                run: kit.seed,
            })
        });
        change_membership = Some(node_addr.downgrade().recipient());
        transfer_leadership = Some(node_addr.downgrade().recipient());
        take_snapshot = Some(node_addr.downgrade().recipient());
        inbound.groups.insert(GROUP, node_addr.clone());
        // It may have been granted between the look at it above and the line before this one.
        if inbound.gate.has_suffrage() {
            node_addr.do_send(SuffrageGranted);
        } else {
            let waiting_for = inbound.gate.waiting_for();
            tracing::info!(%node, ?waiting_for, "waiting for peers to confirm this directory");
        }
        arbiters.extend(machine_arbiter);
        HostActor {
            inbound,
            outbound: Some(outbound),
            storage,
            snapshots,
            groups: [(GROUP, node_addr)].into(),
            arbiters,
            log_has_a_thread: !is_log_inline,
            timer: timer_task,
            own_thread: kit.own_thread,
            stopped,
            reason: None,
        }
    });
    let hold = HostHold { host: host.recipient(), stopped: stopped_seen.clone() };
    Ok(RaftHandle::new(HandleParts {
        gateway: Gateway::new(Arc::clone(&queue)).start(),
        queue,
        node: Arc::new(NodeFace {
            status: status_seen,
            stopped: stopped_seen,
            change_membership: change_membership.expect("the node was made with its host"),
            transfer_leadership: transfer_leadership.expect("the node was made with its host"),
            take_snapshot: take_snapshot.expect("the node was made with its host"),
            subscriptions,
            events,
            host: Arc::new(hold),
        }),
        sessions: SessionNames::new(kit.seed),
    }))
}

fn listen(
    transport: Box<dyn Transport>,
    hello: Hello,
    inbound: Arc<dyn Inbound>,
) -> Result<Rc<dyn Outbound>, StartError> {
    let address = transport.address();
    transport.start(hello, inbound).map_err(|source| StartError::Transport { address, source })
}

fn start_machine<S: StateMachine>(machine: S, parts: MachineParts, arbiter: Option<&Arbiter>) -> Machine {
    let new = move |_: &mut Context<StateMachineActor<S>>| StateMachineActor::new(machine, parts);
    let addr = match arbiter {
        Some(arbiter) => StateMachineActor::start_in_arbiter(&arbiter.handle(), new),
        None => StateMachineActor::create(new),
    };
    Machine {
        apply: addr.clone().recipient(),
        query: addr.clone().recipient(),
        take_snapshot: addr.clone().recipient(),
        restore: addr.recipient(),
    }
}

/// Runs what blocks on a thread of its own.
async fn on_a_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StartError> {
    let (done, result) = oneshot::channel();
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread
        .spawn(move || {
            // The caller may have given up waiting.
            let _ = done.send(tracing::dispatcher::with_default(&dispatch, work));
        })
        .map_err(StartError::Thread)?;
    result.await.map_err(|_| StartError::Crashed)
}
