//! What must be true of the answers that clients got, whatever happened to the nodes in between.

use std::collections::{BTreeMap, HashSet};

use crate::client::{Answer, NoAnswer};

/// What is known about one write of a value that no other write uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Acknowledged: must be there.
    Done,
    /// Certainly not carried out: must never be seen.
    Refused,
    /// No answer, or one that says "maybe".
    Unknown,
}

/// Collects the answers of all clients.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Fates by key; each key is written once, with its own name as value.
    pub(crate) once: BTreeMap<String, Fate>,
    /// Fates of the compare-and-swaps by the value that they would have set.
    pub(crate) swaps: BTreeMap<String, Fate>,
    /// Places in the log that acknowledged writes were given.
    indexes: HashSet<u64>,
}

impl Oracle {
    /// Takes note of the answer to a `PUT` of a fresh key.
    pub(crate) fn put(&mut self, key: &str, answer: Result<Answer, NoAnswer>) {
        if answer.as_ref().err() == Some(&NoAnswer::NotSent) {
            return;
        }
        let fate = self.fate(answer.as_ref().ok());
        if let Ok(answer) = &answer
            && answer.status == 200
        {
            assert!(answer.json()["previous"].is_null(), "{key} is written once, but was applied twice: {answer:?}");
        }
        assert_eq!(self.once.insert(key.to_owned(), fate), None, "a key is used once");
    }

    /// Takes note of the answer to a compare-and-swap that would set `value`, which no other sets.
    pub(crate) fn swap(&mut self, value: &str, answer: Result<Answer, NoAnswer>) {
        let fate = match &answer {
            Ok(answer) if answer.status == 409 => {
                assert_ne!(answer.json()["current"], value, "refused by its own first application: applied twice");
                Fate::Refused
            }
            Ok(answer) => self.fate(Some(answer)),
            Err(NoAnswer::NotSent) => return,
            Err(NoAnswer::Unknown) => Fate::Unknown,
        };
        assert_eq!(self.swaps.insert(value.to_owned(), fate), None, "a value is used once");
    }

    fn fate(&mut self, answer: Option<&Answer>) -> Fate {
        match answer {
            None => Fate::Unknown,
            Some(answer) if answer.status == 200 => {
                let index = answer.json()["index"].as_u64().expect("an acknowledged write has an index");
                assert!(self.indexes.insert(index), "two writes were acknowledged with index {index}");
                Fate::Done
            }
            Some(answer) => {
                assert_eq!(answer.status, 503, "neither done nor unavailable: {answer:?}");
                if answer.maybe_applied() { Fate::Unknown } else { Fate::Refused }
            }
        }
    }

    /// Checks what a linearizable read of a key that is written once gave, after all its writers had stopped.
    pub(crate) fn check_read(&self, key: &str, found: Option<&str>) {
        match (self.once[key], found) {
            (Fate::Done, None) => panic!("{key} was acknowledged and is lost"),
            (Fate::Refused, Some(_)) => panic!("{key} was refused with maybe_applied: false, and is there"),
            (Fate::Done | Fate::Unknown, Some(value)) => assert_eq!(value, key, "{key} has a value nobody wrote"),
            (Fate::Refused | Fate::Unknown, None) => {}
        }
    }

    /// Checks the number of swaps that the register went through.
    pub(crate) fn check_swaps(&self, counted: usize) {
        let count = |fate| self.swaps.values().filter(|known| **known == fate).count();
        let (done, unknown) = (count(Fate::Done), count(Fate::Unknown));
        assert!(
            (done..=done + unknown).contains(&counted),
            "{counted} swaps happened, but {done} were acknowledged and {unknown} are unknown"
        );
    }

    /// Checks a value that was seen in the register.
    pub(crate) fn check_seen(&self, value: &str) {
        match self.swaps.get(value) {
            Some(Fate::Done | Fate::Unknown) => {}
            Some(Fate::Refused) => panic!("{value:?} was refused, and then seen"),
            None => panic!("{value:?} was seen, and nobody wrote it"),
        }
    }

    /// How many writes were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.once.values().chain(self.swaps.values()).filter(|fate| **fate == Fate::Done).count()
    }
}

/// The oracle has to notice what it is there for.
mod proof {
    use super::*;

    fn answer(status: u16, text: &str) -> Result<Answer, NoAnswer> {
        Ok(Answer { status, text: text.to_owned() })
    }

    #[test]
    #[should_panic(expected = "is lost")]
    fn a_lost_write_is_noticed() {
        let mut oracle = Oracle::default();
        oracle.put("k", answer(200, r#"{"index":2,"previous":null}"#));
        oracle.check_read("k", None);
    }

    #[test]
    #[should_panic(expected = "applied twice")]
    fn a_write_applied_twice_is_noticed() {
        Oracle::default().put("k", answer(200, r#"{"index":2,"previous":"k"}"#));
    }

    #[test]
    #[should_panic(expected = "applied twice")]
    fn a_swap_refused_by_itself_is_noticed() {
        Oracle::default().swap("1 k", answer(409, r#"{"current":"1 k"}"#));
    }

    #[test]
    #[should_panic(expected = "with index 2")]
    fn two_writes_in_one_place_are_noticed() {
        let mut oracle = Oracle::default();
        oracle.put("a", answer(200, r#"{"index":2,"previous":null}"#));
        oracle.put("b", answer(200, r#"{"index":2,"previous":null}"#));
    }

    #[test]
    #[should_panic(expected = "maybe_applied: false, and is there")]
    fn a_refused_write_that_is_there_is_noticed() {
        let mut oracle = Oracle::default();
        oracle.put("k", answer(503, r#"{"error":"timeout","maybe_applied":false}"#));
        oracle.check_read("k", Some("k"));
    }

    #[test]
    #[should_panic(expected = "3 swaps happened")]
    fn a_swap_too_many_is_noticed() {
        let mut oracle = Oracle::default();
        oracle.swap("1 a", answer(200, r#"{"index":2}"#));
        oracle.swap("2 b", answer(503, r#"{"error":"timeout","maybe_applied":true}"#));
        oracle.check_swaps(3);
    }

    #[test]
    fn the_unknown_may_be_there_or_not() {
        let mut oracle = Oracle::default();
        oracle.put("k", Err(NoAnswer::Unknown));
        oracle.put("gone", Err(NoAnswer::NotSent));
        oracle.check_read("k", None);
        oracle.check_read("k", Some("k"));
        assert_eq!((oracle.acknowledged(), oracle.once.len()), (0, 1));
    }
}
