//! Who gets in, and who gets a vote.

use super::*;
use crate::transport::DirectoryId;

const CLUSTER: &str = "c";
const GROUP: GroupId = GroupId::new(1);

fn founders(count: u64) -> BTreeSet<NodeId> {
    (1..=count).map(NodeId::from).collect()
}

/// How `node` of a cluster of three introduces itself from this directory.
fn hello(node: u64, directory: u64) -> Hello {
    Hello {
        node: NodeId::from(node),
        cluster: CLUSTER.to_owned(),
        incarnation: incarnation(CLUSTER, &founders(3), None),
        directory: DirectoryId(directory),
        address: format!("local:{node}"),
    }
}

fn identity() -> Identity {
    let hello = hello(1, 11);
    Identity::new(hello.node, CLUSTER, hello.incarnation, hello.directory)
}

/// Node 1 of three, in memory.
fn gate() -> Gate {
    Gate::new(hello(1, 11), founders(3), identity(), None)
}

/// Node 1 of three, as its directory remembers it.
fn gate_in(path: &std::path::Path) -> Gate {
    let mut directory = DataDirectory::open(path).expect("opens");
    let identity = directory.identity().cloned().unwrap_or_else(|| {
        let identity = identity();
        directory.store(&identity).expect("stores");
        identity
    });
    Gate::new(hello(1, 11), founders(3), identity, Some(directory))
}

#[test]
fn a_directory_gets_a_vote_when_all_other_founders_have_confirmed_it() {
    let gate = gate();
    assert!(!gate.confirmed(&hello(2, 22)));
    assert_eq!(gate.waiting_for(), [3]);
    assert!(!gate.confirmed(&hello(2, 22)), "twice the same is not two");
    assert!(!gate.confirmed(&hello(9, 99)), "no founder");
    assert!(!gate.has_suffrage());
    assert!(gate.confirmed(&hello(3, 33)));
    assert!(gate.has_suffrage() && gate.waiting_for().is_empty());
    assert!(!gate.confirmed(&hello(3, 33)), "that was news once");
}

/// Scenario 25: the same id comes back with an empty disk.
#[test]
fn a_wiped_disk_is_refused_and_its_confirmation_does_not_count() {
    let gate = gate();
    gate.admit(&hello(2, 22)).expect("the first time");
    gate.admit(&hello(2, 22)).expect("again");
    let refusal = gate.admit(&hello(2, 23)).expect_err("another directory");
    assert_eq!(refusal, Refusal::Wiped { node: NodeId::from(2), known: DirectoryId(22) });
    assert!(!gate.confirmed(&hello(3, 33)));
    assert!(!gate.confirmed(&hello(2, 23)));
    assert!(!gate.has_suffrage());
    assert!(gate.confirmed(&hello(2, 22)), "the disk we know still counts");
}

#[test]
fn strangers_are_refused_with_the_reason() {
    let gate = gate();
    let other = |change: fn(&mut Hello)| {
        let mut hello = hello(2, 22);
        change(&mut hello);
        gate.admit(&hello)
    };
    assert!(matches!(other(|hello| hello.cluster = "d".to_owned()), Err(Refusal::Cluster { ours }) if ours == CLUSTER));
    assert_eq!(other(|hello| hello.incarnation = Incarnation(7)), Err(Refusal::Incarnation));
    assert!(matches!(other(|hello| hello.node = NodeId::from(1)), Err(Refusal::Identity { .. })));
    assert_eq!(other(|_| ()), Ok(()), "none of them was recorded");
}

#[test]
fn one_who_joins_and_does_not_know_the_founding_yet_is_let_in() {
    let joining = Hello { incarnation: Incarnation::default(), ..hello(4, 44) };
    assert_eq!(gate().admit(&joining), Ok(()));
}

#[test]
fn other_members_make_another_founding() {
    assert_ne!(incarnation(CLUSTER, &founders(3), None), incarnation(CLUSTER, &founders(4), None));
    assert_ne!(incarnation(CLUSTER, &founders(3), None), incarnation("d", &founders(3), None));
    let lease_reads = |drift_percent_max| Some(LeaseReads { election_timeout_ms_min: 1000, drift_percent_max });
    assert_ne!(incarnation(CLUSTER, &founders(3), None), incarnation(CLUSTER, &founders(3), lease_reads(10)));
    assert_ne!(incarnation(CLUSTER, &founders(3), lease_reads(5)), incarnation(CLUSTER, &founders(3), lease_reads(10)));
    assert_ne!(incarnation("", &BTreeSet::new(), None), Incarnation::default());
}

#[test]
fn memory_of_peers_is_bounded_and_known_ones_still_get_in() {
    let gate = gate();
    for node in 2..2 + PEERS_MAX as u64 {
        gate.admit(&hello(node, node)).expect("there is room");
    }
    assert_eq!(gate.admit(&hello(9999, 1)), Err(Refusal::Busy));
    assert_eq!(gate.admit(&hello(2, 2)), Ok(()));
}

#[test]
fn what_was_admitted_and_confirmed_is_remembered_over_a_restart() {
    let place = tempfile::tempdir().expect("a directory");
    let gate = gate_in(place.path());
    gate.admit(&hello(2, 22)).expect("the first time");
    gate.confirmed(&hello(2, 22));
    drop(gate);
    let gate = gate_in(place.path());
    assert!(matches!(gate.admit(&hello(2, 23)), Err(Refusal::Wiped { .. })));
    assert_eq!(gate.waiting_for(), [2, 3], "who confirmed is asked again until all have");
    gate.confirmed(&hello(3, 33));
    assert!(gate.confirmed(&hello(2, 22)));
    drop(gate);
    assert!(gate_in(place.path()).has_suffrage());
}

#[test]
fn a_confirmation_that_could_not_be_recorded_is_tried_again() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("data");
    let gate = gate_in(&path);
    gate.confirmed(&hello(2, 22));
    let away = place.path().join("away");
    std::fs::rename(&path, &away).expect("moves");
    assert!(!gate.confirmed(&hello(3, 33)), "nothing can be recorded");
    assert!(!gate.has_suffrage());
    assert_eq!(gate.admit(&hello(3, 33)), Err(Refusal::Busy));
    assert!(gate.met().is_empty(), "what could not be recorded was not recorded");
    std::fs::rename(&away, &path).expect("moves back");
    assert!(gate.confirmed(&hello(3, 33)));
}

#[test]
fn a_closed_gate_gives_its_directory_back() {
    let place = tempfile::tempdir().expect("a directory");
    let gate = gate_in(place.path());
    assert!(matches!(DataDirectory::open(place.path()), Err(LogError::Locked { .. })));
    gate.close();
    DataDirectory::open(place.path()).expect("it is free");
    assert_eq!(gate.admit(&hello(2, 22)), Err(Refusal::Busy), "it could not be remembered any more");
}

fn members(committed: u64, left: &[u64], members: &[u64]) -> MembersChanged {
    let ids = |ids: &[u64]| ids.iter().map(|id| NodeId::from(*id)).collect();
    MembersChanged {
        group: GROUP,
        committed: LogIndex::new(committed),
        left: ids(left),
        members: ids(members),
        directories: BTreeMap::new(),
        addresses: BTreeMap::new(),
    }
}

/// What the refusal of a wiped disk advises.
#[test]
fn a_wiped_node_that_was_removed_and_added_again_is_let_in_and_then_pinned_to_its_new_disk() {
    let place = tempfile::tempdir().expect("a directory");
    let gate = gate_in(place.path());
    gate.follow(&members(1, &[], &[1, 2, 3]));
    gate.admit(&hello(3, 33)).expect("a member");
    assert!(matches!(gate.admit(&hello(3, 34)), Err(Refusal::Wiped { .. })));
    gate.follow(&members(5, &[3], &[1, 2]));
    gate.admit(&hello(3, 33)).expect("the old one may still run");
    gate.admit(&hello(3, 34)).expect("as long as it is no member, nobody counts what it says");
    gate.follow(&members(7, &[], &[1, 2, 3]));
    gate.admit(&hello(3, 34)).expect("the disk that it had when it was added");
    assert!(matches!(gate.admit(&hello(3, 33)), Err(Refusal::Wiped { .. })));
    drop(gate);
    let gate = gate_in(place.path());
    assert_eq!(gate.configured(GROUP), LogIndex::new(7));
    gate.follow(&members(7, &[], &[1, 2, 3]));
    assert!(matches!(gate.admit(&hello(3, 33)), Err(Refusal::Wiped { .. })), "it is remembered over a restart");
}

#[test]
fn a_member_that_left_and_came_back_at_once_is_recorded_anew_when_it_introduces_itself() {
    let gate = gate();
    gate.follow(&members(1, &[], &[1, 2, 3]));
    gate.admit(&hello(3, 33)).expect("a member");
    gate.follow(&members(7, &[3], &[1, 2, 3]));
    gate.admit(&hello(3, 34)).expect("with the disk that it was added with");
    assert!(matches!(gate.admit(&hello(3, 33)), Err(Refusal::Wiped { .. })));
}

/// Seed 7747 of the simulated clusters: the next group never met it, and could make nobody a voter any more.
#[test]
fn who_has_left_its_groups_and_is_a_member_of_another_introduces_itself_again() {
    let gate = gate();
    let other = MembersChanged { group: GroupId::new(2), ..members(3, &[], &[1, 2, 3]) };
    gate.follow(&members(1, &[], &[1, 2, 3]));
    gate.admit(&hello(3, 33)).expect("a member");
    assert_eq!(gate.follow(&members(5, &[3], &[1, 2])), [].into());
    assert!(!gate.met().contains_key(&3.into()));
    assert_eq!(gate.follow(&other), [3.into()].into(), "its connection is that of before");
    assert_eq!(gate.follow(&other), [].into(), "once");
    gate.admit(&hello(3, 33)).expect("a member");
    assert!(gate.met().contains_key(&3.into()));
}

#[test]
fn who_leaves_one_group_and_stays_in_another_is_still_known() {
    let gate = gate();
    let other = |left: &[u64], of: &[u64]| MembersChanged { group: GroupId::new(2), ..members(3, left, of) };
    gate.follow(&members(1, &[], &[1, 2, 3]));
    gate.follow(&other(&[], &[1, 2, 3]));
    gate.admit(&hello(3, 33)).expect("a member");
    gate.follow(&members(5, &[3], &[1, 2]));
    assert!(matches!(gate.admit(&hello(3, 34)), Err(Refusal::Wiped { .. })), "its votes count in the other group");
    gate.follow(&other(&[3], &[1, 2]));
    gate.admit(&hello(3, 34)).expect("now nobody counts what it says");
}

/// The same, with the directories that the latest configuration records.
fn recorded(committed: u64, of: &[u64], directories: &[(u64, u64)]) -> MembersChanged {
    let directories = directories.iter().map(|(id, directory)| (NodeId::from(*id), DirectoryId(*directory)));
    MembersChanged { directories: directories.collect(), ..members(committed, &[], of) }
}

/// A host that has met the wrong one of two disks, or none, knows the right one from the configuration.
#[test]
fn what_a_configuration_records_wins_over_what_was_met() {
    let place = tempfile::tempdir().expect("a directory");
    let gate = gate_in(place.path());
    gate.follow(&members(1, &[], &[1, 2, 3, 4]));
    gate.admit(&hello(2, 22)).expect("a member");
    gate.admit(&hello(3, 34)).expect("whichever comes first");
    let recorded = recorded(5, &[1, 2, 3, 4], &[(1, 11), (2, 22), (3, 33), (4, 44)]);
    assert_eq!(gate.follow(&recorded), [3.into()].into(), "the one that is connected is another one");
    assert_eq!(gate.follow(&recorded), [].into(), "and is let go once");
    let lets_in_those_only = |gate: Gate| {
        let wiped = |node: u64, known| Err(Refusal::Wiped { node: NodeId::from(node), known: DirectoryId(known) });
        assert_eq!(gate.admit(&hello(3, 34)), wiped(3, 33));
        assert_eq!(gate.admit(&hello(4, 45)), wiped(4, 44), "nobody has met it here");
        gate.admit(&hello(3, 33)).expect("the one that counts");
        gate.admit(&hello(4, 44)).expect("the one that counts");
    };
    lets_in_those_only(gate);
    lets_in_those_only(gate_in(place.path()));
}

#[test]
fn a_group_is_told_who_is_there_and_not_who_should_be() {
    let gate = gate();
    gate.follow(&members(1, &[], &[1, 2, 3]));
    gate.admit(&hello(3, 34)).expect("whichever comes first");
    gate.admit(&hello(9, 99)).expect("a stranger");
    gate.follow(&recorded(5, &[1, 2, 3], &[(2, 22), (3, 33)]));
    let met = |gate: &Gate| gate.met().into_iter().map(|(id, met)| (id.get(), met.0)).collect::<Vec<_>>();
    assert_eq!(met(&gate), [(2, 22), (3, 34), (9, 99)]);
    gate.admit(&hello(3, 33)).expect("the one that counts");
    assert_eq!(met(&gate), [(2, 22), (3, 33), (9, 99)]);
}

/// So a founder that votes knows the directories of all founders, whoever connected to whom.
#[test]
fn who_has_confirmed_us_is_met() {
    let gate = gate();
    gate.confirmed(&hello(2, 22));
    assert!(gate.confirmed(&hello(3, 33)));
    assert_eq!(gate.met().len(), 2);
    assert!(matches!(gate.admit(&hello(2, 23)), Err(Refusal::Wiped { .. })));
}
