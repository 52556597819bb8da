//! The HTTP face of a node. Whichever node is asked, the answer is the same: a follower forwards.
//!
//! | request | answer |
//! |---|---|
//! | `PUT /kv/{key}` body = value | 200 `{"index":N,"previous":"..."\|null}` once committed and applied |
//! | `GET /kv/{key}?consistency=linearizable\|stale` | 200 value, 404 absent; `HEAD` the same without the value |
//! | `DELETE /kv/{key}` | 200 `{"index":N,"previous":..}` |
//! | `POST /kv/{key}/cas` `{"expect":"a"\|null,"value":"b"}` | 200 `{"index":N}`, 409 `{"current":..}` |
//! | headers `Raft-Client-Id`, `Raft-Sequence` on a write | the same pair is applied once, whoever sends it again gets the first answer; 409 `{"error":"session_expired","maybe_applied":true}` if the client is forgotten |
//! | `POST /raft/membership` `{"voters":[1,2,4],"learners":[5],"peers":{"4":"127.0.0.1:7104"}}` | 200 `{"index":N,"term":N,"voters":[..],"learners":[..]}` once the cluster consists of these; 409 while another change cannot be withdrawn, or when another one took its place |
//! | `POST /raft/transfer` `{"to":2}` | 200 `{"leader_id":2,"term":N}` when that node leads; `{}`: any other voter |
//! | `GET /raft/status` | what this node knows about itself and the cluster; with `?consistency=linearizable` no less than was committed when it was asked |
//! | `GET /raft/metrics` | the same in figures, as Prometheus text |
//! | `GET /raft/events` | server-sent events, one JSON object each, of all that happens in this node (docs/EVENTS.md) |
//! | `POST /raft/snapshot` | 200 `{"index":N}` once this node has a durable snapshot of all that it has applied |
//! | cannot be served now | 503 `{"error":..,"maybe_applied":bool,"leader_id":..}` |
//! | bad input | 400 / 404 / 405 / 408 / 413 `{"error":..,"detail":..}` |
//!
//! `?timeout_ms=` (default 5000) bounds every request that waits for somebody. Keys and values are UTF-8 text: what a write
//! overwrote comes back as a JSON string, and any other encoding would not survive that.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse, ResponseError};

mod events;
mod membership;
mod metrics;
mod problem;
mod read;
mod request;
mod snapshot;
mod status;
mod transfer;
mod write;

pub use problem::Problem;
pub use request::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Registers the routes. The application's data must hold the node's `RaftHandle<Kv>`.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/kv/{key}")
                .route(web::put().to(write::put))
                .route(web::get().to(read::get))
                .route(web::head().to(read::get))
                .route(web::delete().to(write::delete))
                .default_service(web::to(|| wrong_method("PUT, GET, HEAD, DELETE"))),
        )
        .service(
            web::resource("/kv/{key}/cas")
                .route(web::post().to(write::compare_and_swap))
                .default_service(web::to(|| wrong_method("POST"))),
        )
        .service(
            web::resource("/raft/status")
                .route(web::get().to(status::status))
                .default_service(web::to(|| wrong_method("GET"))),
        )
        .service(
            web::resource("/raft/metrics")
                .route(web::get().to(metrics::metrics))
                .default_service(web::to(|| wrong_method("GET"))),
        )
        .service(
            web::resource("/raft/events")
                .route(web::get().to(events::events))
                .default_service(web::to(|| wrong_method("GET"))),
        )
        .service(
            web::resource("/raft/membership")
                .route(web::post().to(membership::membership))
                .default_service(web::to(|| wrong_method("POST"))),
        )
        .service(
            web::resource("/raft/snapshot")
                .route(web::post().to(snapshot::snapshot))
                .default_service(web::to(|| wrong_method("POST"))),
        )
        .service(
            web::resource("/raft/transfer")
                .route(web::post().to(transfer::transfer))
                .default_service(web::to(|| wrong_method("POST"))),
        )
        .default_service(web::to(no_such_route));
}

async fn wrong_method(allowed: &'static str) -> HttpResponse {
    let mut response = Problem::WrongMethod { allowed }.error_response();
    response
        .headers_mut()
        .insert(actix_web::http::header::ALLOW, actix_web::http::header::HeaderValue::from_static(allowed));
    response
}

async fn no_such_route(request: HttpRequest) -> HttpResponse {
    Problem::NoSuchRoute { path: request.path().to_owned() }.error_response()
}
