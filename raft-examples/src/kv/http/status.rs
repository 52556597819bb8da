//! `GET /raft/status`.

use actix_web::HttpResponse;
use raft_actor::RaftHandle;

use crate::kv::state_machine::Kv;

/// `GET /raft/status`: what this node knows at this moment; always answered.
pub(super) async fn status(raft: RaftHandle<Kv>) -> HttpResponse {
    HttpResponse::Ok().json(&*raft.status())
}
