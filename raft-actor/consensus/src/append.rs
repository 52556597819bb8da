//! The receiver's side of AppendEntries: is it sane, and does it fit our log (§5.3)? Plain values out.

use crate::{AppendEntries, Entries, Log, LogIndex, LogPosition};

/// How an AppendEntries relates to our log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    /// We have no entry `prev` of that term.
    Refused {
        /// Our log may match up to here and certainly not above.
        hint: LogPosition,
    },
    /// Our log equals the leader's through `verified` once `change` is done.
    Accepted {
        /// What to do with the log.
        change: Change,
        /// The last entry that the message covers.
        verified: LogIndex,
    },
    /// It contradicts a committed entry: no true leader sends that (Leader Completeness, §5.4).
    ConflictsWithCommitted,
}

impl Fit {
    /// The first entry of ours that would be replaced, if any.
    pub(crate) fn first_replaced(&self) -> Option<LogIndex> {
        match self {
            Self::Accepted { change: Change::Replace(entries), .. } => entries.first_index(),
            Self::Accepted { change: Change::Nothing | Change::Append(_), .. }
            | Self::Refused { .. }
            | Self::ConflictsWithCommitted => None,
        }
    }
}

/// What an AppendEntries changes in our log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// We have all of it.
    Nothing,
    /// Add these (not empty) behind the last.
    Append(Entries),
    /// Remove everything from the first of these (not empty) on, then add them.
    Replace(Entries),
}

/// Whether a message contradicts itself: gaps, terms that fall or lie ahead of the message's own. One linear pass.
pub(crate) fn is_well_formed(message: &AppendEntries) -> bool {
    let mut before = message.prev;
    // Only the place before the first entry has index 0, and it has no term.
    if before.term > message.term || (before.index == LogIndex::ZERO && before != LogPosition::ZERO) {
        return false;
    }
    for slice in message.entries.slices() {
        for entry in slice {
            let LogPosition { term, index } = entry.position;
            // Indexes saturate: behind the last of all indexes nothing can follow.
            if index != before.index.next() || index == before.index || term < before.term {
                return false;
            }
            before = entry.position;
        }
    }
    before.term <= message.term
}

/// How a well-formed message relates to `log`, which is committed through `commit`.
pub(crate) fn fit(log: &Log, commit: LogIndex, prev: LogPosition, entries: Entries) -> Fit {
    // Everything at or below the base is committed and applied, and so equal at every true leader.
    if prev.index >= log.base().index && !log.contains(prev) {
        return refuse(log, commit, prev);
    }
    let verified = entries.last_position().map_or(prev.index, |last| last.index);
    let Some(first_new) = first_not_in(log, &entries) else {
        return Fit::Accepted { change: Change::Nothing, verified };
    };
    if first_new.index <= commit {
        return Fit::ConflictsWithCommitted;
    }
    let all_new = entries.first_index() == Some(first_new.index);
    let new = if all_new { entries } else { entries.range(first_new.index, verified) };
    // Truncate only on a real conflict (§5.3): a late or repeated message that says less than we
    // have must not remove what came after it.
    let change = if first_new.index <= log.last().index { Change::Replace(new) } else { Change::Append(new) };
    Fit::Accepted { change, verified }
}

fn refuse(log: &Log, commit: LogIndex, prev: LogPosition) -> Fit {
    if prev.index <= commit {
        return Fit::ConflictsWithCommitted;
    }
    // The leader's terms at and before `prev` are at most its term, so what we have of later terms
    // cannot match: skip all of it in one round trip (the paper's optimisation at the end of §5.3).
    Fit::Refused { hint: log.last_index_at_most(prev.term, prev.index.prev()) }
}

/// The first of `entries` that `log` does not hold.
fn first_not_in(log: &Log, entries: &Entries) -> Option<LogPosition> {
    let last = log.last().index;
    if entries.first_index()? > last {
        return entries.first().map(|entry| entry.position);
    }
    entries
        .iter()
        .map(|entry| entry.position)
        .find(|position| position.index > last || (position.index >= log.base().index && !log.contains(*position)))
}

#[cfg(test)]
mod tests;
