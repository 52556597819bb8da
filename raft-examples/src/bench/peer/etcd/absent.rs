//! In place of etcd's cluster, in a build that does not speak its protocol.

use super::super::super::options::{Peer, RaftBench};
use super::super::super::row::Row;
use super::BenchError;

/// This build does not speak to it.
pub(super) fn is_here(_: &RaftBench) -> Result<(), BenchError> {
    Err(BenchError::PeerNotBuilt { peer: Peer::Etcd.name() })
}

pub(super) async fn measure(_: &RaftBench, _: usize, _: usize) -> Result<Row, BenchError> {
    Err(BenchError::PeerNotBuilt { peer: Peer::Etcd.name() })
}
