//! What becomes of a wish that another member shall lead (dissertation 3.10).
//!
//! The rules of the leader stand in `role/leader/transfer`. Here stands what outlives the leader's office: who asked,
//! and until when. A transfer that succeeds ends that office before anybody knows who leads next, so the answer is
//! given by whatever the member has become by then.

use thiserror::Error;

use crate::{Effect, Effects, NodeId, ProposalId, Term, Time};

/// What came of [`Input::TransferLeadership`](crate::Input::TransferLeadership).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferOutcome {
    /// The wanted member leads, as far as this member has heard.
    Done {
        /// Who leads now.
        leader: NodeId,
        /// In this term.
        term: Term,
    },
    /// Not within one minimum election timeout. The transfer is over: a member that still leads takes commands again.
    /// If the target was told to campaign, it may win yet.
    TimedOut,
    /// Another member than the wanted one leads now.
    Superseded {
        /// Who leads now.
        leader: NodeId,
        /// In this term.
        term: Term,
    },
    /// The transfer was not begun.
    Refused(TransferRefusal),
}

/// Why a transfer of leadership was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransferRefusal {
    /// This member does not lead.
    #[error("this node is not the leader")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// The target has no vote in the latest configuration, or loses it with that.
    #[error("node {to} is no voter")]
    NotVoter {
        /// The target.
        to: NodeId,
    },
    /// No target was named, and no other voter has answered within the minimum election timeout.
    #[error("no other voter can be reached")]
    NobodyElse,
    /// A transfer to another member is under way, and ends within a minimum election timeout.
    #[error("leadership is being transferred to node {to}")]
    InProgress {
        /// Its target.
        to: NodeId,
    },
}

/// A transfer under way, or one that ended this member's office and waits for news of the next leader.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    /// Who shall lead.
    pub(crate) target: NodeId,
    /// The term of the leader that gives away its office.
    pub(crate) term: Term,
    /// When it is given up.
    pub(crate) until: Time,
    /// Whether the target was told to campaign.
    pub(crate) told: bool,
    /// Who asked for it; all want the same.
    asked: Vec<ProposalId>,
}

impl Transfer {
    pub(crate) fn new(id: ProposalId, target: NodeId, term: Term, until: Time) -> Self {
        Self { target, term, until, told: false, asked: vec![id] }
    }

    /// Somebody else wants the same.
    pub(crate) fn join(&mut self, id: ProposalId) {
        self.asked.push(id);
    }

    /// What a leader of another term than the one of this transfer means for it.
    pub(crate) fn outcome_under(&self, leader: NodeId, term: Term) -> TransferOutcome {
        if leader == self.target {
            TransferOutcome::Done { leader, term }
        } else {
            TransferOutcome::Superseded { leader, term }
        }
    }

    /// It is over: tells everybody who asked.
    pub(crate) fn end(self, outcome: TransferOutcome, effects: &mut Effects) {
        self.asked.into_iter().for_each(|id| effects.push(Effect::Transfer { id, outcome }));
    }
}
