//! Golden scripts: stories told in commands, each with the trace that it leaves.
//!
//! A file `stories/NAME.story` holds one command per line and, indented below
//! it, what the cluster then did, one line per event. Blank lines and `#`
//! comments are kept. The test runs the commands and compares the traces;
//! `UPDATE_STORIES=1 cargo test -p raft-consensus --test stories` writes them
//! anew, and the review reads the difference. The commands are explained in
//! `stories/script.rs`.
mod support;

#[path = "stories/script.rs"]
mod script;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories")
}

fn tell(name: &str) {
    let path = folder().join(name).with_extension("story");
    let written = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let told = script::run(name, &written);
    if std::env::var_os("UPDATE_STORIES").is_some() {
        std::fs::write(&path, &told).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    for (number, (now, before)) in (1..).zip(told.lines().zip(written.lines())) {
        let advice = "if the new trace is right: UPDATE_STORIES=1 cargo test -p raft-consensus --test stories";
        assert_eq!(now, before, "{name}.story, line {number}, has changed; {advice}");
    }
    assert_eq!(told.lines().count(), written.lines().count(), "{name}.story ends differently");
}

macro_rules! stories {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                tell(stringify!($name));
            }
        )*

        #[test]
        fn every_story_in_the_folder_is_told() {
            let told: BTreeSet<String> = [$(stringify!($name).to_owned()),*].into();
            let files = std::fs::read_dir(folder()).expect("the stories are part of the package");
            let names = files.filter_map(|file| {
                let path = file.expect("a readable folder").path();
                let is_story = path.extension().is_some_and(|extension| extension == "story");
                path.file_stem().filter(|_| is_story).map(|stem| stem.to_string_lossy().into_owned())
            });
            assert_eq!(names.collect::<BTreeSet<_>>(), told);
        }
    };
}

stories! {
    a_change_outlives_its_leader_in_every_phase,
    a_change_waits_for_a_transfer,
    a_configuration_comes_with_a_snapshot,
    a_conflicting_suffix_is_discarded_for_a_snapshot,
    a_crash_between_the_snapshot_and_the_reset_of_the_log,
    a_cut_off_leader_steps_down_by_check_quorum,
    a_damaged_follower_gets_back_what_it_lost,
    a_damaged_member_elects_nobody,
    a_follower_behind_the_purge_gets_a_snapshot,
    a_late_duplicate_does_not_truncate_what_is_committed,
    a_late_timeout_now_disturbs_nobody,
    a_leader_answers_by_its_lease,
    a_leader_on_its_way_out_hands_over,
    a_leader_purges_what_is_on_its_way,
    a_leader_removes_itself,
    a_lease_is_given_up_for_a_transfer,
    a_lease_waits_for_the_leaders_first_entry,
    a_lost_farewell_is_said_again,
    a_lost_farewell_leaves_a_removed_voter_in_doubt,
    a_lost_timeout_now_is_said_again,
    a_node_without_suffrage,
    a_partitioned_leader_is_overruled,
    a_restarted_server_keeps_the_word_it_does_not_remember,
    a_single_member,
    a_snapshot_of_an_overruled_leader_is_refused,
    a_snapshot_taken_below_the_installed_one_is_dropped,
    a_snapshot_that_cannot_be_read_is_taken_once_more,
    a_snapshot_whose_end_is_in_the_log_changes_nothing,
    a_split_vote,
    a_stale_persisted_does_not_count,
    a_stuck_disk_steps_down,
    a_target_that_was_removed_meanwhile_does_not_campaign,
    a_torn_off_follower_catches_up,
    a_transfer_is_superseded,
    a_transfer_that_fails_changes_nothing,
    a_truncated_configuration_is_rolled_back,
    a_truncated_joint_configuration_is_rolled_back,
    a_vote_is_durable_before_it_is_sent,
    a_wiped_voter_counts_when_it_was_added_again,
    a_word_is_kept_over_a_change_of_term,
    all_members_are_replaced,
    appends_overtake_an_installation,
    contested_election,
    figure_7,
    figure_8,
    leadership_is_handed_over,
    lease_reads_are_switched_on_and_off,
    one_member_has_nobody_to_hand_over_to,
    ongaros_single_server_bug,
    overlapping_changes,
    pre_vote_with_a_lagging_node,
    read_index_over_a_change_of_leader,
    the_leaders_slow_disk_does_not_delay_a_commit,
    the_reply_to_a_snapshot_is_lost,
    two_transfers_at_a_time,
    whom_a_leader_does_not_hand_over_to,
}
