//! The present membership, and the next one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Failure;
use crate::kv::options::Peer;

/// A node of the cluster, as one node sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: u64,
    pub(super) is_voter: bool,
    /// What it is on its way to: "voter", "learner" or "removed".
    pub(super) becomes: Option<&'static str>,
    pub(super) leads: bool,
    pub(super) address: Option<String>,
    /// The leader's view of it, if the leader was asked.
    pub(super) peer: Value,
}

impl Member {
    pub(super) fn role(&self) -> &'static str {
        if self.is_voter { "voter" } else { "learner" }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "role": self.role(),
            "becomes": self.becomes,
            "leader": self.leads,
            "address": self.address,
            "match_index": self.peer["match_index"],
            "state": self.peer["state"],
            "last_contact_ms": self.peer["last_contact_ms"],
        })
    }
}

/// All members that a status names.
pub(super) fn list(status: &Value) -> Vec<Member> {
    let (voters, learners) = (ids(&status["voters"]), ids(&status["learners"]));
    let next = &status["changing_to"];
    let (next_voters, next_learners) = (ids(&next["voters"]), ids(&next["learners"]));
    let member = |id: u64| {
        let is_voter = voters.contains(&id);
        let becomes = match (next_voters.contains(&id), next_learners.contains(&id)) {
            _ if next.is_null() => None,
            (true, _) => Some("voter").filter(|_| !is_voter),
            (_, true) => Some("learner").filter(|_| is_voter),
            (false, false) => Some("removed"),
        };
        let key = id.to_string();
        Member {
            id,
            is_voter,
            becomes,
            leads: status["leader_id"].as_u64() == Some(id),
            address: status["addresses"][&key].as_str().map(str::to_owned),
            peer: status["peers"][&key].clone(),
        }
    };
    voters.union(&learners).copied().map(member).collect()
}

/// The membership with one more; in the words of `POST /raft/membership`.
pub(super) fn with(status: &Value, peer: &Peer, as_learner: bool) -> Value {
    let (mut voters, mut learners) = present(status);
    voters.remove(&peer.id);
    learners.remove(&peer.id);
    if as_learner { &mut learners } else { &mut voters }.insert(peer.id);
    json!({ "voters": voters, "learners": learners, "peers": BTreeMap::from([(peer.id, &peer.address)]) })
}

/// The membership without one.
pub(super) fn without(status: &Value, id: u64) -> Result<Value, Failure> {
    let (mut voters, mut learners) = present(status);
    if !voters.remove(&id) && !learners.remove(&id) {
        return Err(Failure::NoMember { id });
    }
    if voters.is_empty() {
        return Err(Failure::LastVoter { id });
    }
    Ok(json!({ "voters": voters, "learners": learners }))
}

/// What is, or is on its way: a change that is under way must not be undone by the next.
fn present(status: &Value) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let next = &status["changing_to"];
    let now = if next.is_null() { status } else { next };
    (ids(&now["voters"]), ids(&now["learners"]))
}

fn ids(list: &Value) -> BTreeSet<u64> {
    list.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Value {
        json!({
            "leader_id": 1, "voters": [1, 2, 3], "learners": [4], "changing_to": null,
            "addresses": { "1": "a:1", "2": "a:2", "3": "a:3", "4": "a:4" },
            "peers": { "2": { "match_index": 7, "state": "replicate", "last_contact_ms": 12 } },
        })
    }

    fn changing() -> Value {
        let mut status = status();
        status["changing_to"] = json!({ "voters": [1, 2, 4], "learners": [] });
        status
    }

    fn peer(text: &str) -> Peer {
        text.parse().expect("a number and an address")
    }

    #[test]
    fn one_that_is_added_joins_those_that_are_there_or_on_their_way() {
        let more = with(&status(), &peer("5=b:5"), false);
        assert_eq!(more, json!({ "voters": [1, 2, 3, 5], "learners": [4], "peers": { "5": "b:5" } }));
        let more = with(&changing(), &peer("5=b:5"), true);
        assert_eq!(more, json!({ "voters": [1, 2, 4], "learners": [5], "peers": { "5": "b:5" } }));
    }

    #[test]
    fn a_learner_is_promoted_by_adding_it_and_a_voter_demoted_by_adding_it_as_a_learner() {
        let promoted = with(&status(), &peer("4=a:4"), false);
        assert_eq!((&promoted["voters"], &promoted["learners"]), (&json!([1, 2, 3, 4]), &json!([])));
        let demoted = with(&status(), &peer("3=a:3"), true);
        assert_eq!((&demoted["voters"], &demoted["learners"]), (&json!([1, 2]), &json!([3, 4])));
    }

    #[test]
    fn only_a_member_is_removed_and_never_the_last_voter() {
        assert_eq!(without(&status(), 4).expect("a learner"), json!({ "voters": [1, 2, 3], "learners": [] }));
        assert_eq!(without(&changing(), 4).expect("a future voter"), json!({ "voters": [1, 2], "learners": [] }));
        assert!(matches!(without(&status(), 9), Err(Failure::NoMember { id: 9 })));
        let alone = json!({ "voters": [1], "learners": [2] });
        assert!(matches!(without(&alone, 1), Err(Failure::LastVoter { id: 1 })));
    }

    #[test]
    fn members_are_listed_with_what_they_become() {
        let becomes =
            |status: &Value| list(status).iter().map(|member| (member.id, member.becomes)).collect::<Vec<_>>();
        assert_eq!(becomes(&status()), [(1, None), (2, None), (3, None), (4, None)]);
        assert_eq!(becomes(&changing()), [(1, None), (2, None), (3, Some("removed")), (4, Some("voter"))]);
        let lines: Vec<Value> = list(&status()).iter().map(Member::json).collect();
        assert_eq!(
            lines[1],
            json!({ "id": 2, "role": "voter", "becomes": null, "leader": false, "address": "a:2", "match_index": 7,
                "state": "replicate", "last_contact_ms": 12 })
        );
        assert_eq!((&lines[0]["leader"], &lines[3]["role"]), (&json!(true), &json!("learner")));
    }
}
