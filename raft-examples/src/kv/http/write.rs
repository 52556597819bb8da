//! `PUT`, `DELETE` and compare-and-swap.

use actix_web::{HttpRequest, HttpResponse, web};
use raft_actor::RaftHandle;
use serde_json::json;

use super::request::KeyRequest;
use crate::kv::state_machine::{Command, Kv, Outcome};

/// `PUT /kv/{key}`, the body is the value.
pub(super) async fn put(
    http: HttpRequest,
    raft: RaftHandle<Kv>,
    body: web::Payload,
) -> actix_web::Result<HttpResponse> {
    let request = KeyRequest::of_write(&http)?;
    let value = request.value(body).await?;
    let command = Command::Put { key: request.key.clone(), value };
    Ok(changed(request.write(&raft, command).await?))
}

/// `DELETE /kv/{key}`; one that is absent is deleted as well.
pub(super) async fn delete(http: HttpRequest, raft: RaftHandle<Kv>) -> actix_web::Result<HttpResponse> {
    let request = KeyRequest::of_write(&http)?;
    let command = Command::Delete { key: request.key.clone() };
    Ok(changed(request.write(&raft, command).await?))
}

/// `POST /kv/{key}/cas`.
pub(super) async fn compare_and_swap(
    http: HttpRequest,
    raft: RaftHandle<Kv>,
    body: web::Payload,
) -> actix_web::Result<HttpResponse> {
    let request = KeyRequest::of_write(&http)?;
    let (expect, value) = request.compare_and_swap(body).await?;
    let command = Command::CompareAndSwap { key: request.key.clone(), expect, value };
    Ok(match request.write(&raft, command).await? {
        Outcome::Done { index, previous: _ } => HttpResponse::Ok().json(json!({ "index": index })),
        mismatch @ Outcome::Mismatch { .. } => changed(mismatch),
    })
}

/// The answer to a write that was committed and applied.
fn changed(outcome: Outcome) -> HttpResponse {
    match outcome {
        Outcome::Done { index, previous } => HttpResponse::Ok().json(json!({ "index": index, "previous": previous })),
        Outcome::Mismatch { current } => HttpResponse::Conflict().json(json!({ "current": current })),
    }
}
