//! Messages that were dropped, counted by reason.

/// Why a message was dropped without any effect (a reply at most).
///
/// The first seven do not happen between healthy members; the others do, rarely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Ignored {
    /// It claims to come from this very member.
    FromSelf,
    /// It contradicts itself: entries with gaps or falling terms, a log newer than the sender's term, a hint above
    /// what was refused.
    Malformed,
    /// Its term is so far ahead that no history of elections could have led there
    /// ([`TERM_JUMP_MAX`](crate::TERM_JUMP_MAX)).
    ImplausibleTerm,
    /// An AppendEntries of our term from somebody who is not the leader of that term (Election Safety, §5.2).
    SecondLeader,
    /// It would change an entry that is already committed here (Leader Completeness, §5.4).
    ConflictsWithCommitted,
    /// An AppendEntries that contradicts what the same leader sent before: a leader only appends (Figure 3).
    RewritesOwnTerm,
    /// It acknowledges an entry or a round that this leader never sent.
    BeyondSent,
    /// A reply from somebody outside of the configuration.
    UnknownSender,
    /// A reply from a member with another disk than the configuration says: the disk that it became a voter with was
    /// wiped or replaced.
    OtherDirectory,
    /// A RequestVote while a leader is alive (dissertation 4.2.3): a removed or cut-off member wants to disturb.
    LeaderAlive,
    /// A reply in a term that has passed.
    StaleReply,
    /// A reply that comes too late or twice: nobody waits for it any more.
    UnexpectedReply,
    /// A TimeoutNow to one that may not campaign, campaigns or leads already, or does not follow its sender: it comes
    /// late or twice.
    UntimelyTimeoutNow,
}

impl Ignored {
    /// All reasons.
    pub const ALL: [Self; 13] = [
        Self::FromSelf,
        Self::Malformed,
        Self::ImplausibleTerm,
        Self::SecondLeader,
        Self::ConflictsWithCommitted,
        Self::RewritesOwnTerm,
        Self::BeyondSent,
        Self::UnknownSender,
        Self::OtherDirectory,
        Self::LeaderAlive,
        Self::StaleReply,
        Self::UnexpectedReply,
        Self::UntimelyTimeoutNow,
    ];

    /// A name for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::FromSelf => "from_self",
            Self::Malformed => "malformed",
            Self::ImplausibleTerm => "implausible_term",
            Self::SecondLeader => "second_leader",
            Self::ConflictsWithCommitted => "conflicts_with_committed",
            Self::RewritesOwnTerm => "rewrites_own_term",
            Self::BeyondSent => "beyond_sent",
            Self::UnknownSender => "unknown_sender",
            Self::OtherDirectory => "other_directory",
            Self::LeaderAlive => "leader_alive",
            Self::StaleReply => "stale_reply",
            Self::UnexpectedReply => "unexpected_reply",
            Self::UntimelyTimeoutNow => "untimely_timeout_now",
        }
    }
}

/// How many messages were dropped, by reason, since this member started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IgnoredCounts {
    counts: [u64; Ignored::ALL.len()],
}

impl IgnoredCounts {
    /// How many were dropped for this reason.
    pub fn count(&self, reason: Ignored) -> u64 {
        self.iter().find(|(counted, _)| *counted == reason).map_or(0, |(_, count)| count)
    }

    /// How many were dropped altogether.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Ignored, u64)> {
        Ignored::ALL.into_iter().zip(self.counts)
    }

    pub(crate) fn add(&mut self, reason: Ignored) {
        let counted = Ignored::ALL.iter().position(|each| *each == reason).expect("ALL lists every reason");
        self.counts[counted] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_for_itself() {
        let mut counts = IgnoredCounts::default();
        for reason in Ignored::ALL {
            counts.add(reason);
            assert_eq!(counts.count(reason), 1, "{}", reason.name());
        }
        assert_eq!(counts.total(), 13);
    }
}
