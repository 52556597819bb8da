//! What machines on disk store for the framework, and what they get back.

use std::collections::BTreeMap;

use raft_consensus::{Configuration, Term};

use super::super::command::{CLIENT_BYTES_MAX, Once, Stamp};
use super::super::sessions::Seen;
use super::records::VERSION;
use super::*;

fn owner() -> Owner {
    Owner { cluster: "bank".into(), group: GroupId::new(3) }
}

/// Keeps records, and as many of the last changes as asked.
#[derive(Debug, Default)]
struct Keeper {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Of the last commit.
    written: usize,
    removed: usize,
    fails: Option<&'static str>,
}

impl Keeper {
    fn answer(&self) -> io::Result<()> {
        match self.fails {
            None => Ok(()),
            Some("panic") => panic!("asked to"),
            Some(what) => Err(io::Error::other(what)),
        }
    }
}

impl OnDisk for Keeper {
    fn commit(&mut self, records: &Records) -> io::Result<()> {
        self.answer()?;
        (self.written, self.removed) = (0, 0);
        for (key, value) in records.iter() {
            assert!(key.len() <= 160, "as its docs say");
            match value {
                Some(value) => {
                    self.written += 1;
                    self.records.insert(key.to_vec(), value.to_vec());
                }
                None => {
                    self.removed += 1;
                    self.records.remove(key);
                }
            }
        }
        Ok(())
    }

    fn records(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.answer()?;
        Ok(self.records.clone().into_iter().collect())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.answer()
    }
}

/// A machine with what the framework knows beside it.
struct Whole {
    keeper: Keeper,
    covered: SnapshotMeta,
    sessions: Sessions,
    stored: Option<Stored>,
}

fn at(index: u64) -> LogPosition {
    LogPosition::new(Term::new(2), LogIndex::new(index))
}

fn members(ids: &[u64]) -> Configuration {
    Configuration::of_voters(ids.iter().map(|id| ((*id).into(), "somewhere")))
}

impl Whole {
    fn new() -> Self {
        let covered = SnapshotMeta { position: at(1), configuration: members(&[1, 2]), configured_at: at(1) };
        let mut sessions = Sessions::default();
        sessions.note_changes();
        Self { keeper: Keeper::default(), covered, sessions, stored: None }
    }

    fn once(&mut self, client: &str, sequence: u64, acknowledged: u64, time_ms: u64) {
        let once = Once { client, sequence, acknowledged, may_open: acknowledged == 0 };
        let stamp = Stamp { time_ms, lifetime_ms: 1_000 };
        if self.sessions.look_up(&once, stamp) == Seen::New {
            self.sessions.remember(client, sequence, Bytes::from(format!("answer {sequence}")));
        }
    }

    fn commit(&mut self, index: u64) -> Result<(), MachineError> {
        self.covered.position = at(index);
        commit(&mut self.keeper, &owner(), &self.covered, &mut self.sessions, &mut self.stored)
    }

    /// What a restart finds.
    fn check(&self) {
        let held = held(&self.keeper, &owner()).expect("they are right").expect("something was committed");
        assert_eq!(held.covered, self.covered);
        let mut expected = Vec::new();
        let mut found = Vec::new();
        self.sessions.save(&mut expected).expect("there is room");
        held.sessions.save(&mut found).expect("there is room");
        assert_eq!(found, expected);
        assert_eq!(held.sessions.extent(), self.sessions.extent());
    }
}

#[test]
fn a_batch_without_sessions_costs_one_small_record() {
    let mut whole = Whole::new();
    whole.commit(2).expect("it works");
    assert_eq!(whole.keeper.written, 2, "the members as well, once");
    for index in 3..10 {
        whole.commit(index).expect("it works");
        assert_eq!((whole.keeper.written, whole.keeper.removed), (1, 0));
        whole.check();
    }
    assert!(whole.keeper.records[&vec![0]].len() <= 50 + "bank".len(), "as the docs say");
}

#[test]
fn a_batch_that_changes_nothing_is_none() {
    let mut whole = Whole::new();
    whole.commit(2).expect("it works");
    whole.keeper.fails = Some("asked to");
    whole.commit(2).expect("it was not even asked");
}

#[test]
fn a_command_of_a_session_stores_itself_and_not_all_that_is_remembered() {
    let mut whole = Whole::new();
    for client in 0..100 {
        whole.once(&format!("c{client}"), 1, 0, 0);
    }
    whole.commit(2).expect("it works");
    whole.once("c7", 2, 1, 10);
    whole.commit(3).expect("it works");
    assert_eq!((whole.keeper.written, whole.keeper.removed), (3, 1), "position, client, answer; the one it has goes");
    whole.check();
}

#[test]
fn what_is_stored_is_always_what_is_remembered() {
    let mut whole = Whole::new();
    // Any order of opening, answering, acknowledging, repeating, forgetting, and changes of the members.
    let mut chance = 1_u64;
    let mut draw = |below: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % below
    };
    let mut time_ms = 0;
    for index in 2..2_000 {
        for _ in 0..draw(4) {
            time_ms += draw(200);
            let client = format!("c{}", draw(8));
            let sequence = 1 + draw(12);
            whole.once(&client, sequence, draw(sequence), time_ms);
        }
        if draw(10) == 0 {
            whole.covered.configuration = members(&[1, 2, 3 + draw(4)]);
            whole.covered.configured_at = at(index);
        }
        if draw(20) == 0 {
            // A snapshot of another member, which remembers others.
            let mut others = Whole::new();
            (0..draw(5)).for_each(|client| others.once(&format!("c{client}"), 1, 0, time_ms));
            whole.sessions.replace(others.sessions);
        }
        if draw(3) > 0 {
            whole.commit(index).expect("it works");
            whole.check();
        }
    }
}

#[test]
fn the_longest_name_of_a_client_is_stored() {
    let mut whole = Whole::new();
    whole.once(&"x".repeat(CLIENT_BYTES_MAX), u64::MAX, 0, 0);
    whole.commit(2).expect("it works");
    whole.check();
}

/// What is said of these records at a start.
fn refusal(whole: &Whole, damage: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>)) -> Option<MachineError> {
    let mut keeper = Keeper { records: whole.keeper.records.clone(), ..Keeper::default() };
    damage(&mut keeper.records);
    held(&keeper, &owner()).err()
}

#[test]
fn records_that_are_not_those_that_were_stored_are_refused_and_never_a_panic() {
    let mut whole = Whole::new();
    whole.once("a", 1, 0, 5);
    whole.once("b", 1, 0, 5);
    whole.commit(2).expect("it works");
    let records = &whole.keeper.records;
    assert!(refusal(&whole, |_| ()).is_none());
    assert!(matches!(held(&Keeper::default(), &owner()), Ok(None)), "a new machine");
    for key in records.keys() {
        let error = refusal(&whole, |records| drop(records.remove(key)));
        assert!(matches!(error, Some(MachineError::Records { .. })), "without {key:?}: {error:?}");
        for length in 0..records[key].len() {
            // An answer may have any length, but the sum is known.
            let error = refusal(&whole, |records| records.get_mut(key).expect("it is there").truncate(length));
            assert!(error.is_some(), "{key:?} cut after {length} bytes");
        }
    }
    for key in [&[][..], &[0, 0], &[1, 1], &[4], &[9, 9, 9], &[3], &[3, 200, 1], &[3, 1, b'a'], &[2, 0xff]] {
        let error = refusal(&whole, |records| drop(records.insert(key.to_vec(), vec![0; 16])));
        assert!(matches!(error, Some(MachineError::Records { .. })), "with {key:?}: {error:?}");
    }
    let stale = refusal(&whole, |records| drop(records.insert(b"\x03\x01a\0\0\0\0\0\0\0\x09".to_vec(), vec![1])));
    assert!(matches!(stale, Some(MachineError::Records { .. })), "one that was to be removed: {stale:?}");
}

#[test]
fn records_of_a_later_version_or_of_another_group_are_refused_by_name() {
    let mut whole = Whole::new();
    whole.commit(2).expect("it works");
    let later = refusal(&whole, |records| {
        records.insert(vec![77], Vec::new());
        records.get_mut(&vec![0]).expect("it is there")[0] = VERSION + 1;
    });
    assert!(matches!(later, Some(MachineError::Version { found: 2, supported: 1 })), "{later:?}");
    for other in [Owner { group: GroupId::new(4), ..owner() }, Owner { cluster: "shop".into(), ..owner() }] {
        let error = held(&whole.keeper, &other).expect_err("it is another's");
        let said = format!("holds the state of group 3 of the cluster \"bank\", not of {other}; start each");
        assert!(error.to_string().contains(&said), "{error}");
    }
}

#[test]
fn a_machine_that_fails_or_panics_says_what_it_was_asked() {
    for (fails, said) in [("no room", "no room"), ("panic", "it panicked: asked to")] {
        let mut whole = Whole::new();
        whole.keeper.fails = Some(fails);
        let error = whole.commit(2).expect_err("asked to");
        assert_eq!(error.to_string(), format!("the state machine cannot commit: {said}"));
        let error = sync(&mut whole.keeper).expect_err("asked to");
        assert!(error.to_string().ends_with(said), "{error}");
        assert!(held(&whole.keeper, &owner()).is_err());
        // It was not stored, and is not taken for it.
        whole.keeper.fails = None;
        assert_eq!(whole.stored, None);
    }
}
