// The machine of this crate's examples; included by them, not compiled into the crate.
#[allow(unused_imports)]
use raft_actor::{ApplyContext, LocalCluster, StateMachine};

#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
struct Counter(u64);

impl StateMachine for Counter {
    type Command = u64;
    type Response = u64;
    type Query = ();
    type Answer = u64;

    fn apply(&mut self, _: &mut ApplyContext<'_>, add: u64) -> u64 {
        self.0 += add;
        self.0
    }

    fn query(&self, (): ()) -> u64 {
        self.0
    }
}
