//! `GET /raft/status`.

use actix_web::{HttpResponse, web};
use raft_actor::RaftHandle;
use serde::Deserialize;

use super::Problem;
use super::request::timeout_of;
use crate::kv::state_machine::{Kv, Query};

/// What stands behind the question mark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    #[serde(default)]
    consistency: Freshness,
    timeout_ms: Option<u64>,
}

/// How much a node has to know before it tells.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Freshness {
    /// What it knows anyway.
    #[default]
    Stale,
    /// At least what was committed when it was asked: its word on the membership can be built upon.
    Linearizable,
}

/// `GET /raft/status`: what this node knows at this moment; always answered, unless more than that is asked for.
pub(super) async fn status(
    raft: RaftHandle<Kv>,
    parameters: Result<web::Query<Parameters>, actix_web::Error>,
) -> actix_web::Result<HttpResponse> {
    let parameters = parameters.map_err(|error| Problem::BadParameter { detail: error.to_string() })?;
    match parameters.consistency {
        Freshness::Stale => {}
        Freshness::Linearizable => {
            // Any read will do: once it is answered, this node has applied all that was committed before.
            let raft = raft.with_timeout(timeout_of(parameters.timeout_ms)?);
            raft.read(Query::Get { key: String::new() }).await?;
        }
    }
    Ok(HttpResponse::Ok().json(&*raft.status()))
}
