//! `GET /raft/events`.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::stream::{self, Stream};
use raft_actor::events::Events;
use raft_actor::{RaftHandle, Status};
use serde::Serialize;

use crate::kv::state_machine::Kv;

/// A comment goes out after so much silence, so that a listener who is gone is noticed.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Events that leave together, if they wait.
const TOGETHER_MAX: usize = 256;

/// `GET /raft/events`: the status of this node as it is, and all that happens in it from then on, until it stops.
pub(super) async fn events(raft: RaftHandle<Kv>) -> HttpResponse {
    // First listen, then look: nothing falls between the two.
    let events = raft.events();
    let begin = line(&Begin { event: "status", status: &raft.status() });
    // A listener must not keep the node running.
    drop(raft);
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .streaming(lines(begin, events))
}

/// What a listener begins with.
#[derive(Serialize)]
struct Begin<'a> {
    event: &'static str,
    #[serde(flatten)]
    status: &'a Status,
}

fn lines(begin: Vec<u8>, events: Events) -> impl Stream<Item = actix_web::Result<Bytes>> {
    stream::unfold((begin, events), |(mut out, mut events)| async move {
        if out.is_empty() {
            match tokio::time::timeout(SILENCE_MAX, events.next()).await {
                Ok(Some(event)) => out = line(&*event),
                Ok(None) => return None,
                Err(_silence) => out = b":\n\n".to_vec(),
            }
        }
        for event in std::iter::from_fn(|| events.try_next()).take(TOGETHER_MAX) {
            out.extend(line(&*event));
        }
        Some((Ok(out.into()), (Vec::new(), events)))
    })
}

fn line(event: &impl Serialize) -> Vec<u8> {
    let mut line = b"data: ".to_vec();
    serde_json::to_writer(&mut line, event).expect("a list in memory takes JSON, and all keys are text");
    line.extend(b"\n\n");
    line
}
