use crate::testing::{at, entries, id};
use crate::*;

use super::*;

const NOW: Time = Time::from_millis(5);

fn outbox() -> Outbox {
    Outbox::new(HardState { term: Term::new(1), vote: None, damage: None }, LogIndex::new(4))
}

fn effects_of(act: impl FnOnce(&mut Effects)) -> Vec<Effect> {
    let mut effects = Effects::new();
    act(&mut effects);
    effects.drain().collect()
}

fn confirm(outbox: &mut Outbox, seq: u64) -> Vec<Effect> {
    effects_of(|effects| outbox.confirm(WriteSeq::new(seq), effects).expect("was ordered"))
}

fn write(outbox: &mut Outbox, log: LogWrite) {
    effects_of(|effects| outbox.write_log(NOW, log, effects));
}

fn granted(term: u64) -> Message {
    Message::RequestVoteReply(RequestVoteReply { term: Term::new(term), granted: true })
}

fn vote(term: u64, vote: u64) -> HardState {
    HardState { term: Term::new(term), vote: Some(id(vote)), damage: None }
}

fn matched(message: &Effect) -> (u64, u64) {
    let Effect::Send { message: Message::AppendEntriesReply(reply), .. } = message else { panic!("{message:?}") };
    let AppendOutcome::Matched { durable } = reply.outcome else { panic!("{reply:?}") };
    (reply.round.get(), durable.get())
}

#[test]
fn a_vote_is_durable_before_it_is_sent() {
    let mut outbox = outbox();
    outbox.set_hard_state(vote(1, 2));
    assert!(effects_of(|effects| outbox.send(id(2), granted(1), effects)).is_empty());
    let ordered = effects_of(|effects| outbox.flush(NOW, effects));
    assert_eq!(ordered, [Effect::Persist { seq: WriteSeq::new(1), hard_state: Some(vote(1, 2)), log: None }]);
    assert!(!outbox.is_hard_state_durable());
    assert_eq!(confirm(&mut outbox, 1), [Effect::Send { to: id(2), message: granted(1) }]);
    assert_eq!(outbox.hard_state_durable(), vote(1, 2));
}

#[test]
fn term_and_vote_travel_with_the_log_if_that_changes_too() {
    let mut outbox = outbox();
    outbox.set_hard_state(vote(2, 2));
    let append = LogWrite::Append(entries(5, &[2]));
    let ordered = effects_of(|effects| {
        outbox.write_log(NOW, append.clone(), effects);
        outbox.flush(NOW, effects);
    });
    assert_eq!(ordered, [Effect::Persist { seq: WriteSeq::new(1), hard_state: Some(vote(2, 2)), log: Some(append) }]);
}

#[test]
fn an_acknowledgement_waits_for_its_entries_and_a_heartbeats_reply_does_not() {
    let mut outbox = outbox();
    write(&mut outbox, LogWrite::Append(entries(5, &[1, 1])));
    assert!(effects_of(|effects| outbox.acknowledge(id(2), Round::new(1), LogIndex::new(6), effects)).is_empty());
    let heartbeat =
        matched_reply(HardState { term: Term::new(1), vote: None, damage: None }, Round::new(2), outbox.durable());
    let sent = effects_of(|effects| outbox.send(id(2), heartbeat, effects));
    assert_eq!(matched(&sent[0]), (2, 4));
    assert_eq!(matched(&confirm(&mut outbox, 1)[0]), (1, 6));
}

#[test]
fn what_is_durable_already_is_acknowledged_at_once() {
    let mut outbox = outbox();
    write(&mut outbox, LogWrite::Append(entries(5, &[1])));
    let sent = effects_of(|effects| outbox.acknowledge(id(2), Round::new(1), LogIndex::new(4), effects));
    assert_eq!(matched(&sent[0]), (1, 4));
}

#[test]
fn acknowledgements_that_become_due_together_become_one() {
    let mut outbox = outbox();
    for (round, index) in [(1, 5), (2, 6), (3, 7)] {
        write(&mut outbox, LogWrite::Append(entries(index, &[1])));
        effects_of(|effects| outbox.acknowledge(id(2), Round::new(round), LogIndex::new(index), effects));
    }
    let released = confirm(&mut outbox, 2);
    assert_eq!(released.iter().map(matched).collect::<Vec<_>>(), [(2, 6)]);
    assert_eq!(confirm(&mut outbox, 3).iter().map(matched).collect::<Vec<_>>(), [(3, 7)]);
}

#[test]
fn a_late_confirmation_does_not_count_for_what_was_written_over_it() {
    let mut outbox = outbox();
    write(&mut outbox, LogWrite::Append(entries(5, &[1, 1, 1])));
    // A new leader overwrites 6 and 7; both leaders made us write index 6.
    outbox.set_hard_state(HardState { term: Term::new(2), vote: None, damage: None });
    write(&mut outbox, LogWrite::Replace(entries(6, &[2])));
    effects_of(|effects| outbox.acknowledge(id(3), Round::new(1), LogIndex::new(6), effects));
    assert!(confirm(&mut outbox, 1).is_empty());
    assert_eq!(outbox.durable(), LogIndex::new(5), "of the first write only what was not overwritten");
    assert_eq!(matched(&confirm(&mut outbox, 2)[0]), (1, 6));
}

#[test]
fn overwriting_what_was_durable_takes_it_back() {
    let mut outbox = outbox();
    write(&mut outbox, LogWrite::Replace(entries(3, &[1])));
    assert_eq!(outbox.durable(), LogIndex::new(2));
    confirm(&mut outbox, 1);
    assert_eq!(outbox.durable(), LogIndex::new(3));
}

#[test]
fn what_waits_is_forgotten_when_the_term_changes() {
    let mut outbox = outbox();
    write(&mut outbox, LogWrite::Append(entries(5, &[1])));
    effects_of(|effects| outbox.acknowledge(id(2), Round::new(1), LogIndex::new(5), effects));
    outbox.set_hard_state(HardState { term: Term::new(2), vote: None, damage: None });
    effects_of(|effects| outbox.flush(NOW, effects));
    assert!(confirm(&mut outbox, 2).is_empty(), "term 1's leader must not count an entry that term 2 may overwrite");
}

#[test]
fn repeated_requests_do_not_pile_up() {
    let mut outbox = outbox();
    outbox.set_hard_state(vote(1, 2));
    for peer in 0..3000 {
        effects_of(|effects| outbox.send(id(peer % 1500), granted(1), effects));
    }
    assert_eq!(outbox.held.len(), HELD_MAX);
}

#[test]
fn confirming_one_write_confirms_all_before_it() {
    let mut outbox = outbox();
    assert_eq!(outbox.oldest_unconfirmed(), None);
    for index in 5..9 {
        write(&mut outbox, LogWrite::Append(entries(index, &[1])));
    }
    confirm(&mut outbox, 3);
    assert_eq!(outbox.durable(), LogIndex::new(7));
    confirm(&mut outbox, 1);
    assert_eq!((outbox.durable(), outbox.oldest_unconfirmed()), (LogIndex::new(7), Some(NOW)));
}

#[test]
fn a_confirmation_of_what_was_never_ordered_is_an_error() {
    let mut effects = Effects::new();
    let never = NeverOrdered { ordered: WriteSeq::ZERO };
    assert_eq!(outbox().confirm(WriteSeq::new(1), &mut effects), Err(never));
    assert_eq!(at(0, 0), LogPosition::ZERO);
}
