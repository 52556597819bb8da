//! `GET`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use raft_actor::RaftHandle;

use super::Problem;
use super::request::{Consistency, KeyRequest};
use crate::kv::state_machine::{Kv, Query};

/// `GET /kv/{key}?consistency=linearizable|lease|stale`.
pub(super) async fn get(http: HttpRequest, raft: RaftHandle<Kv>) -> actix_web::Result<HttpResponse> {
    let request = KeyRequest::of(&http)?;
    let raft = raft.with_timeout(request.time_left());
    let query = Query::Get { key: request.key };
    let value = match request.consistency {
        Consistency::Linearizable => raft.read(query).await?,
        Consistency::Lease => raft.read_lease(query).await?,
        Consistency::Stale => raft.read_local(query).await?,
    };
    let value = value.ok_or(Problem::NoSuchKey)?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        // A browser must not take a value for a page.
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(value))
}
