//! A node that is slower than the others: its transport hands it each message only after it has rested from the one
//! before for so many times as long as that took.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use raft_actor::NodeId;
use raft_actor::envelope::Envelope;
use raft_actor::transport::{ClientRequest, Credit, Hello, Inbound, Outbound, Refusal, Transport};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_local;
use tokio::time::sleep;

/// A transport with a receiver that is slow.
pub(super) struct Slow<T> {
    pub(super) transport: T,
    /// How many times as long as usual it takes to handle a message.
    pub(super) factor: u32,
}

impl<T: Transport> Transport for Slow<T> {
    fn start(self: Box<Self>, hello: Hello, inbound: Arc<dyn Inbound>) -> io::Result<Rc<dyn Outbound>> {
        // Not bounded here: whoever sends holds back by the credit that stays with each message until it is handled, and a
        // leader by the answers that it lacks.
        let (queue, waiting) = mpsc::unbounded_channel();
        spawn_local(hand_over(waiting, Arc::clone(&inbound), self.factor));
        Box::new(self.transport).start(hello, Arc::new(Queue { inbound, queue }))
    }

    fn address(&self) -> String {
        self.transport.address()
    }

    fn message_bytes_max(&self) -> u64 {
        self.transport.message_bytes_max()
    }

    fn snapshot_message_bytes_max(&self) -> u64 {
        self.transport.snapshot_message_bytes_max()
    }
}

/// One message after the other, until the transport is gone.
async fn hand_over(mut waiting: mpsc::UnboundedReceiver<(Envelope, Credit)>, inbound: Arc<dyn Inbound>, factor: u32) {
    let handled = Arc::new(Semaphore::new(1));
    while let Some((envelope, credit)) = waiting.recv().await {
        let begun = Instant::now();
        let Ok(own) = Arc::clone(&handled).acquire_owned().await else { return };
        inbound.deliver(envelope, Credit::new(own));
        // Comes back when the message was handled.
        let Ok(_back) = handled.acquire().await else { return };
        sleep(begun.elapsed() * factor.saturating_sub(1)).await;
        drop(credit);
    }
}

/// Takes in what arrives; all that is no message passes at once.
struct Queue {
    inbound: Arc<dyn Inbound>,
    queue: mpsc::UnboundedSender<(Envelope, Credit)>,
}

impl Inbound for Queue {
    fn admit(&self, hello: &Hello) -> Result<(), Refusal> {
        self.inbound.admit(hello)
    }

    fn confirmed(&self, by: &Hello) {
        self.inbound.confirmed(by);
    }

    fn refused(&self, by: NodeId, refusal: Refusal) {
        self.inbound.refused(by, refusal);
    }

    fn deliver(&self, envelope: Envelope, credit: Credit) {
        // To a node that has stopped nothing is delivered.
        let _ = self.queue.send((envelope, credit));
    }

    fn unreachable(&self, peer: NodeId) {
        self.inbound.unreachable(peer);
    }

    fn hung_up(&self, peer: NodeId) {
        self.inbound.hung_up(peer);
    }

    fn asked(&self, request: ClientRequest, credit: Credit) {
        self.inbound.asked(request, credit);
    }
}
