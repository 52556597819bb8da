use proptest::prelude::*;

use super::*;
use crate::testing::entries;

fn indexes(list: &Entries) -> Vec<u64> {
    list.iter().map(|entry| entry.position.index.get()).collect()
}

/// Entries 10, 11, .. in pieces of these lengths.
fn in_pieces(lengths: &[usize]) -> Entries {
    let mut all = Entries::new();
    let mut next = 10;
    for length in lengths {
        all.append(entries(next, &vec![1; *length]));
        next += u64::try_from(*length).expect("small");
    }
    all
}

proptest! {
    #[test]
    fn ranges_and_cuts_do_what_they_do_to_a_plain_list(
        lengths in proptest::collection::vec(0..5_usize, 0..6), from in 5..40_u64, through in 5..40_u64
    ) {
        let mut all = in_pieces(&lengths);
        let plain = indexes(&all);
        let wanted: Vec<u64> = plain.iter().copied().filter(|index| (from..=through).contains(index)).collect();
        let range = all.range(LogIndex::new(from), LogIndex::new(through));
        prop_assert_eq!(indexes(&range), wanted.clone());
        prop_assert_eq!((range.len(), range.is_empty()), (wanted.len(), wanted.is_empty()));
        prop_assert!(range.slices().all(|slice| !slice.is_empty()));
        prop_assert_eq!(range.first_index().map(LogIndex::get), wanted.first().copied());
        prop_assert_eq!(range.last_position().map(|last| last.index.get()), wanted.last().copied());

        all.truncate_after(LogIndex::new(through));
        prop_assert_eq!(indexes(&all), plain.into_iter().filter(|index| *index <= through).collect::<Vec<_>>());
        prop_assert!(all.slices().all(|slice| !slice.is_empty()));
    }
}

#[test]
fn a_slice_shares_its_piece() {
    let all = in_pieces(&[4]);
    let part = all.range(LogIndex::new(11), LogIndex::new(12));
    assert!(std::ptr::eq(
        &raw const all.slices().next().expect("a piece")[1],
        &raw const part.slices().next().expect("a piece")[0]
    ));
}

#[test]
fn entries_are_equal_however_they_are_cut() {
    assert_eq!(in_pieces(&[1, 2, 3]), in_pieces(&[6]));
    assert_ne!(in_pieces(&[1, 2]), in_pieces(&[6]));
}
