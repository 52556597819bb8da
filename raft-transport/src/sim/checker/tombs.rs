//! A group that was destroyed on a server stays destroyed there.

use raft_actor::consensus::{LogIndex, LogPosition, NodeId, Term};

use super::disks::Durable;
use super::member::Member;
use super::verdict::{Verdict, ensure};
use super::{Knowledge, Violation};

/// What a disk holds of a group that was destroyed there.
const TOMBSTONE: LogPosition = LogPosition::new(Term::new(u64::MAX), LogIndex::new(u64::MAX));

/// How far a server is with the end of its part in the group.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tomb {
    /// Nobody wants it to end.
    #[default]
    None,
    /// The server was told to destroy it.
    Ordered,
    /// That is durable.
    Closed,
    /// It was, and then the disk was wiped.
    Forgotten,
}

impl Tomb {
    /// Whether the server has no part in the group any more, for ever.
    pub(super) fn is_closed(self) -> bool {
        match self {
            Self::None | Self::Ordered => false,
            Self::Closed | Self::Forgotten => true,
        }
    }
}

impl Member {
    /// The server was told to destroy its part of the group.
    pub(super) fn is_to_end(&mut self) {
        if self.tomb == Tomb::None {
            self.tomb = Tomb::Ordered;
        }
    }
}

impl Knowledge {
    /// Whether the group is destroyed on this disk, which is so for ever once it is so, and only if somebody has said so.
    pub(super) fn check_tomb(
        &mut self,
        id: NodeId,
        member: &mut Member,
        disk: &dyn Durable,
    ) -> Result<bool, Violation> {
        let is_there = disk.base() == TOMBSTONE;
        match member.tomb {
            Tomb::None => {
                ensure!("destroyed_on_order", id, !is_there, "n{id} has destroyed the group, and nobody told it to");
                Ok(false)
            }
            Tomb::Ordered if !is_there => Ok(false),
            Tomb::Ordered => {
                // What it held may have counted. What it voted stays, for it will not vote again.
                let gone = std::mem::take(&mut member.durable);
                let gone = self.lost.remove(&id).unwrap_or(gone);
                self.wiped.insert(id, gone);
                member.writes.clear();
                member.run = None;
                member.tomb = Tomb::Closed;
                Ok(true)
            }
            Tomb::Closed => {
                let (base, last) = (disk.base(), disk.last());
                ensure!(
                    "destroyed_for_good",
                    id,
                    is_there,
                    "n{id} had destroyed the group, and holds {base} to {last}"
                );
                Ok(true)
            }
            Tomb::Forgotten => Ok(true),
        }
    }

    /// Nothing is done by a member that is no more.
    pub(super) fn check_lives(&self, id: NodeId, tomb: Tomb, does: &str) -> Verdict {
        ensure!("destroyed_for_good", id, !tomb.is_closed(), "n{id} has destroyed the group, and {does}");
        Ok(())
    }
}
