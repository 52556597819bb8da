//! The handle of a host that serves several groups.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::prelude::*;
use raft_consensus::{GroupId, LeaseReads, NodeId, Settings};
use tokio::sync::{oneshot, watch};

use super::actor::{HostActor, HostHold, WithHost};
use super::builder::{HostBuilder, check, check_lease, lease_of};
use super::group::{GroupOptions, Life, NewGroup};
use super::open::{self, Home, bury, claim, found, load_machine, make_up_for_damage};
use super::presence::{Claim, Presence};
use super::start::on_a_thread;
use super::{GroupError, StartError};
use crate::handle::{HostControl, RaftHandle, StopReason};
use crate::log_storage::{LogStorage, WithLog};
use crate::state_machine::StateMachine;

/// Bytes of the newest log kept in memory beyond what must be, by each group of several.
const CACHE_BYTES_MAX: u64 = 1 << 20;

/// One server of a cluster, with any number of groups. Begin with [`RaftHost::builder`].
///
/// Groups are Raft clusters of their own, each with a leader, a log and a state machine, possibly of different types.
/// Those of one host share its log (one sync for all that is written meanwhile), one connection to each peer, one
/// timer and one thread for state machines. `docs/GROUPS.md` says what that costs.
///
/// Cheap to clone, `Send` and `Sync`. The host runs as long as there is a handle of it or of one of its groups.
///
/// # Example
/// ```
/// use raft_actor::transport::LocalNetwork;
/// use raft_actor::{GroupOptions, RaftHost};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
/// # #[actix_rt::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network = LocalNetwork::default();
/// let mut hosts = Vec::new();
/// for id in 1..=3 {
///     let peers = (1..=3).map(|peer| (peer, format!("local:{peer}")));
///     let builder = RaftHost::builder().node(id).in_memory().transport(network.transport(id)).peers(peers);
///     hosts.push(builder.start_host().await?);
/// }
/// let mut members = Vec::new();
/// for host in &hosts {
///     members.push(host.create_group(7, Counter::default(), GroupOptions::default()).await?);
/// }
/// assert_eq!(members[0].write(5).await?, 5);
/// for host in &hosts {
///     host.destroy_group(7).await?;
///     assert!(host.groups().is_empty());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RaftHost {
    shared: Arc<Shared>,
}

struct Shared {
    node: NodeId,
    home: Home,
    presence: Arc<Presence>,
    host: Recipient<WithHost>,
    log: Recipient<WithLog>,
    defaults: Defaults,
    /// How many groups were opened: each run of a group gets a seed of its own.
    opened: AtomicU64,
    hold: Arc<HostHold>,
}

/// What groups get if nothing else is said.
pub(super) struct Defaults {
    pub(super) settings: Settings,
    pub(super) lease_drift_percent_max: Option<u8>,
    pub(super) founders: BTreeMap<NodeId, String>,
    pub(super) message_bytes_max: u64,
    pub(super) cache_bytes_max: Option<u64>,
    /// Whether no thread may be started.
    pub(super) is_on_one_thread: bool,
    pub(super) seed: u64,
}

impl RaftHost {
    /// A builder for a host. At least [`node`](HostBuilder::node), a place for the log, a
    /// [`transport`](HostBuilder::transport) and the [`peers`](HostBuilder::peers) have to be named.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    pub(super) fn new(host: &HostActor, addr: &Addr<HostActor>, home: Home, defaults: Defaults) -> Self {
        let hold = HostHold { host: addr.clone().recipient(), stopped: host.stopped.subscribe() };
        let shared = Shared {
            node: host.ground.node,
            home,
            presence: Arc::clone(&host.ground.presence),
            host: addr.clone().recipient(),
            log: host.storage.clone().recipient(),
            defaults,
            opened: AtomicU64::new(0),
            hold: Arc::new(hold),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The id of this server.
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// The groups of this host, and whether each runs. After a restart none does: open those that are wanted.
    pub fn groups(&self) -> BTreeMap<GroupId, bool> {
        self.shared.presence.existing()
    }

    /// Begins a group that this host does not have, with this state machine. Ready when it runs, whether or not
    /// somebody leads yet: requests wait for that.
    ///
    /// Every founder has to be told, with the same members; until a majority of them has been, nobody can lead. A host
    /// that lost its disk does not found again what it founded before: it [joins](GroupOptions::join).
    ///
    /// The group runs until the last of its handles is dropped, it is shut down, or the host ends.
    ///
    /// # Errors
    /// [`GroupError::Exists`], [`GroupError::Destroyed`] or [`GroupError::Busy`] if there is or was such a group,
    /// [`GroupError::Start`] if it cannot start, [`GroupError::HostStopped`].
    pub async fn create_group<S: StateMachine>(
        &self,
        group: impl Into<GroupId>,
        machine: S,
        options: GroupOptions,
    ) -> Result<RaftHandle<S>, GroupError> {
        let group = group.into();
        let mut claimed = self.shared.presence.begin(group)?;
        let (founders, lease_reads) = (self.founders(&options)?, self.founding_lease(&options)?);
        self.with_log(move |log| match founders {
            Some(founders) => found(log, group, &founders, lease_reads),
            None => claim(log, group),
        })
        .await??;
        claimed.exists();
        self.run(group, machine, options, claimed).await
    }

    /// Runs a group again that this host has, with what its state machine had, from an earlier run of the host or of the
    /// group. Who the members are is known from its log.
    ///
    /// # Errors
    /// [`GroupError::Unknown`], [`GroupError::Running`], [`GroupError::Destroyed`] or [`GroupError::Busy`] if there is
    /// none that could be opened, [`GroupError::Start`] if it cannot start, [`GroupError::HostStopped`].
    pub async fn open_group<S: StateMachine>(
        &self,
        group: impl Into<GroupId>,
        machine: S,
        options: GroupOptions,
    ) -> Result<RaftHandle<S>, GroupError> {
        let group = group.into();
        let claimed = self.shared.presence.reopen(group)?;
        self.run(group, machine, options, claimed).await
    }

    /// Ends a group on this host for good: stops it if it runs, as [`shutdown`](RaftHandle::shutdown) does, and forgets
    /// its log and its snapshots. Ready when that is durable. That there was such a group is remembered for ever, so
    /// that neither a late message nor an operator can begin it again blank: this host may have voted in it.
    ///
    /// To the other members, this one is then like a host that never comes back. Take it out of the
    /// [membership](RaftHandle::change_membership) first, or destroy the group on all of them.
    ///
    /// # Errors
    /// [`GroupError::Unknown`], [`GroupError::Destroyed`] or [`GroupError::Busy`] if there is none that could be
    /// destroyed, [`GroupError::HostStopped`].
    pub async fn destroy_group(&self, group: impl Into<GroupId>) -> Result<(), GroupError> {
        let group = group.into();
        let (mut claimed, is_running) = self.shared.presence.take(group)?;
        if is_running {
            let stopped = self.with_host(move |host, _| host.stop_group(group)).await?;
            if let Some(mut stopped) = stopped {
                // The sender goes away only when the host has ended, too.
                let _ = stopped.wait_for(Option::is_some).await;
            }
        }
        self.with_log(move |log| bury(log, group)).await??;
        claimed.destroyed();
        let home = self.shared.home.clone();
        self.off_thread(move || home.remove_snapshots(group)).await?;
        self.with_host(move |host, _| host.inbound.gate.destroyed(group)).await
    }

    /// Stops the host cleanly, and all its groups: leaders first hand over their office, no request is left without an
    /// answer, the directory is free for the next start. Ready when that is done.
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + use<> {
        self.shared.hold.shutdown()
    }

    /// Waits until the host does not run any more, for whatever reason. Does not keep it running.
    pub fn stopped(&self) -> impl Future<Output = StopReason> + Send + use<> {
        let mut stopped = self.shared.hold.stopped.clone();
        async move {
            let reason = stopped.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
            reason.unwrap_or(StopReason::Lost { part: "RaftHost" })
        }
    }

    /// Who founds a group; nobody here if it is to be joined.
    fn founders(&self, options: &GroupOptions) -> Result<Option<BTreeMap<NodeId, String>>, StartError> {
        if options.join {
            return Ok(None);
        }
        let founders = options.founders.as_ref().unwrap_or(&self.shared.defaults.founders);
        if !founders.contains_key(&self.shared.node) {
            let peers = founders.keys().map(|peer| peer.get()).collect();
            return Err(StartError::NotAPeer { node: self.shared.node, peers });
        }
        Ok(Some(founders.clone()))
    }

    /// What a group is founded with.
    fn founding_lease(&self, options: &GroupOptions) -> Result<Option<LeaseReads>, StartError> {
        let defaults = &self.shared.defaults;
        let settings = options.settings.as_ref().unwrap_or(&defaults.settings);
        let drift_percent_max = options.lease_drift_percent_max.unwrap_or(defaults.lease_drift_percent_max);
        let lease_reads = lease_of(settings, drift_percent_max);
        check_lease(lease_reads)?;
        Ok(lease_reads)
    }

    /// Starts a group whose log is there.
    async fn run<S: StateMachine>(
        &self,
        group: GroupId,
        mut machine: S,
        options: GroupOptions,
        claimed: Claim,
    ) -> Result<RaftHandle<S>, GroupError> {
        let Shared { home, defaults, hold, opened, .. } = &*self.shared;
        let mut settings = options.settings.clone().unwrap_or_else(|| defaults.settings.clone());
        options.snapshots.apply_to(&mut settings);
        let rest_after = options.rest_after.unwrap_or(2 * settings.election_timeout_min());
        settings.rest_after_ms = u64::try_from(rest_after.as_millis()).unwrap_or(u64::MAX);
        check(&settings, &options.queue_limits, defaults.message_bytes_max)?;
        let at_home = home.clone();
        let snapshots = self.off_thread(move || at_home.snapshots(group)).await?.map_err(StartError::from)?;
        let recover = || {
            let (at_home, files) = (home.clone(), snapshots.clone());
            self.with_log(move |log| open::recover(log, group, &at_home, &files))
        };
        let mut recovered = recover().await??;
        if recovered.hard_state.damage.is_some() {
            let (found, files, owner) = (recovered.clone(), snapshots.clone(), home.owner(group));
            let make_up =
                move || make_up_for_damage(&mut machine, &owner, &found, &files).map(|is_done| (machine, is_done));
            let is_made_up;
            (machine, is_made_up) = self.off_thread(make_up).await??;
            if is_made_up {
                recovered = recover().await??;
            }
        }
        let (found, files, owner) = (recovered.clone(), snapshots.clone(), home.owner(group));
        let load = move || load_machine(&mut machine, &owner, &found, &files).map(|loaded| (machine, loaded));
        let (machine, loaded) = self.off_thread(load).await??;
        // Odd, so that no two numbers of openings come to the same.
        let run = opened.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let new = NewGroup {
            group,
            machine,
            loaded,
            recovered,
            snapshots,
            settings,
            queue_limits: options.queue_limits,
            session_lifetime: options.lifetime(),
            seed: defaults.seed.wrapping_add(run),
            cache_bytes_max: defaults.cache_bytes_max.unwrap_or(CACHE_BYTES_MAX),
            life: Life::OfItsOwn(Arc::clone(hold)),
        };
        let handle = self.with_host(move |host, ctx| host.add_group(&ctx.address(), new)).await?;
        drop(claimed);
        Ok(handle)
    }

    /// Does something on the host's thread.
    async fn with_host<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut HostActor, &mut Context<HostActor>) -> T + Send + 'static,
    ) -> Result<T, GroupError> {
        let (done, result) = oneshot::channel();
        self.shared.host.do_send(WithHost(Box::new(move |host, ctx| {
            // Who does not wait any more has dropped what it asked for.
            let _ = done.send(work(host, ctx));
        })));
        result.await.map_err(|_| GroupError::HostStopped)
    }

    /// Does something with the log, on its thread, behind all that was ordered before.
    async fn with_log<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn LogStorage) -> T + Send + 'static,
    ) -> Result<T, GroupError> {
        let (done, result) = oneshot::channel();
        self.shared.log.do_send(WithLog(Box::new(move |log| {
            // As above.
            let _ = done.send(work(log));
        })));
        result.await.map_err(|_| GroupError::HostStopped)
    }

    /// Does what may take a while where nobody waits for it.
    async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, GroupError> {
        if self.shared.home.is_memory() || self.shared.defaults.is_on_one_thread {
            return Ok(work());
        }
        Ok(on_a_thread("raft-open", work).await?)
    }
}

impl HostActor {
    /// Begins to stop a group; tells when it has stopped.
    fn stop_group(&mut self, group: GroupId) -> Option<watch::Receiver<Option<StopReason>>> {
        let member = self.groups.get(&group)?;
        member.node.do_send(crate::node::StopNode { reason: StopReason::ShutDown });
        member.stopped.as_ref().map(watch::Sender::subscribe)
    }
}

impl fmt::Debug for RaftHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftHost").field("node", &self.shared.node).finish_non_exhaustive()
    }
}
