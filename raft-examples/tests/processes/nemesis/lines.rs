//! What goes wrong between the nodes.

use std::time::{Duration, Instant};

use raft_tests::proxy::{Counts, Flow, Mesh, Weather};
use rand::RngExt;
use rand::seq::SliceRandom;

use super::fault::Fault;
use super::{NODES, Nemesis};
use crate::client::eventually;

/// Time enough for a fault to meet somebody.
const SOON: Duration = Duration::from_secs(5);

impl Nemesis {
    /// Something goes wrong with the lines; returns when there is evidence of it.
    pub(super) fn begin(&mut self, fault: Fault) {
        eventually(&format!("there is evidence of {fault:?}"), || {
            let before = self.mesh().counts();
            self.draw(fault);
            // Where nobody has anything to say nothing is lost: then it strikes elsewhere.
            let struck = is_soon(|| happened(fault, before, self.mesh().counts()));
            if !struck {
                self.mesh().calm();
            }
            struck.then_some(())
        });
        self.note(fault);
    }

    /// Decides where it strikes.
    fn draw(&mut self, fault: Fault) {
        let mut nodes: Vec<usize> = (0..NODES).collect();
        nodes.shuffle(&mut self.chance);
        let leader = self.cluster.leader().unwrap_or(nodes[0]);
        let flow = if self.chance.random() { Flow::Swallow } else { Flow::Hold };
        match fault {
            Fault::Halves => {
                let minority = self.chance.random_range(1..=2);
                self.cut(flow, |from, to| nodes[..minority].contains(&from) != nodes[..minority].contains(&to));
            }
            Fault::OneWay => {
                let silent: bool = self.chance.random();
                let victim = if self.chance.random() { leader } else { nodes[0] };
                self.cut(flow, |from, to| if silent { from == victim } else { to == victim });
            }
            Fault::Bridge => {
                // Followers do not talk to each other: the leader is in one of the pairs.
                nodes.sort_by_key(|node| *node != leader);
                let side = |node: usize| nodes.iter().position(|at| *at == node).expect("one of them") / 2;
                // Sides 0 and 1 are pairs, side 2 is the bridge.
                self.cut(flow, |from, to| matches!((side(from), side(to)), (0, 1) | (1, 0)));
            }
            Fault::LostLeader => self.cut(flow, |from, to| from == leader || to == leader),
            Fault::Resets => self.mesh().set(|from, to| {
                let place = u64::try_from(from * NODES + to).expect("few nodes");
                Weather::cut(20 + place, 1 + place * 7)
            }),
            Fault::BadLines => self.mesh().set(|from, _| {
                let slow = Flow::Trickle { bytes: 256, pause: Duration::from_millis(1) };
                if from == leader { Weather::both(slow) } else { Weather::both(Flow::Delay(Duration::from_millis(20))) }
            }),
            Fault::Pause
            | Fault::Kill
            | Fault::KillAll
            | Fault::Terminate
            | Fault::WriteFails
            | Fault::TornTail
            | Fault::Damage
            | Fault::Wipe => unreachable!("{fault:?} is none of the lines"),
        }
    }

    /// The lines are well again.
    pub(super) fn finish(&mut self, fault: Fault) {
        if fault == Fault::Resets {
            self.mesh().links().for_each(|(_, _, link)| link.reset());
        }
        self.mesh().calm();
    }

    fn mesh(&self) -> &Mesh {
        self.cluster.mesh.as_ref().expect("a cluster under fire")
    }

    /// What travels from one node to another is lost, over whichever connection, or waits.
    fn cut(&self, flow: Flow, lost: impl Fn(usize, usize) -> bool) {
        let of = |lost| if lost { flow } else { Flow::Pass };
        self.mesh().set(|from, to| Weather {
            there: of(lost(from, to)),
            back: of(lost(to, from)),
            ..Weather::default()
        });
    }
}

fn is_soon(mut it: impl FnMut() -> bool) -> bool {
    let give_up = Instant::now() + SOON;
    while !it() {
        if Instant::now() >= give_up {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

fn happened(fault: Fault, before: Counts, now: Counts) -> bool {
    match fault {
        Fault::Resets => now.cuts >= before.cuts + 10,
        Fault::BadLines => now.delays >= before.delays + 20 && now.trickles >= before.trickles + 20,
        _ => now.swallowed_there_bytes > before.swallowed_there_bytes || now.held > before.held,
    }
}
