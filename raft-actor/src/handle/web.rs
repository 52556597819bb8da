//! The handle in actix-web (feature `actix-web`): an extractor, and errors as answers.

use std::future::{Ready, ready};

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, ResponseError, error, web};
use raft_consensus::NodeId;
use serde::Serialize;

use super::{MembershipError, RaftHandle, ReadError, StopReason, TakeSnapshotError, WriteError};
use crate::state_machine::StateMachine;

/// Takes the handle out of the application's data: `App::new().app_data(raft.clone())`, or the same in a
/// [`web::Data`].
///
/// ```
/// use actix_web::{HttpResponse, Responder, web};
/// use raft_actor::{RaftHandle, WriteError};
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/handle/doc_counter.rs"));
///
/// async fn add(raft: RaftHandle<Counter>, amount: web::Path<u64>) -> Result<impl Responder, WriteError> {
///     let value = raft.write(*amount).await?;
///     Ok(HttpResponse::Ok().json(value))
/// }
///
/// fn routes(config: &mut web::ServiceConfig) {
///     config.route("/add/{amount}", web::post().to(add));
/// }
/// # fn main() {}
/// ```
impl<S: StateMachine> FromRequest for RaftHandle<S> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let handle = request
            .app_data::<Self>()
            .or_else(|| request.app_data::<web::Data<Self>>().map(web::Data::get_ref))
            .cloned();
        ready(handle.ok_or_else(|| {
            tracing::error!(path = request.path(), "no RaftHandle: call App::app_data with a clone of it");
            error::ErrorInternalServerError("the server is not configured: its App has no RaftHandle in app_data")
        }))
    }
}

/// The body of an answer that is an error.
#[derive(Serialize)]
struct Body {
    error: &'static str,
    maybe_applied: bool,
    leader_id: Option<NodeId>,
    detail: String,
}

impl Body {
    fn answer(self, status: StatusCode) -> HttpResponse {
        HttpResponse::build(status).json(self)
    }
}

/// 503 with `{"error", "maybe_applied", "leader_id", "detail"}`; 400 and 413 for a command that cannot be
/// taken, 409 for one of a session that is forgotten.
impl ResponseError for WriteError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest {} => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SessionExpired {} => StatusCode::CONFLICT,
            Self::NoLeader { .. }
            | Self::Overloaded {}
            | Self::TimedOut { .. }
            | Self::ShuttingDown {}
            | Self::NodeStopped { .. }
            | Self::CannotApply { .. }
            | Self::Unknown {} => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let error = match self {
            Self::NoLeader { .. } => "no_leader",
            Self::Overloaded {} => "overloaded",
            Self::TimedOut { .. } | Self::Unknown {} => "timeout",
            Self::ShuttingDown {} => "shutting_down",
            Self::NodeStopped { .. } | Self::CannotApply { .. } => "node_stopped",
            Self::BadRequest {} => "bad_request",
            Self::TooLarge { .. } => "too_large",
            Self::SessionExpired {} => "session_expired",
        };
        let body =
            Body { error, maybe_applied: self.maybe_applied(), leader_id: self.leader(), detail: self.to_string() };
        body.answer(self.status_code())
    }
}

/// 503 with the same fields; 400 for a membership that can never be, 409 for one that gave way to another.
impl ResponseError for MembershipError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::InProgress {} | Self::Superseded {} => StatusCode::CONFLICT,
            Self::NotCaughtUp { .. }
            | Self::NoLeader { .. }
            | Self::TimedOut { .. }
            | Self::Unknown {}
            | Self::NodeStopped { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let error = match self {
            Self::Invalid(_) => "bad_membership",
            Self::InProgress {} => "change_in_progress",
            Self::Superseded {} => "superseded",
            Self::NoLeader { .. } => "no_leader",
            Self::NotCaughtUp { .. } | Self::TimedOut { .. } | Self::Unknown {} => "timeout",
            Self::NodeStopped { reason: StopReason::ShutDown, .. } => "shutting_down",
            Self::NodeStopped { .. } => "node_stopped",
        };
        let body =
            Body { error, maybe_applied: self.maybe_applied(), leader_id: self.leader(), detail: self.to_string() };
        body.answer(self.status_code())
    }
}

/// 503 with the same fields; 500 if the snapshot could not be written.
impl ResponseError for TakeSnapshotError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TimedOut {} | Self::NodeStopped { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let error = match self {
            Self::Failed(_) => "snapshot_failed",
            Self::TimedOut {} => "timeout",
            Self::NodeStopped { .. } => "node_stopped",
        };
        // A snapshot changes nothing that others could see.
        let body = Body { error, maybe_applied: false, leader_id: None, detail: self.to_string() };
        body.answer(self.status_code())
    }
}

/// 503 with `{"error", "maybe_applied", "leader_id", "detail"}`; 400 and 500 if it is the query's fault.
impl ResponseError for ReadError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest {} => StatusCode::BAD_REQUEST,
            Self::QueryPanicked {} => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoLeader { .. }
            | Self::Overloaded {}
            | Self::TimedOut {}
            | Self::ShuttingDown {}
            | Self::NodeStopped { .. }
            | Self::CannotApply { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let error = match self {
            Self::NoLeader { .. } => "no_leader",
            Self::Overloaded {} => "overloaded",
            Self::TimedOut {} => "timeout",
            Self::ShuttingDown {} => "shutting_down",
            Self::NodeStopped { .. } | Self::CannotApply { .. } => "node_stopped",
            Self::BadRequest {} => "bad_request",
            Self::QueryPanicked {} => "query_panicked",
        };
        let body =
            Body { error, maybe_applied: self.maybe_applied(), leader_id: self.leader(), detail: self.to_string() };
        body.answer(self.status_code())
    }
}
