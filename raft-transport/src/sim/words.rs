//! What machines said, in words: for whoever has to find out why two of them said different things.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use raft_actor::consensus::{LogIndex, LogPosition, NodeId};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::checker::Violation;

/// What a response may depend on, and what it must not.
pub(super) const ADVICE: &str = "apply must depend on the state and the command alone, never on a clock, an address, \
                                 chance, a thread, or the order of a HashMap or HashSet";

/// So many responses are remembered, ...
const RESPONSES_MAX: usize = 4_096;
/// ... as far as they are not longer than this.
const RESPONSE_BYTES_MAX: usize = 1_024;
/// So much of a value is shown.
const SHOWN_CHARS_MAX: usize = 200;

/// The latest responses, each of the first machine that gave it, encoded.
#[derive(Debug, Default)]
pub struct Words {
    said: BTreeMap<LogIndex, (NodeId, Vec<u8>)>,
}

impl Words {
    /// The machine of `node` responds to the entry at `index`.
    pub(super) fn says(&mut self, node: NodeId, index: LogIndex, response: impl FnOnce() -> Option<Vec<u8>>) {
        if self.said.contains_key(&index) {
            return;
        }
        let Some(response) = response().filter(|response| response.len() <= RESPONSE_BYTES_MAX) else { return };
        self.said.insert(index, (node, response));
        if self.said.len() > RESPONSES_MAX {
            self.said.pop_first();
        }
    }

    /// Says of two different responses to one entry what they are.
    pub(super) fn explain(&self, violation: Violation, position: LogPosition, response: &impl Serialize) -> Violation {
        let Some(node) = violation.node.filter(|_| violation.invariant == "same_response_everywhere") else {
            return violation;
        };
        let (first, second) = (self.first(position.index), shown(response));
        let what =
            format!("{first} and n{node} responded {second} to the same entry {position}, in the same state: {ADVICE}");
        Violation { what, ..violation }
    }

    /// Who said what to the entry at `index` first, if that is remembered.
    pub(super) fn first(&self, index: LogIndex) -> String {
        match self.said.get(&index) {
            Some((node, response)) => format!("n{node} responded {}", readable(response)),
            None => "the first server responded something else".to_owned(),
        }
    }
}

/// A value, much as JSON would have it.
pub(super) fn shown(value: &impl Serialize) -> String {
    rmp_serde::to_vec_named(value).map_or_else(|_| "what cannot be encoded".to_owned(), |bytes| readable(&bytes))
}

/// An encoded value, much as JSON would have it.
pub(super) fn readable(encoded: &[u8]) -> String {
    let Ok(Readable(text)) = rmp_serde::from_slice(encoded) else { return format!("{} bytes", encoded.len()) };
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text,
    }
}

struct Readable(String);

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Spells whatever comes.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Readable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Readable, E> {
        Ok(Readable(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Readable, E> {
        Ok(Readable(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Readable, E> {
        Ok(Readable(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Readable, E> {
        Ok(Readable(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Readable, E> {
        Ok(Readable(format!("{value:?}")))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Readable, E> {
        Ok(Readable(format!("{} bytes", value.len())))
    }

    fn visit_unit<E>(self) -> Result<Readable, E> {
        Ok(Readable("null".to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Readable, A::Error> {
        let mut text = "[".to_owned();
        while let Some(Readable(item)) = items.next_element()? {
            let comma = if text.len() > 1 { ", " } else { "" };
            let _ = write!(text, "{comma}{item}");
        }
        Ok(Readable(text + "]"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Readable, A::Error> {
        let mut text = "{".to_owned();
        while let Some((Readable(key), Readable(value))) = entries.next_entry()? {
            let comma = if text.len() > 1 { ", " } else { "" };
            let _ = write!(text, "{comma}{key}: {value}");
        }
        Ok(Readable(text + "}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    enum Command {
        Add { job: u32, tags: Vec<&'static str>, at: Option<f64> },
        Take,
    }

    #[test]
    fn values_are_shown_much_as_in_json() {
        let add = Command::Add { job: 5, tags: vec!["a", "b"], at: None };
        assert_eq!(shown(&add), r#"{"Add": {"job": 5, "tags": ["a", "b"], "at": null}}"#);
        assert_eq!(shown(&Command::Take), r#""Take""#);
        assert_eq!(shown(&(-3, true, 0.5)), "[-3, true, 0.5]");
    }

    #[test]
    fn long_values_are_cut_and_what_is_none_is_counted() {
        assert!(shown(&"ä".repeat(1_000)).ends_with(" ..."));
        assert_eq!(readable(&[0xc1, 0, 0]), "3 bytes");
    }

    #[test]
    fn the_first_one_who_responds_is_remembered() {
        let mut words = Words::default();
        let index = LogIndex::new(7);
        words.says(1.into(), index, || rmp_serde::to_vec_named(&5).ok());
        words.says(2.into(), index, || panic!("the second is not even asked"));
        assert_eq!(words.first(index), "n1 responded 5");
        (8..10_000).for_each(|at| words.says(1.into(), LogIndex::new(at), || Some(vec![0])));
        assert_eq!(words.said.len(), RESPONSES_MAX);
    }
}
