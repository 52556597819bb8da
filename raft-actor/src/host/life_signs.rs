//! Hosts tell each other that they are alive, so that groups in which nothing happens need not.
//!
//! A pulse says so for all groups of a host at once: as often as a leader would speak, to every host that is a member
//! of any of its groups. Who hears none for a minimum election timeout tells its own groups, again and again: a word
//! that a group missed because it rested only later must not be the last one.
//!
//! A host that is alive may have lost a group, or all of them, by being started anew. Each pulse says which run it is of
//! and which groups have stopped; whoever rests because of those is told as well.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use raft_consensus::{GroupId, NodeId, Settings, Time};

use crate::envelope::Pulse;

/// How many of the groups that stopped last a pulse names. Who has missed more takes all to have stopped.
const STOPPED_MAX: usize = 64;

/// Which groups must not rely on a host any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    Nothing,
    These(Vec<GroupId>),
    All,
}

/// What a host says of itself, and what it has heard of others.
#[derive(Debug)]
pub(super) struct LifeSigns {
    run: u64,
    stops: u64,
    stopped: VecDeque<GroupId>,
    /// How often to speak, and after how long others count as silent; `None` as long as no group may rest.
    pace: Option<Pace>,
    peers: BTreeMap<NodeId, Peer>,
    /// When to speak next.
    at: Time,
}

#[derive(Debug, Clone, Copy)]
struct Pace {
    interval: Duration,
    silence: Duration,
}

#[derive(Debug)]
struct Peer {
    heard_at: Time,
    /// The run that it was of, and how many groups had stopped by then.
    said: Option<(u64, u64)>,
}

impl LifeSigns {
    pub(super) fn new(run: u64) -> Self {
        Self { run, stops: 0, stopped: VecDeque::new(), pace: None, peers: BTreeMap::new(), at: Time::NEVER }
    }

    /// A group of these settings runs here from now on.
    pub(super) fn serve(&mut self, settings: &Settings, now: Time) {
        if settings.rest_after().is_none() {
            return;
        }
        let (interval, silence) = (settings.heartbeat(), settings.election_timeout_min());
        let pace = self.pace.get_or_insert(Pace { interval, silence });
        *pace = Pace { interval: pace.interval.min(interval), silence: pace.silence.min(silence) };
        self.at = self.at.min(now);
    }

    /// These hosts are members of a group of ours.
    pub(super) fn follow(&mut self, members: &BTreeSet<NodeId>, now: Time) {
        self.peers.retain(|peer, _| members.contains(peer));
        for peer in members {
            self.peers.entry(*peer).or_insert(Peer { heard_at: now, said: None });
        }
    }

    /// A group does not run here any more.
    pub(super) fn group_stopped(&mut self, group: GroupId, now: Time) {
        self.stops += 1;
        self.stopped.push_back(group);
        if self.stopped.len() > STOPPED_MAX {
            self.stopped.pop_front();
        }
        if self.pace.is_some() {
            // Others wait for its leader, perhaps.
            self.at = self.at.min(now);
        }
    }

    /// When to call [`beat`](Self::beat).
    pub(super) fn next_deadline(&self) -> Time {
        self.at
    }

    /// If it is time: what to say, to whom, and who is silent.
    pub(super) fn beat(&mut self, now: Time) -> Option<(Pulse, Vec<NodeId>, Vec<NodeId>)> {
        let Pace { interval, silence } = self.pace.filter(|_| now >= self.at)?;
        if now.since(self.at) >= silence {
            // It is we who were away: what was said meanwhile waits to be heard.
            self.peers.values_mut().for_each(|peer| peer.heard_at = now);
        }
        self.at = now.after(interval);
        let pulse = Pulse { run: self.run, stops: self.stops, stopped: self.stopped.iter().copied().collect() };
        let silent = self.peers.iter().filter(|(_, peer)| now.since(peer.heard_at) >= silence);
        let silent = silent.map(|(peer, _)| *peer).collect();
        Some((pulse, self.peers.keys().copied().collect(), silent))
    }

    /// A host has spoken.
    pub(super) fn heard(&mut self, from: NodeId, pulse: &Pulse, now: Time) -> Lost {
        let Some(peer) = self.peers.get_mut(&from) else { return Lost::Nothing };
        peer.heard_at = now;
        match peer.said.replace((pulse.run, pulse.stops)) {
            Some((run, stops)) if run == pulse.run => {
                if pulse.stops < stops {
                    // Overtaken by a later one.
                    peer.said = Some((run, stops));
                }
                match usize::try_from(pulse.stops.saturating_sub(stops)) {
                    Ok(0) => Lost::Nothing,
                    Ok(news) if news <= pulse.stopped.len() => {
                        Lost::These(pulse.stopped[pulse.stopped.len() - news..].to_vec())
                    }
                    Ok(_) | Err(_) => Lost::All,
                }
            }
            Some(_) | None => Lost::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId::new(1);
    const B: NodeId = NodeId::new(2);

    fn settings() -> Settings {
        Settings { heartbeat_ms: 100, election_timeout_ms_min: 1000, rest_after_ms: 500, ..Settings::default() }
    }

    /// A host that has heard of B, and begun to speak, at 0 ms.
    fn host() -> LifeSigns {
        let mut host = LifeSigns::new(7);
        host.serve(&settings(), Time::ZERO);
        host.follow(&[B].into(), Time::ZERO);
        host
    }

    fn pulse(run: u64, stops: u64, stopped: &[u64]) -> Pulse {
        Pulse { run, stops, stopped: stopped.iter().map(|group| GroupId::new(*group)).collect() }
    }

    #[test]
    fn where_no_group_may_rest_nothing_is_said() {
        let mut host = LifeSigns::new(7);
        host.follow(&[A, B].into(), Time::ZERO);
        host.serve(&Settings { rest_after_ms: 0, ..settings() }, Time::ZERO);
        host.group_stopped(GroupId::new(1), Time::ZERO);
        assert_eq!(host.next_deadline(), Time::NEVER);
    }

    #[test]
    fn every_heartbeat_each_host_is_told_once() {
        let mut host = host();
        host.follow(&[A, B].into(), Time::ZERO);
        for beat in 0..50 {
            let now = Time::from_millis(beat * 100);
            assert_eq!(host.next_deadline(), now);
            let (_, told, _) = host.beat(now).expect("it is time");
            assert_eq!(told, [A, B]);
            assert!(host.beat(now).is_none(), "once is enough");
        }
    }

    /// Said once only, it could be said before the group rests.
    #[test]
    fn a_silent_host_is_named_again_and_again_until_it_speaks() {
        let mut host = host();
        let mut named = Vec::new();
        for ms in (0..3000).step_by(100) {
            if ms == 2000 {
                host.heard(B, &pulse(9, 0, &[]), Time::from_millis(ms));
            }
            let (_, _, silent) = host.beat(Time::from_millis(ms)).expect("it is time");
            named.extend(silent.iter().map(|_| ms));
        }
        assert_eq!(named, (1000..2000).step_by(100).collect::<Vec<_>>());
    }

    #[test]
    fn a_host_that_was_paused_blames_nobody() {
        let mut host = host();
        host.beat(Time::ZERO).expect("it is time");
        let (_, _, silent) = host.beat(Time::from_millis(60_000)).expect("it is time");
        assert_eq!(silent, []);
    }

    #[test]
    fn what_has_stopped_on_a_host_that_is_alive_is_known_from_its_next_pulse() {
        let mut host = host();
        let mut hear = |run, stops, stopped: &[u64]| host.heard(B, &pulse(run, stops, stopped), Time::ZERO);
        assert_eq!(hear(9, 0, &[]), Lost::All, "what it led before is not known");
        assert_eq!(hear(9, 0, &[]), Lost::Nothing);
        assert_eq!(hear(9, 2, &[4, 5]), Lost::These(vec![GroupId::new(4), GroupId::new(5)]));
        assert_eq!(hear(9, 3, &[4, 5, 6]), Lost::These(vec![GroupId::new(6)]));
        assert_eq!(hear(9, 2, &[4, 5]), Lost::Nothing, "overtaken");
        assert_eq!(hear(9, 3, &[4, 5, 6]), Lost::Nothing);
        assert_eq!(hear(9, 90, &[4; STOPPED_MAX]), Lost::All, "more than it could name");
        assert_eq!(hear(10, 90, &[4; STOPPED_MAX]), Lost::All, "it was started anew");
    }
}
