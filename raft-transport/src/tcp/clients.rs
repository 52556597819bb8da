//! Serving clients: those who use the cluster and are no host of it.
//!
//! A connection of a client carries requests one way and answers the other way. Requests take the same way into the
//! host as those that another host forwards, and cost credit like these; nothing else that hosts say is heard.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::StreamExt;
use raft_actor::envelope::codec::{self, frame::LENGTH_BYTES};
use raft_actor::envelope::{Body, Envelope, Forward, ForwardError, ForwardReply};
use raft_actor::transport::{ClientRequest, Credit};
use raft_actor::{GroupId, NodeId};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use super::receive::{self, READ_BUFFER_BYTES, Reason};
use super::{Count, Shared, TcpCounters, handshake};
use crate::pipe::{Pipe, Untaken};

/// In place of a node's id, in messages from and to a client.
pub(crate) const NOBODY: NodeId = NodeId::new(0);

/// The whole life of a client's connection, from the moment it is let in.
pub(super) async fn serve(shared: &Rc<Shared>, mut stream: TcpStream, address: SocketAddr) {
    let members = shared.outgoing.borrow().known().into_iter();
    let welcome = handshake::welcome_client(&mut stream, &shared.hello, members);
    if !matches!(timeout(shared.options.handshake_timeout, welcome).await, Ok(Ok(()))) {
        return shared.counters.one(Count::HandshakeCutOff);
    }
    shared.counters.one(Count::ClientsAdmitted);
    tracing::debug!(%address, "a client is here");
    let (reader, writer) = stream.into_split();
    let pipe = Arc::new(Pipe::new(writer, shared.options.client_queue_bytes_max, shared.options.frame_bytes_max));
    let reason = tokio::select! {
        biased;
        Err(error) = pipe.run(shared.options.stall_timeout) => match error.kind() {
            io::ErrorKind::TimedOut => Reason::SlowClient,
            _ => Reason::ByPeer(Some(error)),
        },
        reason = read(shared, reader, &pipe) => reason,
    };
    // Answers that are still to come are for nobody.
    pipe.close();
    shared.counters.one(reason.count());
    tracing::debug!(%address, %reason, "a client is gone");
}

/// Hands the client's requests to the host until the connection ends.
async fn read(shared: &Shared, reader: OwnedReadHalf, pipe: &Arc<Pipe>) -> Reason {
    let frames = receive::frames(shared.options.frame_bytes_max);
    let mut reader = FramedRead::with_capacity(reader, frames, READ_BUFFER_BYTES);
    while let Some(frame) = reader.next().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Reason::of_read(error),
        };
        shared.counters.add(Count::BytesIn, LENGTH_BYTES + frame.len());
        match codec::decode(&frame) {
            Ok(envelope) => {
                let cost = receive::cost(shared, frame.len(), &envelope);
                let Envelope { group, body: Body::Forward(forward), .. } = envelope else {
                    return Reason::Presumptuous;
                };
                // Whoever does not read answers is not asked for more questions.
                pipe.has_room().await;
                let credit = Arc::clone(&shared.clients_credit).acquire_many_owned(cost).await;
                shared.counters.one(Count::MessagesIn);
                let request = ask(shared, group, forward, pipe);
                shared.inbound.asked(request, Credit::new(credit.expect("nobody closes a credit")));
            }
            Err(error) => {
                if let Some(reason) = receive::judge(shared, error) {
                    return reason;
                }
                tokio::task::yield_now().await;
            }
        }
        let buffered = frame.len();
        drop(frame);
        receive::give_back(reader.read_buffer_mut(), buffered);
    }
    Reason::ByPeer(None)
}

fn ask(shared: &Shared, group: GroupId, forward: Forward, pipe: &Arc<Pipe>) -> ClientRequest {
    let (node, pipe, counters) = (shared.hello.node, Arc::clone(pipe), Arc::clone(&shared.counters));
    let replies = move |reply| answer(&pipe, &counters, (node, group), reply);
    ClientRequest { group, forward, replies: Arc::new(replies) }
}

/// Called on whichever thread has the answer; writes it from there.
fn answer(pipe: &Pipe, counters: &TcpCounters, (from, group): (NodeId, GroupId), reply: ForwardReply) {
    let envelope = |reply| Envelope { from, to: NOBODY, group, body: Body::ForwardReply(reply) };
    let (id, first, count) = (reply.id, reply.first, reply.outcomes.len());
    match pipe.push(&envelope(reply)) {
        Ok(()) => counters.one(Count::MessagesOut),
        Err(Untaken::Unsendable(error)) => {
            tracing::warn!(%error, "an answer to a client cannot be sent");
            counters.one(Count::DroppedUnsendable);
            let outcomes = vec![Err(ForwardError::Unknown); count];
            // If even that is not taken, the client notices that its connection is closed.
            let _ = pipe.push(&envelope(ForwardReply { id, first, outcomes }));
        }
        // The client asks again, on another connection.
        Err(Untaken::Closed | Untaken::Full) => {}
    }
}
