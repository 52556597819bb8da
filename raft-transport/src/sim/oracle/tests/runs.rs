//! Random runs of a cluster that keeps its word, as the oracle is told of them.

use rand::RngExt;

use super::*;

/// Something that the oracle is told, and what the cluster knew at that moment.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Called {
        request: u64,
        kind: Kind,
    },
    Started {
        node: NodeId,
    },
    Applied {
        node: NodeId,
        after: LogIndex,
        index: LogIndex,
        request: u64,
    },
    /// `older`: a state that was too old for it, if there is one.
    Returned {
        request: u64,
        fate: Fate,
        kind: Kind,
        older: Option<LogIndex>,
    },
}

impl Event {
    pub(super) fn tell(self, oracle: &mut Oracle) -> Verdict {
        match self {
            Self::Called { request, kind } => oracle.called(request, request, kind),
            Self::Started { node } => oracle.started(node),
            Self::Applied { node, after, index, request } => {
                oracle.applied(node, after, at(index.get()), request, request)?;
            }
            Self::Returned { request, fate, .. } => oracle.returned(request, request, fate)?,
        }
        Ok(())
    }

    /// The same with one thing in it that is not true.
    pub(super) fn lie(&self, rng: &mut StdRng) -> Option<Self> {
        match *self {
            Self::Called { .. } | Self::Started { .. } => None,
            Self::Applied { node, after, index, request } => Some(match rng.random_range(0..3) {
                0 => Self::Applied { node, after, index, request: request + 1_000_000 },
                1 => Self::Applied { node, after: index, index, request },
                _ => Self::Applied { node, after: after.next(), index, request },
            }),
            Self::Returned { request, fate: Fate::Done { answer, .. }, kind, older } => {
                let index = match kind {
                    Kind::Write => LogIndex::new(rng.random_range(1..1_000_000) * 1_000),
                    Kind::Read | Kind::LocalRead(_) if rng.random_bool(0.2) => LogIndex::new(1_000_000),
                    Kind::Read | Kind::LocalRead(_) => older?,
                };
                Some(Self::Returned { request, fate: Fate::Done { index, answer }, kind, older })
            }
            Self::Returned { .. } => None,
        }
    }
}

struct Node {
    applied: usize,
    /// The furthest of its states that was told of since its start.
    told: usize,
}

/// A request on its way; `floor`: the state that it may not fall behind.
struct UnderWay {
    request: u64,
    kind: Kind,
    floor: usize,
    /// A write: its place in the log. A read: the state that answers it.
    place: Option<usize>,
}

/// States are counted in commands here; every second index of the log holds something else.
fn index_of(state: usize) -> LogIndex {
    LogIndex::new(2 * state as u64)
}

struct Cluster<'a> {
    rng: &'a mut StdRng,
    log: Vec<u64>,
    nodes: [Node; 3],
    under_way: Vec<UnderWay>,
    told: usize,
    last_request: u64,
    events: Vec<Event>,
}

pub(super) fn run(rng: &mut StdRng, steps: usize) -> Vec<Event> {
    let nodes = [(); 3].map(|()| Node { applied: 0, told: 0 });
    let (log, under_way, events) = (Vec::new(), Vec::new(), Vec::new());
    let mut cluster = Cluster { rng, log, nodes, under_way, told: 0, last_request: 0, events };
    for _ in 0..steps {
        cluster.step();
    }
    cluster.events
}

impl Cluster<'_> {
    fn step(&mut self) {
        let node = self.rng.random_range(0..3);
        match self.rng.random_range(0..200) {
            0..40 => self.call(node),
            40..110 => self.apply(node),
            110..199 => self.go_on(),
            _ => {
                // From a snapshot, or from the beginning.
                let applied = self.nodes[node].applied;
                self.nodes[node].applied = self.rng.random_range(applied.saturating_sub(20)..=applied);
                self.nodes[node].told = 0;
                self.events.push(Event::Started { node: NodeId::from(node as u64) });
                // Its local reads are lost with it.
                let lost = Kind::LocalRead(NodeId::from(node as u64));
                self.under_way.retain(|request| request.kind != lost);
            }
        }
    }

    fn call(&mut self, node: usize) {
        let local = Kind::LocalRead(NodeId::from(node as u64));
        let (kind, floor) = match self.rng.random_range(0..3) {
            0 => (Kind::Write, self.told),
            1 => (Kind::Read, self.told),
            _ => (local, self.nodes[node].told),
        };
        self.last_request += 1;
        let request = self.last_request;
        self.under_way.push(UnderWay { request, kind, floor, place: None });
        self.events.push(Event::Called { request, kind });
    }

    fn apply(&mut self, node: usize) {
        let state = self.nodes[node].applied;
        let Some(request) = self.log.get(state).copied() else { return };
        self.nodes[node].applied += 1;
        let (after, index) = (index_of(state), index_of(state + 1));
        self.events.push(Event::Applied { node: NodeId::from(node as u64), after, index, request });
    }

    /// Somebody's request gets a place, or its client an answer.
    fn go_on(&mut self) {
        if self.under_way.is_empty() {
            return;
        }
        let chosen = self.rng.random_range(0..self.under_way.len());
        let end = self.nodes.iter().map(|node| node.applied).max().unwrap_or(0).max(self.told);
        let UnderWay { request, kind, floor, place } = self.under_way[chosen];
        let Some(place) = place else {
            let (from, to) = match kind {
                Kind::Write => {
                    self.log.push(request);
                    (self.log.len(), self.log.len())
                }
                Kind::Read => (floor, end),
                Kind::LocalRead(node) => {
                    let state = self.nodes[node.get() as usize].applied;
                    (state, state)
                }
            };
            self.under_way[chosen].place = Some(self.rng.random_range(from..=to));
            return;
        };
        if kind == Kind::Write && place > end {
            return; // Nobody has applied it yet.
        }
        self.under_way.swap_remove(chosen);
        let fate = match (kind, self.rng.random_range(0..10)) {
            (_, 0) => Fate::Unknown,
            (Kind::Read | Kind::LocalRead(_), 1) => Fate::Failed,
            _ => Fate::Done { index: index_of(place), answer: request },
        };
        if fate != Fate::Unknown && fate != Fate::Failed {
            match kind {
                Kind::Write | Kind::Read => self.told = self.told.max(place),
                Kind::LocalRead(node) => {
                    let node = &mut self.nodes[node.get() as usize];
                    node.told = node.told.max(place);
                }
            }
        }
        let older = floor.checked_sub(1).map(index_of);
        self.events.push(Event::Returned { request, fate, kind, older });
    }
}
