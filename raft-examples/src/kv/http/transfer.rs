//! `POST /raft/transfer`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use raft_actor::{NodeId, RaftHandle, TransferError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Problem;
use super::request::timeout_asked;
use crate::kv::state_machine::Kv;

/// Longest body; there is not much to say.
const BODY_BYTES_MAX: usize = 1024;

/// Who shall lead; nobody named: any other voter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    to: Option<NodeId>,
}

/// `POST /raft/transfer` `{"to":2}`: 200 when that node leads. Any node takes it.
pub(super) async fn transfer(
    http: HttpRequest,
    raft: RaftHandle<Kv>,
    body: web::Payload,
) -> actix_web::Result<HttpResponse> {
    let timeout = timeout_asked(&http)?;
    let bad = |detail| Problem::BadTransfer { detail };
    let body = body.to_bytes_limited(BODY_BYTES_MAX).await;
    let body = body.map_err(|_| bad("the body is too long".to_owned()))?.map_err(|error| bad(error.to_string()))?;
    let Wish { to } = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    Ok(match raft.with_timeout(timeout).transfer_leadership(to).await {
        Ok(new) => HttpResponse::Ok().json(json!({ "leader_id": new.leader, "term": new.term })),
        Err(error) => refusal(&error),
    })
}

fn refusal(error: &TransferError) -> HttpResponse {
    let (status, code, maybe_applied, leader): (_, _, _, Option<NodeId>) = match error {
        TransferError::NotVoter { .. } => (StatusCode::BAD_REQUEST, "not_voter", None, None),
        TransferError::InProgress { .. } => (StatusCode::CONFLICT, "transfer_in_progress", None, None),
        TransferError::NobodyElse { .. } => (StatusCode::CONFLICT, "nobody_else", None, None),
        TransferError::Superseded { leader, .. } => (StatusCode::CONFLICT, "superseded", None, Some(*leader)),
        TransferError::NoLeader { leader, .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_leader", Some(false), *leader),
        TransferError::NodeStopped { .. } => (StatusCode::SERVICE_UNAVAILABLE, "node_stopped", Some(true), None),
        // A timeout, or a reason of a later version: nothing says for sure that nothing will come of it.
        _ => (StatusCode::SERVICE_UNAVAILABLE, "timeout", Some(true), None),
    };
    let mut body = json!({ "error": code, "detail": error.to_string() });
    if let Some(maybe_applied) = maybe_applied {
        body["maybe_applied"] = Value::from(maybe_applied);
        body["leader_id"] = json!(leader);
    }
    HttpResponse::build(status).json(body)
}
