//! `POST /raft/snapshot`.

use actix_web::HttpResponse;
use raft_actor::RaftHandle;
use serde_json::json;

use crate::kv::state_machine::Kv;

/// `POST /raft/snapshot`: of this node, whoever leads.
pub(super) async fn snapshot(raft: RaftHandle<Kv>) -> actix_web::Result<HttpResponse> {
    let through = raft.snapshot().await?;
    Ok(HttpResponse::Ok().json(json!({ "index": through })))
}
