//! In place of openraft's cluster, in a build without the crate.

use super::super::load::LoadResult;
use super::super::options::Peer;
use super::super::options::RaftBench;
use super::{BenchError, Placement};

/// This build does not have it.
pub(super) fn built_in() -> Result<(), BenchError> {
    Err(BenchError::PeerNotBuilt { peer: Peer::Openraft.name() })
}

pub(super) async fn run(_: &RaftBench, _: usize, _: Placement) -> Result<LoadResult, BenchError> {
    Err(BenchError::PeerNotBuilt { peer: Peer::Openraft.name() })
}
