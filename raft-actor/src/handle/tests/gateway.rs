//! The actor face.

use actix::prelude::*;

use super::support::*;
use crate::callers::Failure;
use crate::handle::queue::Queue;
use crate::handle::{ClientQueue, Gateway, Read, ReadError, Write, WriteError};

fn gateway() -> (Addr<Gateway<Words>>, std::sync::Arc<Queue<Words>>, ClientQueue) {
    let (queue, node) = words();
    (Gateway::new(queue.clone()).start(), queue, node)
}

async fn batch(node: &ClientQueue) -> crate::handle::ClientBatch {
    std::future::poll_fn(|cx| node.poll_batch(cx)).await.expect("it is open")
}

#[actix_rt::test]
async fn a_message_to_the_gateway_is_answered_like_a_call_of_the_handle() {
    let (gateway, _queue, node) = gateway();
    let request = gateway.send(Write("word".to_owned()));
    let node = async {
        let mut waiting = batch(&node).await.writes.expect("a write").waiting;
        waiting.answers().answer::<W>(5);
        waiting.complete();
    };
    let (answer, ()) = tokio::join!(request, node);
    assert_eq!(answer.expect("the gateway runs").expect("answered"), 5);
}

#[actix_rt::test]
async fn a_query_to_the_gateway_is_linearizable() {
    let (gateway, _queue, node) = gateway();
    let request = gateway.send(Read(3));
    let node = async {
        let mut waiting = batch(&node).await.reads.expect("a linearizable read");
        let mut answers = waiting.answers();
        assert_eq!(answers.input::<R>(), Some(3));
        answers.answer::<R>(Some("three".to_owned()));
    };
    let (answer, ()) = tokio::join!(request, node);
    assert_eq!(answer.expect("the gateway runs").expect("answered").as_deref(), Some("three"));
}

#[actix_rt::test]
async fn a_refused_message_is_answered_at_once() {
    let (gateway, _queue, node) = gateway();
    node.close(Failure::ShuttingDown);
    let write = gateway.send(Write("late".to_owned())).await.expect("the gateway runs");
    assert!(matches!(write, Err(WriteError::ShuttingDown {})));
    let read = gateway.send(Read(1)).await.expect("the gateway runs");
    assert!(matches!(read, Err(ReadError::ShuttingDown {})));
}

#[actix_rt::test]
async fn a_node_that_is_gone_leaves_no_sender_waiting() {
    let (gateway, _queue, node) = gateway();
    let (write, read) = (gateway.send(Write("word".to_owned())), gateway.send(Read(1)));
    let gone = async { drop(batch(&node).await) };
    let (write, read, ()) = tokio::join!(write, read, gone);
    assert!(matches!(write.expect("the gateway runs"), Err(WriteError::NodeStopped { maybe_applied: true, .. })));
    assert!(matches!(read.expect("the gateway runs"), Err(ReadError::NodeStopped { .. })));
}

#[actix_rt::test]
async fn a_command_sent_without_waiting_is_written_all_the_same() {
    let (gateway, _queue, node) = gateway();
    gateway.do_send(Write("word".to_owned()));
    gateway.do_send(Read(1));
    let batch = batch(&node).await;
    assert!(batch.reads.is_none(), "an answer that nobody wants need not be found");
    answer(batch.writes.expect("a write").waiting, 0);
}

/// Cannot be encoded without a panic.
#[derive(Clone, Default, serde::Deserialize)]
struct Explosive;

impl serde::Serialize for Explosive {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("asked to")
    }
}

impl crate::StateMachine for Explosive {
    type Command = Self;
    type Response = ();
    type Query = ();
    type Answer = ();
    fn apply(&mut self, _: &mut crate::ApplyContext<'_>, _: Self) {}
    fn query(&self, (): ()) {}
}

#[actix_rt::test]
async fn a_command_that_panics_while_it_is_encoded_leaves_the_gateway_to_the_others() {
    let (queue, node) = Queue::<Explosive>::new(crate::handle::QueueLimits::default(), crate::clock::Clock::start());
    let gateway = Gateway::new(queue).start();
    assert!(gateway.send(Write(Explosive)).await.is_err(), "told that there will be no answer");
    let request = gateway.send(Read(()));
    let gone = async { drop(batch(&node).await) };
    let (read, ()) = tokio::join!(request, gone);
    assert!(matches!(read.expect("the gateway runs"), Err(ReadError::NodeStopped { .. })));
}
