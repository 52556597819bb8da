//! `POST /raft/snapshot`.

use actix_web::{HttpRequest, HttpResponse};
use raft_actor::RaftHandle;
use serde_json::json;

use super::request::timeout_asked;
use crate::kv::state_machine::Kv;

/// `POST /raft/snapshot`: of this node, whoever leads.
pub(super) async fn snapshot(http: HttpRequest, raft: RaftHandle<Kv>) -> actix_web::Result<HttpResponse> {
    let through = raft.with_timeout(timeout_asked(&http)?).snapshot().await?;
    Ok(HttpResponse::Ok().json(json!({ "index": through })))
}
