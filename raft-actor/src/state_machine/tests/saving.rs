//! The state machine's actor takes snapshots and loads them.

use super::super::snapshots::{ReceivedSnapshot, SnapshotFile};
use super::*;

/// Answered with the next news of snapshots.
#[derive(Message)]
#[rtype(result = "Option<SnapshotNews>")]
struct News;

impl Handler<News> for Node {
    type Result = Option<SnapshotNews>;
    fn handle(&mut self, _: News, _: &mut Context<Self>) -> Self::Result {
        (!self.snapshots.is_empty()).then(|| self.snapshots.remove(0))
    }
}

impl Bench {
    async fn news(&self) -> SnapshotNews {
        loop {
            if let Some(news) = self.node.send(News).await.expect("the node runs") {
                return news;
            }
            tokio::task::yield_now().await;
        }
    }

    fn apply(&self, first: u64, words: &[&str]) {
        let entries = commands(first, words.iter().map(|word| command(word)).collect());
        self.machine.do_send(Apply { entries, answers: Vec::new() });
    }

    /// What another machine saved, as if it had been received.
    fn received(&self, file: &SnapshotFile) -> ReceivedSnapshot {
        let mut partial = self.snapshots.receive(file.id()).expect("nobody else receives");
        partial.append(0, &file.read_at(0, usize::MAX).expect("in memory")).expect("in memory");
        partial.finish().expect("all of it is there")
    }

    async fn took(&self) -> SnapshotFile {
        self.machine.do_send(TakeSnapshot);
        let news = self.news().await;
        assert!(matches!(news, SnapshotNews::Taken(_)), "{news:?}");
        self.snapshots.newest().expect("it was taken")
    }
}

#[actix_rt::test]
async fn a_snapshot_covers_what_was_applied_when_it_was_ordered_and_knows_the_members() {
    let bench = start(List::default());
    let members = Configuration::of_voters([(1.into(), "a"), (2.into(), "b")]);
    let configuration = entry(1, Payload::Configuration(Box::new(members.clone())));
    bench.machine.do_send(Apply { entries: [configuration].into_iter().collect(), answers: Vec::new() });
    bench.apply(2, &["a", "b"]);
    bench.machine.do_send(TakeSnapshot);
    bench.apply(4, &["c"]);
    let SnapshotNews::Taken(meta) = bench.news().await else { panic!("no snapshot") };
    let at = |index| LogPosition::new(Term::new(3), LogIndex::new(index));
    assert_eq!(*meta, SnapshotMeta { position: at(3), configuration: members, configured_at: at(1) });
    let file = bench.snapshots.newest().expect("durable before it is reported");
    assert_eq!(file.meta(), &*meta);
    let mut loaded = List::default();
    load(&mut loaded, &mut file.body()).expect("it was saved like this");
    assert_eq!(loaded.items.iter().map(|(index, ..)| *index).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(bench.ask(2).await.expect("answered").as_deref(), Some("c 4@3"), "applying went on");
}

#[actix_rt::test]
async fn a_machine_goes_on_behind_the_snapshot_that_it_loaded() {
    let other = start(List::default());
    other.apply(1, &["a", "b", "c"]);
    let file = other.took().await;
    let bench = start(List::default());
    bench.apply(1, &["x"]);
    bench.machine.do_send(Restore { snapshot: bench.received(&file) });
    // Two of these are in the snapshot already.
    bench.apply(2, &["b", "c", "d"]);
    let news = bench.news().await;
    assert!(matches!(news, SnapshotNews::Restored(position) if position == file.meta().position), "{news:?}");
    assert_eq!(bench.ask(0).await.expect("answered").as_deref(), Some("a 1@3"), "the state was replaced");
    assert_eq!(bench.ask(3).await.expect("answered").as_deref(), Some("d 4@3"));
    assert_eq!(bench.ask(4).await.expect("answered"), None);
    assert_eq!(bench.snapshots.newest().expect("adopted").id(), file.id());
    assert_eq!(bench.took().await.meta().position.index.get(), 4);
}

#[actix_rt::test]
async fn a_machine_that_could_not_decode_a_command_goes_on_with_a_snapshot_behind_it() {
    let other = start(List::default());
    other.apply(1, &["a", "b"]);
    let file = other.took().await;
    let bench = start(List::default());
    let unknown = Bytes::from_static(b"\xc1from a newer build");
    bench.machine.do_send(Apply { entries: commands(1, vec![unknown]), answers: Vec::new() });
    assert!(matches!(bench.ask(0).await, Err(ReadError::CannotApply { .. })));
    bench.machine.do_send(Restore { snapshot: bench.received(&file) });
    bench.apply(3, &["c"]);
    assert_eq!(bench.ask(2).await.expect("answered").as_deref(), Some("c 3@3"));
}

#[actix_rt::test]
async fn a_machine_that_cannot_freeze_or_save_has_no_snapshot_and_goes_on() {
    for (n, word) in ["no freeze", "no save", "bad save"].into_iter().enumerate() {
        let bench = start(List::default());
        bench.apply(1, &[word]);
        bench.machine.do_send(TakeSnapshot);
        let SnapshotNews::Failed(error) = bench.news().await else { panic!("{word}") };
        assert!(error.to_string().contains("asked to"), "{n}: {error}");
        assert!(bench.snapshots.newest().is_none());
        bench.apply(2, &["b"]);
        assert_eq!(bench.ask(1).await.expect("answered").as_deref(), Some("b 2@3"));
        assert!(bench.heard().await.1.is_empty());
    }
}

#[actix_rt::test]
async fn a_machine_that_cannot_load_a_snapshot_stops_its_group() {
    let other = start(List::default());
    other.apply(1, &["no load"]);
    let file = other.took().await;
    let bench = start(List::default());
    bench.machine.do_send(Restore { snapshot: bench.received(&file) });
    let (_, stopped) = bench.heard().await;
    let [StateMachineStopped::Failed(reason @ StopReason::Snapshot(_))] = &stopped[..] else { panic!("{stopped:?}") };
    assert!(reason.to_string().contains("cannot load its state: it panicked: asked to"), "{reason}");
    assert!(matches!(bench.ask(0).await, Err(ReadError::NodeStopped { .. })), "the state may be half changed");
}

#[actix_rt::test]
async fn a_machine_that_panicked_gives_no_snapshot_of_what_is_half_changed() {
    let bench = start(List::default());
    bench.apply(1, &["panic"]);
    bench.machine.do_send(TakeSnapshot);
    let news = bench.news().await;
    assert!(matches!(news, SnapshotNews::Failed(_)), "{news:?}");
}
