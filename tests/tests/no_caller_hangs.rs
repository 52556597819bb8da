//! Every part of a node is killed at many points under load; every caller is answered by its deadline.
//!
//! The parts are reached through what an application hands to a host: its state
//! machine, its log, its transport. What they do there happens inside the
//! actors and threads that are to die: a panic unwinds the actor that called,
//! stopping the arbiter or the System tears the whole thread down.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use raft_actor::envelope::Envelope;
use raft_actor::log_storage::{GroupWrite, LogError, LogReader, LogStorage, MemoryLog, RecoveredGroup};
use raft_actor::transport::{Hello, Inbound, LocalNetwork, Outbound, Transport};
use raft_actor::{ApplyContext, GroupId, NodeId, RaftHandle, RaftHost, Settings, StateMachine};
use serde::{Deserialize, Serialize};

/// What happens, in whichever part of the node it is armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    Panic,
    /// The thread's arbiter ends, and everything that lives on it is dropped.
    StopArbiter,
    /// The node's thread ends.
    StopSystem,
    /// The disk says no.
    Fail,
    /// It takes longer than any caller waits.
    Hang,
}

/// Counts down to the kill.
#[derive(Debug, Clone)]
struct Trigger {
    kill: Kill,
    calls_left: Arc<AtomicU64>,
    /// Set once the hosts run: founding a cluster writes, too.
    armed: Arc<AtomicBool>,
    /// Tells a hanging part that the test is over.
    over: Arc<(std::sync::Mutex<bool>, std::sync::Condvar)>,
}

impl Trigger {
    fn new(kill: Kill, calls_before: u64) -> Self {
        Self { kill, calls_left: Arc::new(AtomicU64::new(calls_before)), armed: Arc::default(), over: Arc::default() }
    }

    /// One more call; the last one kills. Returns whether the call is to fail.
    fn pull(&self) -> bool {
        if !self.armed.load(Ordering::SeqCst) {
            return false;
        }
        let left = self.calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left != Ok(1) {
            return false;
        }
        match self.kill {
            Kill::Panic => panic!("killed on purpose"),
            Kill::StopArbiter => drop(actix::Arbiter::current().stop()),
            Kill::StopSystem => actix::System::current().stop(),
            Kill::Fail => return true,
            Kill::Hang => {
                let (over, told) = &*self.over;
                let guard = over.lock().expect("nobody panics with it");
                drop(told.wait_while(guard, |over| !*over).expect("nobody panics with it"));
            }
        }
        false
    }

    fn release(&self) {
        *self.over.0.lock().expect("nobody panics with it") = true;
        self.over.1.notify_all();
    }
}

/// Where the trigger is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Apply,
    Query,
    LogWrite,
    LogSync,
    Send,
}

#[derive(Clone, Serialize, Deserialize)]
struct Machine {
    sum: u64,
    #[serde(skip)]
    apply: Option<Trigger>,
    #[serde(skip)]
    query: Option<Trigger>,
}

// The trigger is not part of the state.
impl Serialize for Trigger {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl StateMachine for Machine {
    type Command = u64;
    type Response = u64;
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &mut ApplyContext<'_>, add: u64) -> u64 {
        if let Some(trigger) = &self.apply {
            trigger.pull();
        }
        self.sum += add;
        self.sum
    }

    fn query(&self, (): ()) -> u64 {
        if let Some(trigger) = &self.query {
            trigger.pull();
        }
        self.sum
    }
}

/// A memory log that says it is durable, so that it gets a thread of its own, and that can be killed.
struct Log {
    inner: MemoryLog,
    write: Option<Trigger>,
    sync: Option<Trigger>,
}

impl Log {
    fn pull(trigger: &Option<Trigger>) -> Result<(), LogError> {
        match trigger {
            Some(trigger) if trigger.pull() => {
                Err(LogError::Io { action: "write to", path: "a broken disk".into(), source: io::Error::other("no") })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl LogStorage for Log {
    fn groups(&self) -> Vec<GroupId> {
        self.inner.groups()
    }

    fn recover(&mut self, group: GroupId) -> Result<RecoveredGroup, LogError> {
        self.inner.recover(group)
    }

    fn write(&mut self, writes: &[GroupWrite]) -> Result<(), LogError> {
        Self::pull(&self.write)?;
        self.inner.write(writes)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        Self::pull(&self.sync)?;
        self.inner.sync()
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.inner.reader()
    }
}

struct KillableTransport<T> {
    inner: T,
    trigger: Option<Trigger>,
}

impl<T: Transport> Transport for KillableTransport<T> {
    fn start(self: Box<Self>, hello: Hello, inbound: Arc<dyn Inbound>) -> io::Result<Rc<dyn Outbound>> {
        let inner = Box::new(self.inner).start(hello, inbound)?;
        Ok(Rc::new(KillableOutbound { inner, trigger: self.trigger }))
    }

    fn address(&self) -> String {
        self.inner.address()
    }
}

struct KillableOutbound {
    inner: Rc<dyn Outbound>,
    trigger: Option<Trigger>,
}

impl Outbound for KillableOutbound {
    fn send(&self, envelope: Envelope) -> bool {
        if let Some(trigger) = &self.trigger {
            trigger.pull();
        }
        self.inner.send(envelope)
    }

    fn set_address(&self, peer: NodeId, address: &str) {
        self.inner.set_address(peer, address);
    }

    fn forget(&self, peer: NodeId) {
        self.inner.forget(peer);
    }
}

/// Starts `nodes` nodes, the trigger in every one of them: it goes off in one.
async fn start(nodes: u64, part: Part, trigger: &Trigger) -> Vec<RaftHandle<Machine>> {
    let network = LocalNetwork::default();
    let at = |wanted: Part| (part == wanted).then(|| trigger.clone());
    let mut handles = Vec::new();
    for node in 1..=nodes {
        let host = RaftHost::builder()
            .node(node)
            .transport(KillableTransport { inner: network.transport(node), trigger: at(Part::Send) })
            .peers((1..=nodes).map(|peer| (peer, format!("local:{peer}"))))
            .settings(Settings { election_timeout_ms_min: 100, heartbeat_ms: 20, ..Settings::default() })
            .log_storage(Log { inner: MemoryLog::new(), write: at(Part::LogWrite), sync: at(Part::LogSync) });
        let machine = Machine { sum: 0, apply: at(Part::Apply), query: at(Part::Query) };
        handles.push(host.start(machine).await.expect("starts"));
    }
    handles
}

/// Loads all nodes until the trigger has gone off and for a little longer; everybody must be answered.
async fn everybody_is_answered(nodes: u64, part: Part, kill: Kill, calls_before: u64) {
    let trigger = Trigger::new(kill, calls_before);
    let handles = start(nodes, part, &trigger).await;
    trigger.armed.store(true, Ordering::SeqCst);
    let clients: Vec<_> = handles
        .iter()
        .cycle()
        .take(12)
        .cloned()
        .map(|handle| {
            let trigger = trigger.clone();
            tokio::spawn(async move {
                let handle = handle.with_timeout(Duration::from_millis(200));
                let mut after = 0;
                while after < 5 {
                    // Errors are answers, too: the point is that there is one.
                    let _ = handle.write(1).await;
                    let _ = handle.read(()).await;
                    after += u64::from(trigger.calls_left.load(Ordering::SeqCst) == 0);
                }
            })
        })
        .collect();
    let all = async {
        for client in clients {
            client.await.expect("a client does not panic");
        }
    };
    let what = format!("{nodes} nodes, {part:?}, {kill:?} at call {calls_before}");
    tokio::time::timeout(Duration::from_secs(60), all).await.unwrap_or_else(|_| panic!("a caller hangs: {what}"));
    trigger.release();
    for handle in handles {
        let down = tokio::time::timeout(Duration::from_secs(30), handle.shutdown()).await;
        assert!(down.is_ok(), "a node does not stop: {what}");
    }
}

async fn at_many_points(part: Part, kill: Kill) {
    for (nodes, calls_before) in [(1, 1), (1, 2), (1, 17), (3, 3), (3, 40)] {
        // A single node sends nothing.
        if part != Part::Send || nodes > 1 {
            everybody_is_answered(nodes, part, kill, calls_before).await;
        }
    }
}

macro_rules! nobody_hangs {
    ($($name:ident: $part:ident, $kill:ident;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                at_many_points(Part::$part, Kill::$kill).await;
            }
        )*
    };
}

nobody_hangs! {
    when_apply_panics: Apply, Panic;
    when_apply_hangs: Apply, Hang;
    when_the_state_machines_thread_ends: Apply, StopArbiter;
    when_a_query_panics: Query, Panic;
    when_a_query_hangs: Query, Hang;
    when_the_log_panics_in_write: LogWrite, Panic;
    when_the_log_panics_in_sync: LogSync, Panic;
    when_a_write_fails: LogWrite, Fail;
    when_a_sync_fails: LogSync, Fail;
    when_a_sync_hangs: LogSync, Hang;
    when_the_logs_thread_ends: LogSync, StopArbiter;
    when_a_node_or_stream_panics_while_it_sends: Send, Panic;
    when_the_nodes_thread_ends: Send, StopSystem;
}
