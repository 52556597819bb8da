//! Puts a host together, on its own thread.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use raft_consensus::{GroupId, LogIndex, NodeId};
use tokio::sync::{oneshot, watch};

use super::actor::{Ground, HostActor};
use super::builder::HostBuilder;
use super::gate::Gate;
use super::group::{Life, NewGroup};
use super::inbound::HostInbound;
use super::life_signs::LifeSigns;
use super::open::{GROUP, Opened, load_machine, make_up_for_damage, open, recover};
use super::presence::{Place, Presence};
use super::raft_host::{Defaults, RaftHost};
use super::{NodeThread, Placement, StartError, threads};
use crate::busy_poll::busy_poll;
use crate::clock::Clock;
use crate::handle::RaftHandle;
use crate::log_storage::{LogShare, LogStorageActor};
use crate::node::{MembersChanged, Timer, Turns};
use crate::observer::Observer;
use crate::state_machine::StateMachine;
use crate::transport::{Hello, Inbound, Outbound, Transport};

/// Bytes of the newest log kept in memory beyond what must be, by a host of one group.
const CACHE_BYTES_MAX: u64 = 16 << 20;

/// Everything that travels to the host's thread.
struct Kit {
    opened: Opened,
    node: NodeId,
    cluster: String,
    transport: Box<dyn Transport>,
    peers: BTreeMap<NodeId, String>,
    join: bool,
    /// The group that the host is started with.
    first: Option<GroupId>,
    placement: Placement,
    /// The node's thread, if it ends with the host.
    own_thread: Option<NodeThread>,
    clock: Clock,
    observer: Option<Arc<dyn Observer>>,
    /// Tells this run of the host from all others.
    seed: u64,
}

impl HostBuilder {
    /// Starts a host with one group, which ends with it, on threads of its own; works on any runtime, and on none.
    ///
    /// Ready as soon as the host runs, whether or not somebody leads yet: requests wait for that.
    ///
    /// # Errors
    /// If something is missing or does not fit, if the directory or log cannot be
    /// used, or the transport cannot listen.
    pub async fn start<S: StateMachine>(mut self, mut machine: S) -> Result<RaftHandle<S>, StartError> {
        self.validate()?;
        let seed = self.draw_seed();
        self.snapshots.apply_to(&mut self.settings);
        let (settings, queue_limits) = (self.settings.clone(), self.queue_limits);
        let session_lifetime = self.session_lifetime;
        let cache_bytes_max = self.log_cache_bytes.unwrap_or(CACHE_BYTES_MAX);
        let prepare = move |opened: &mut Opened| {
            let snapshots = opened.home.snapshots(GROUP)?;
            let owner = opened.home.owner(GROUP);
            let mut recovered = recover(opened.storage.as_mut(), GROUP, &opened.home, &snapshots)?;
            if make_up_for_damage(&mut machine, &owner, &recovered, &snapshots)? {
                recovered = recover(opened.storage.as_mut(), GROUP, &opened.home, &snapshots)?;
            }
            let loaded = load_machine(&mut machine, &owner, &recovered, &snapshots)?;
            Ok(NewGroup {
                group: GROUP,
                machine,
                loaded,
                recovered,
                snapshots,
                settings,
                queue_limits,
                session_lifetime,
                seed,
                cache_bytes_max,
                life: Life::WithHost,
            })
        };
        self.launch(Some(GROUP), prepare, |host, addr, new| host.add_group(addr, new)).await
    }

    /// Starts a host without a group: create, open and destroy them through what this returns. It has one log and one
    /// connection to each peer for all of them.
    ///
    /// # Errors
    /// As [`start`](HostBuilder::start).
    ///
    /// # Examples
    /// See [`RaftHost`].
    pub async fn start_host(mut self) -> Result<RaftHost, StartError> {
        self.validate()?;
        let seed = self.draw_seed();
        self.snapshots.apply_to(&mut self.settings);
        let defaults = Defaults {
            settings: self.settings.clone(),
            lease_drift_percent_max: self.lease_drift_percent_max,
            founders: if self.join { BTreeMap::new() } else { self.peers.clone() },
            message_bytes_max: self.transport.as_ref().map_or(u64::MAX, |transport| transport.message_bytes_max()),
            cache_bytes_max: self.log_cache_bytes,
            is_on_one_thread: self.placement.is_current_thread(),
            seed,
        };
        let prepare = |opened: &mut Opened| Ok(opened.home.clone());
        self.launch(None, prepare, move |host, addr, home| RaftHost::new(host, addr, home, defaults)).await
    }

    /// Opens the disk, then puts the host together; `prepare` may take its time, `finish` runs on the node's thread.
    async fn launch<P: Send + 'static, R: Send + 'static>(
        mut self,
        first: Option<GroupId>,
        prepare: impl FnOnce(&mut Opened) -> Result<P, StartError> + Send + 'static,
        finish: impl FnOnce(&mut HostActor, &Addr<HostActor>, P) -> R + Send + 'static,
    ) -> Result<R, StartError> {
        let node = self.node.expect("validated before");
        if self.placement.is_current_thread() {
            let mut opened = open(&mut self, node, first)?;
            let prepared = prepare(&mut opened)?;
            return assemble(Kit::new(opened, self, first, None), prepared, finish);
        }
        // Opening reads the disk: on a thread of its own, so that no runtime stands still.
        let (opened, builder) = on_a_thread("raft-open", move || {
            let opened = open(&mut self, node, first).and_then(|mut opened| {
                let prepared = prepare(&mut opened)?;
                Ok((opened, prepared))
            });
            (opened, self)
        })
        .await?;
        let (opened, prepared) = opened?;
        let thread = builder.placement.node_thread(node).map_err(StartError::Thread)?;
        let thread = thread.expect("only the placement on the current thread has no other one");
        let own_thread = builder.placement.owns_node_thread().then(|| thread.clone());
        let kit = Kit::new(opened, builder, first, own_thread);
        let (done, started) = oneshot::channel();
        thread.run(move || {
            // Nobody waits any more if the caller was dropped; the handle's end then stops the host.
            let _ = done.send(assemble(kit, prepared, finish));
        });
        started.await.map_err(|_| StartError::Crashed)?
    }
}

impl Kit {
    fn new(opened: Opened, mut builder: HostBuilder, first: Option<GroupId>, own_thread: Option<NodeThread>) -> Self {
        Self {
            seed: builder.draw_seed(),
            opened,
            node: builder.node.expect("validated before"),
            cluster: builder.cluster,
            transport: builder.transport.expect("validated before"),
            peers: builder.peers,
            join: builder.join,
            first,
            placement: builder.placement,
            own_thread,
            clock: builder.clock.unwrap_or_else(Clock::start),
            observer: builder.observer,
        }
    }
}

/// Runs on the node's thread.
fn assemble<P, R>(
    kit: Kit,
    prepared: P,
    finish: impl FnOnce(&mut HostActor, &Addr<HostActor>, P) -> R,
) -> Result<R, StartError> {
    let Kit { opened, node, cluster, transport, peers, join, first, placement, own_thread, clock, observer, seed } =
        kit;
    let Opened { identity, directory, mut storage, home } = opened;
    if !placement.busy_poll_limit().is_zero() {
        actix_rt::spawn(busy_poll(placement.busy_poll_limit()));
    }
    let hello = Hello {
        node,
        cluster: cluster.clone(),
        incarnation: identity.incarnation,
        directory: identity.directory,
        address: transport.address(),
    };
    let founders = if join { Default::default() } else { peers.keys().copied().collect() };
    let gate = Gate::new(hello.clone(), founders, identity, directory);
    let (mut places, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    let known: BTreeSet<GroupId> = storage.groups().into_iter().chain(first).collect();
    for group in known {
        let recovered = storage.recover(group)?;
        if recovered.is_destroyed() {
            home.remove_snapshots(group);
            places.insert(group, Place::Destroyed);
            continue;
        }
        places.insert(group, Place::Closed);
        let committed = gate.configured(group);
        // Which of its configurations are committed will be seen; so far all of them may count.
        let members = recovered.log.members_from(LogIndex::ZERO);
        let directories = recovered.log.configuration().directories.clone();
        let (left, nobody_to_call) = Default::default();
        gate.follow(&MembersChanged { group, committed, left, members, directories, addresses: nobody_to_call });
        addresses.extend(recovered.log.configuration().addresses.clone());
    }
    let inbound = Arc::new(HostInbound::new(gate, clock.clone()));
    let snapshot_message_bytes_max = transport.snapshot_message_bytes_max();
    let outbound = listen(transport, hello, Arc::clone(&inbound) as Arc<dyn Inbound>)?;
    // What the operator says now comes last and wins over what the log remembers: hosts move while they are down.
    for (peer, address) in addresses.iter().chain(&peers) {
        if *peer != node {
            outbound.set_address(*peer, address);
        }
    }
    if !inbound.gate.has_suffrage() {
        let waiting_for = inbound.gate.waiting_for();
        tracing::info!(%node, ?waiting_for, "waiting for peers to confirm this directory");
    }

    let log_is_inline = storage.is_volatile() || placement.is_current_thread();
    let reader = storage.reader();
    let mut arbiters = Vec::new();
    let turns = Turns::default();
    let share = LogShare::new(turns.clone());
    let log_counters = share.counters();
    let (storage, log_orders) = if log_is_inline {
        LogStorageActor::new(storage, clock.clone(), share).start_here()
    } else {
        let arbiter = threads::spawn_arbiter();
        let (log_clock, log_share) = (clock.clone(), share.clone());
        let addr = LogStorageActor::start_in_arbiter(&arbiter.handle(), move |_| {
            LogStorageActor::new(storage, log_clock, log_share)
        });
        arbiters.push(arbiter);
        let orders = share.orders_to(addr.clone().recipient());
        (addr, orders)
    };
    let machine_arbiter = (!placement.is_apply_inline()).then(threads::spawn_arbiter);
    let timer = Timer::new(clock.clone());
    let tasks = [actix_rt::spawn(timer.clone().run()), actix_rt::spawn(turns.clone().run())];
    let ground = Ground {
        node,
        cluster: cluster.into(),
        clock,
        observer,
        timer,
        turns,
        reader,
        log_orders,
        log_counters,
        log_is_inline,
        is_on_one_thread: placement.is_current_thread(),
        machine_arbiter: machine_arbiter.as_ref().map(Arbiter::handle),
        peers,
        snapshot_message_bytes_max,
        presence: Arc::new(Presence::new(places)),
    };
    arbiters.extend(machine_arbiter);
    let (stopped, _) = watch::channel(None);
    let mut result = None;
    HostActor::create(|ctx| {
        let mut host = HostActor {
            ground,
            inbound,
            outbound: Some(outbound),
            storage,
            groups: BTreeMap::new(),
            life_signs: LifeSigns::new(seed),
            alarm: None,
            is_ending: false,
            arbiters,
            log_has_a_thread: !log_is_inline,
            tasks,
            own_thread,
            stopped,
            reason: None,
        };
        host.alarm = Some(host.ground.timer.alarm(ctx.address().recipient()));
        host.inbound.pulses_to(ctx.address().recipient());
        result = Some(finish(&mut host, &ctx.address(), prepared));
        host
    });
    Ok(result.expect("an actor is made at once"))
}

fn listen(
    transport: Box<dyn Transport>,
    hello: Hello,
    inbound: Arc<dyn Inbound>,
) -> Result<Rc<dyn Outbound>, StartError> {
    let address = transport.address();
    transport.start(hello, inbound).map_err(|source| StartError::Transport { address, source })
}

/// Runs what blocks on a thread of its own.
pub(super) async fn on_a_thread<T: Send + 'static>(
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
