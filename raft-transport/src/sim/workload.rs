//! What clients ask for.

use raft_actor::StateMachine;
use raft_actor::consensus::{GroupId, LogIndex, NodeId};

use super::chance::Chance;
use super::clients::{Outcome, Request};

/// Decides what the clients of a simulated cluster ask for, and looks at what they are told.
///
/// A closure `FnMut(client, &mut Chance) -> Request<..>` is one that does not look.
pub trait Workload<S: StateMachine>: 'static {
    /// What this client asks for next.
    fn next(&mut self, client: usize, chance: &mut Chance) -> Request<S::Command, S::Query>;

    /// A request is sent. Its number is its own; a later one has a higher number.
    fn called(&mut self, call: &Call<'_, S>) {
        let _ = call;
    }

    /// A request has come back.
    ///
    /// # Errors
    /// What is wrong with it, if something is: the run ends there.
    fn returned(&mut self, returned: &Return<'_, S>) -> Result<(), String> {
        let _ = returned;
        Ok(())
    }

    /// The run is over.
    ///
    /// # Errors
    /// What is wrong with it, if something is.
    fn finished(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// A request that is being sent.
#[derive(Debug)]
pub struct Call<'a, S: StateMachine> {
    /// Its number.
    pub request: u64,
    /// Which group is asked; the first has the number 1.
    pub group: GroupId,
    /// Who asks: always the same group.
    pub client: usize,
    /// Who is asked.
    pub node: NodeId,
    /// When, in microseconds of virtual time.
    pub at_us: u64,
    /// For what.
    pub what: &'a Request<S::Command, S::Query>,
}

/// A request that has come back.
#[derive(Debug)]
pub struct Return<'a, S: StateMachine> {
    /// Its number.
    pub request: u64,
    /// Which group was asked.
    pub group: GroupId,
    /// Who asked.
    pub client: usize,
    /// Who was asked.
    pub node: NodeId,
    /// When it came back, in microseconds of virtual time.
    pub at_us: u64,
    /// The index of the log entry it became, or of the state it was answered from.
    pub index: Option<LogIndex>,
    /// What became of it.
    pub outcome: Outcome<&'a S::Response, &'a S::Answer>,
}

impl<S, F> Workload<S> for F
where
    S: StateMachine,
    F: FnMut(usize, &mut Chance) -> Request<S::Command, S::Query> + 'static,
{
    fn next(&mut self, client: usize, chance: &mut Chance) -> Request<S::Command, S::Query> {
        self(client, chance)
    }
}
