//! How openraft's nodes reach each other: with a call.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{Stream, TryStreamExt};
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{Fatal, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, Raft};

use super::super::machine::Tally;
use super::store::{Machine, Types};

/// The nodes of a cluster, once they have started.
#[derive(Clone, Default)]
pub(super) struct Network(Arc<Mutex<BTreeMap<u64, Raft<Types, Machine>>>>);

type Answers<'a> = BoxStream<'a, Result<StreamAppendResult<Types>, RPCError<Types>>>;

/// The way to one node.
pub(super) struct Link {
    network: Network,
    /// Once it was found.
    node: Option<Raft<Types, Machine>>,
    target: u64,
}

impl Network {
    pub(super) fn insert(&self, id: u64, node: Raft<Types, Machine>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, node);
    }

    /// Nobody reaches anybody any more; the nodes no longer keep each other alive.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn get(&self, id: u64) -> Option<Raft<Types, Machine>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}

impl Link {
    fn node(&mut self) -> Result<&Raft<Types, Machine>, Unreachable<Types>> {
        if self.node.is_none() {
            self.node = self.network.get(self.target);
        }
        self.node.as_ref().ok_or_else(|| Unreachable::from_string("it has not started"))
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, (): &()) -> Link {
        Link { network: self.clone(), node: None, target }
    }
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = Tally;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Ok(self.node()?.append_entries(request).await.map_err(|error| Unreachable::new(&error))?)
    }

    /// Without waiting for the answer to the one before: a little less processor time than one after the other.
    fn stream_append<'s, S>(
        &'s mut self,
        requests: S,
        _: RPCOption,
    ) -> BoxFuture<'s, Result<Answers<'s>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let answers = self.node()?.stream_append(requests);
            let answers = answers.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)));
            Ok(Box::pin(answers) as Answers<'s>)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Ok(self.node()?.vote(request).await.map_err(|error| Unreachable::new(&error))?)
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, Tally>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let installed = self.node()?.install_full_snapshot(vote, snapshot).await;
        Ok(installed.map_err(|error: Fatal<Types>| Unreachable::new(&error))?)
    }
}
