//! What scripts do beside breaking things: ask and look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use raft_actor::consensus::NodeId;
use raft_actor::remote::Sequence;
use raft_actor::transport::Refusal;
use raft_actor::{StateMachine, Status};

use super::checker::{Situations, Violation};
use super::clients::{Outcome, Request, Told};
use super::disks::WAL_DIRECTORY;
use super::durable::{Damage, DurableReader};
use super::judge::Seen;
use super::sessions::Number;
use super::world::Sim;

/// A request of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    request: u64,
}

/// The client that scripts ask through. It may have many requests under way.
pub(super) struct Scripted<S: StateMachine> {
    pub(super) clients: Vec<usize>,
    pub(super) answers: BTreeMap<u64, Told<S>>,
    /// Who has sent what under which number.
    numbers: BTreeMap<u64, (usize, Number)>,
}

impl<S: StateMachine> Sim<S> {
    /// Sends a request to a server. `None` if no process runs there.
    pub fn send(&mut self, node: impl Into<NodeId>, what: Request<S::Command, S::Query>) -> Option<Ticket> {
        let client = self.scripted_client();
        self.request(client, node.into(), what).map(|request| Ticket { request })
    }

    fn scripted_client(&mut self) -> usize {
        let client = self.clients.add(self.focus);
        let nothing = || Scripted { clients: Vec::new(), answers: BTreeMap::new(), numbers: BTreeMap::new() };
        self.scripted.get_or_insert_with(nothing).clients.push(client);
        client
    }

    /// Sends a command of a session to a server. `None` if no process runs there.
    pub fn write_sequenced(
        &mut self,
        node: impl Into<NodeId>,
        sequence: Sequence<'_>,
        command: S::Command,
    ) -> Option<Ticket> {
        let client = self.scripted_client();
        let number = Number::of(sequence, self.now_us());
        let request = self.request_once(client, node.into(), Request::Write(command), Some(number.clone()))?;
        self.scripted.as_mut()?.numbers.insert(request, (client, number));
        Some(Ticket { request })
    }

    /// Sends a [command of a session](Self::write_sequenced) once more, under the same number, to this server. Its
    /// outcome is open again. Returns whether a process runs there.
    pub fn try_again(&mut self, ticket: Ticket, node: impl Into<NodeId>) -> bool {
        let Some(what) = self.group().replay.asked(ticket.request) else { return false };
        let Some(scripted) = &mut self.scripted else { return false };
        let Some((client, number)) = scripted.numbers.get(&ticket.request).cloned() else { return false };
        scripted.answers.remove(&ticket.request);
        self.try_through(client, node.into(), ticket.request, what, Some(number))
    }

    /// Whether a client is one of the script.
    pub(super) fn is_scripted(&self, client: usize) -> bool {
        self.scripted.as_ref().is_some_and(|scripted| scripted.clients.contains(&client))
    }

    /// A try is not the end of a numbered command until it is answered.
    pub(super) fn tried_by_script(&mut self, request: u64, outcome: Told<S>) -> Option<Told<S>> {
        if matches!(outcome, Outcome::Applied(_)) {
            return Some(outcome);
        }
        self.scripted.as_mut()?.answers.insert(request, outcome);
        None
    }

    /// Sends a command to a server. `None` if no process runs there.
    pub fn write(&mut self, node: impl Into<NodeId>, command: S::Command) -> Option<Ticket> {
        self.send(node, Request::Write(command))
    }

    /// Sends a query to a server, to be answered linearizably. `None` if no process runs there.
    pub fn read(&mut self, node: impl Into<NodeId>, query: S::Query) -> Option<Ticket> {
        self.send(node, Request::Read(query))
    }

    /// The same, by the leader's lease if it has one.
    pub fn read_lease(&mut self, node: impl Into<NodeId>, query: S::Query) -> Option<Ticket> {
        self.send(node, Request::ReadLease(query))
    }

    /// What became of a request; `None` while it is under way.
    pub fn outcome(&self, ticket: Ticket) -> Option<Outcome<&S::Response, &S::Answer>> {
        let told = self.scripted.as_ref()?.answers.get(&ticket.request)?;
        Some(match told {
            Outcome::Applied(at) => Outcome::Applied(&at.value),
            Outcome::Answered(at) => Outcome::Answered(&at.value),
            Outcome::Failed => Outcome::Failed,
            Outcome::Unknown => Outcome::Unknown,
        })
    }

    /// Whether a request has come back.
    pub fn is_back(&self, ticket: Ticket) -> bool {
        self.outcome(ticket).is_some()
    }

    /// Nothing that `from` sends reaches `to`, until it is [mended](Self::mend) as often.
    pub fn cut(&mut self, from: impl Into<NodeId>, to: impl Into<NodeId>) {
        self.network.cut((from.into(), to.into()));
    }

    /// See [`cut`](Self::cut).
    pub fn mend(&mut self, from: impl Into<NodeId>, to: impl Into<NodeId>) {
        self.network.mend((from.into(), to.into()));
    }

    /// Closes the connections between two servers, which connect anew.
    pub fn hang_up(&mut self, one: impl Into<NodeId>, other: impl Into<NodeId>) {
        let (one, other) = (one.into(), other.into());
        self.network.reset((one, other));
        self.network.reset((other, one));
    }

    /// Cuts off a server, both ways.
    pub fn isolate(&mut self, node: impl Into<NodeId>) {
        let node = node.into();
        for other in self.ids().into_iter().filter(|other| *other != node) {
            self.cut(node, other);
            self.cut(other, node);
        }
    }

    /// Every link works again.
    pub fn mend_network(&mut self) {
        self.network.mend_all();
    }

    /// What the running servers are at the moment, in the group.
    pub fn running(&self) -> Vec<Seen> {
        self.judge.running(self.group().id)
    }

    /// What a server is at the moment; `None` if it does not run.
    pub fn seen(&self, node: impl Into<NodeId>) -> Option<Seen> {
        let node = node.into();
        self.running().into_iter().find(|seen| seen.node == node)
    }

    /// What a server tells about itself; `None` if it does not run.
    pub fn status(&self, node: impl Into<NodeId>) -> Option<Arc<Status>> {
        self.handle(node.into()).map(|handle| handle.status())
    }

    /// How often each rare situation came up so far.
    pub fn situations(&self) -> Situations {
        self.judge.situations()
    }

    /// What is durable on a server's disk at the moment: what a crash that keeps nothing else would leave.
    ///
    /// # Errors
    /// If the disk does not hold what a log may leave there.
    pub fn durable(&self, node: impl Into<NodeId>) -> Result<DurableReader, Damage> {
        let mut reader = DurableReader::new(self.node(node.into()).disk.clone(), WAL_DIRECTORY);
        reader.reread()?;
        Ok(reader)
    }

    /// Why `to` did not let `from` in, if that was its last word.
    pub fn refusal(&self, from: impl Into<NodeId>, to: impl Into<NodeId>) -> Option<Refusal> {
        self.network.refusal((from.into(), to.into()))
    }

    /// Waits for a leader that is heard by a majority; returns it.
    ///
    /// # Errors
    /// If there is none after a minute of virtual time, or anything does not hold meanwhile.
    pub fn await_leader(&mut self) -> Result<NodeId, Violation> {
        self.expect("a leader emerges", |sim| sim.leader().is_some())?;
        Ok(self.leader().expect("it was just there"))
    }

    /// Lets the world go on until `wanted` holds.
    ///
    /// # Errors
    /// If it does not within a minute of virtual time, or anything else does not hold meanwhile.
    pub fn expect(&mut self, claim: &str, wanted: impl FnMut(&mut Self) -> bool) -> Result<(), Violation> {
        self.check(Duration::from_secs(60), claim, wanted)
    }

    /// The verdict of a script on something that it found.
    ///
    /// # Errors
    /// If it does not hold.
    pub fn require(&self, holds: bool, claim: &str) -> Result<(), Violation> {
        if holds {
            return Ok(());
        }
        Err(Violation { invariant: "script", node: None, what: format!("it does not hold that {claim}") })
    }
}
