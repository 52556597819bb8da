//! `POST /raft/membership`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use actix_web::{HttpRequest, HttpResponse, web};
use raft_actor::{Membership, NodeId, RaftHandle};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::json;

use super::Problem;
use super::request::timeout_asked;
use crate::kv::options::Peer;
use crate::kv::state_machine::Kv;

/// Longest body: room for a thousand members.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Who shall belong to the cluster.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    voters: Vec<NodeId>,
    #[serde(default)]
    learners: Vec<NodeId>,
    /// Where those are that are new or have moved.
    #[serde(default, deserialize_with = "unique")]
    peers: BTreeMap<String, String>,
}

/// A map none of whose keys is given twice: by itself serde takes the last, and a typing error would move a member.
fn unique<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Unique;

    impl<'de> Visitor<'de> for Unique {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address for each of some node numbers")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((id, address)) = entries.next_entry::<String, String>()? {
                if map.contains_key(&id) {
                    return Err(A::Error::custom(format_args!("node {id} has two addresses in \"peers\"")));
                }
                map.insert(id, address);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(Unique)
}

/// `POST /raft/membership`: 200 when the cluster consists of these members, whichever node is asked.
pub(super) async fn membership(
    http: HttpRequest,
    raft: RaftHandle<Kv>,
    body: web::Payload,
) -> actix_web::Result<HttpResponse> {
    let timeout = timeout_asked(&http)?;
    let bad = |detail: String| Problem::BadMembership { detail };
    let body = tokio::time::timeout(timeout, body.to_bytes_limited(BODY_BYTES_MAX));
    let timeout_ms = timeout.as_millis().try_into().unwrap_or(u64::MAX);
    let body = body.await.map_err(|_elapsed| Problem::BodyTooSlow { timeout_ms })?;
    let body = body.map_err(|_| bad("the body is too long".into()))?.map_err(|error| bad(error.to_string()))?;
    let wanted = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    let wanted = check(wanted).map_err(bad)?;
    let (voters, learners) = (wanted.voters.clone(), wanted.learners.clone());
    let at = raft.with_timeout(timeout).change_membership(wanted).await?;
    Ok(HttpResponse::Ok().json(json!({ "index": at.index, "term": at.term, "voters": voters, "learners": learners })))
}

/// What is wrong whoever leads; that a new member has no address only the leader can tell.
fn check(Wanted { voters, learners, peers }: Wanted) -> Result<Membership, String> {
    let mut members = BTreeSet::new();
    for id in voters.iter().chain(&learners) {
        if id.get() == 0 {
            return Err("0 is not a node number; numbers begin at 1".into());
        }
        if !members.insert(*id) {
            return Err(format!("node {id} is named twice; each is a voter or a learner, once"));
        }
    }
    if voters.is_empty() {
        return Err("a cluster needs at least one voter".into());
    }
    let mut membership = Membership::of_voters(voters).learners(learners);
    let mut by_address = BTreeMap::new();
    for (id, address) in peers {
        let Peer { id, address } = format!("{id}={address}").parse()?;
        if !members.contains(&NodeId::from(id)) {
            return Err(format!("node {id} has an address in \"peers\", but is neither a voter nor a learner"));
        }
        if let Some(other) = by_address.insert(address.clone(), id) {
            return Err(format!("nodes {other} and {id} have the same address {address}"));
        }
        membership = membership.address(id, address);
    }
    Ok(membership)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: serde_json::Value) -> Result<Membership, String> {
        check(serde_json::from_value(json).expect("the right fields"))
    }

    #[test]
    fn a_duplicate_key_in_peers_is_refused() {
        let body = r#"{ "voters": [1, 2], "peers": { "2": "a:7102", "2": "b:7102" } }"#;
        let refused = serde_json::from_str::<Wanted>(body).expect_err("one of them is wrong");
        assert!(refused.to_string().starts_with("node 2 has two addresses in \"peers\""), "{refused}");
    }

    #[test]
    fn a_membership_is_taken_as_it_stands() {
        let wanted = json!({ "voters": [1, 2, 4], "learners": [5], "peers": { "4": "a:7104", "5": "b:7105" } });
        let expected = Membership::of_voters([1, 2, 4]).learners([5]).address(4, "a:7104").address(5, "b:7105");
        assert_eq!(checked(wanted), Ok(expected));
    }

    #[test]
    fn what_can_never_be_is_refused_with_what_is_wrong() {
        for (wanted, detail) in [
            (json!({ "voters": [] }), "at least one voter"),
            (json!({ "voters": [1, 2, 2] }), "2 is named twice"),
            (json!({ "voters": [1, 2], "learners": [2] }), "2 is named twice"),
            (json!({ "voters": [0] }), "begin at 1"),
            (json!({ "voters": [1], "peers": { "2": "a:1" } }), "neither a voter nor a learner"),
            (json!({ "voters": [1, 2], "peers": { "2": "a" } }), "lacks a port"),
            (json!({ "voters": [1, 2], "peers": { "2": ":1" } }), "lacks a host"),
            (json!({ "voters": [1, 2], "peers": { "two": "a:1" } }), "not a node number"),
            (json!({ "voters": [1, 2], "peers": { "1": "a:1", "2": "a:1" } }), "same address"),
        ] {
            let refused = checked(wanted.clone()).expect_err("nonsense");
            assert!(refused.contains(detail), "{wanted}: {refused}");
        }
    }
}
