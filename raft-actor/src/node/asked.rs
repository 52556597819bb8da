//! What clients ask that run no node of their own.

use actix::prelude::*;
use raft_consensus::Role;

use super::{Asked, RaftNode};
use crate::envelope::{ForwardError, ForwardKind};
use crate::transport::ClientRequest;

impl Handler<Asked> for RaftNode {
    type Result = ();

    fn handle(&mut self, Asked { request, credit }: Asked, ctx: &mut Context<Self>) {
        self.asked(request, ctx);
        drop(credit);
        self.status_is_stale = true;
        self.settle(ctx);
    }
}

impl RaftNode {
    /// As what another node forwards: served here or sent back, never passed on. A client goes to the leader itself, and
    /// its next request is spared the detour.
    fn asked(&mut self, request: ClientRequest, ctx: &mut Context<Self>) {
        match (request.forward.kind, self.raft.role()) {
            (ForwardKind::ReadLocal, _)
            | (ForwardKind::Write | ForwardKind::Read | ForwardKind::LeaseRead, Role::Leader) => {
                self.take_in(request.forward, request.replies, ctx);
            }
            (
                ForwardKind::Write | ForwardKind::Read | ForwardKind::LeaseRead,
                Role::Follower | Role::Candidate | Role::Learner,
            ) => {
                // The client knows no better: that its leader is gone may not have been noticed here.
                self.stir(ctx);
                request.refuse(ForwardError::NotLeader { leader: self.raft.leader() });
            }
            // For whoever operates the cluster; clients only use it.
            (ForwardKind::Membership | ForwardKind::Transfer, _) => request.refuse(ForwardError::BadRequest),
        }
    }
}
