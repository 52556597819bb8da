//! The handle in actix-web.

use actix_web::ResponseError;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use actix_web::{FromRequest, web};
use serde_json::{Value, json};

use super::support::*;
use crate::callers::Failure;
use crate::handle::{RaftHandle, ReadError, StopReason, WriteError};

fn answer_of(error: &impl ResponseError) -> (StatusCode, Value) {
    let response = error.error_response();
    let status = response.status();
    assert_eq!(status, error.status_code());
    let body = response.into_body().try_into_bytes().expect("a whole body");
    let mut body: Value = serde_json::from_slice(&body).expect("JSON");
    let detail = body.as_object_mut().and_then(|body| body.remove("detail")).expect("a detail");
    assert!(detail.as_str().is_some_and(|detail| !detail.is_empty()));
    (status, body)
}

#[test]
fn what_cannot_be_served_now_is_a_503_that_says_whether_it_may_have_been_applied() {
    let stopped = |maybe_applied| Failure::NodeStopped { reason: StopReason::ShutDown, maybe_applied };
    let timed_out = |maybe_applied| Failure::TimedOut { maybe_applied };
    let cases = [
        (Failure::NoLeader { leader: Some(2.into()) }, "no_leader", false, Some(2)),
        (Failure::NoLeader { leader: None }, "no_leader", false, None),
        (Failure::Overloaded, "overloaded", false, None),
        (timed_out(true), "timeout", true, None),
        (timed_out(false), "timeout", false, None),
        (Failure::Unknown, "timeout", true, None),
        (Failure::ShuttingDown, "shutting_down", false, None),
        (stopped(true), "node_stopped", true, None),
        (stopped(false), "node_stopped", false, None),
    ];
    for (failure, error, maybe_applied, leader_id) in cases {
        let (status, body) = answer_of(&WriteError::from(failure.clone()));
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, json!({"error": error, "maybe_applied": maybe_applied, "leader_id": leader_id}));
        let (status, body) = answer_of(&ReadError::from(failure));
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            body,
            json!({"error": error, "maybe_applied": false, "leader_id": leader_id}),
            "reads change nothing"
        );
    }
}

#[test]
fn what_is_the_callers_fault_is_not_a_503() {
    assert_eq!(answer_of(&WriteError::from(Failure::BadRequest)).0, StatusCode::BAD_REQUEST);
    let large = Failure::TooLarge { bytes: 2, bytes_max: 1 };
    assert_eq!(answer_of(&WriteError::from(large)).0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer_of(&ReadError::from(Failure::QueryPanicked)).0, StatusCode::INTERNAL_SERVER_ERROR);
}

#[actix_rt::test]
async fn the_handle_is_an_extractor_from_either_kind_of_application_data() {
    let raft = super::raft_handle::handle();
    for request in [
        TestRequest::default().app_data(raft.clone()).to_http_request(),
        TestRequest::default().app_data(web::Data::new(raft)).to_http_request(),
    ] {
        RaftHandle::<Words>::extract(&request).await.expect("it is in the application's data");
    }
}

#[actix_rt::test]
async fn a_forgotten_app_data_is_an_error_that_names_it() {
    let request = TestRequest::default().to_http_request();
    let error = RaftHandle::<Words>::extract(&request).await.expect_err("nobody put it there");
    assert!(error.to_string().contains("app_data"));
    assert_eq!(error.as_response_error().status_code(), StatusCode::INTERNAL_SERVER_ERROR);
}
