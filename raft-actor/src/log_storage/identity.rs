//! Whose data a directory holds.

use std::collections::BTreeMap;
use std::path::Path;

use raft_consensus::{GroupId, LogIndex, NodeId};
use serde::{Deserialize, Serialize};

use super::LogError;
use crate::transport::{DirectoryId, Incarnation};

/// Who a host is, and whom it met; kept in its directory, or in memory beside a memory log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The node; never changes.
    pub node: NodeId,
    /// The cluster it belongs to; never changes.
    pub cluster: String,
    /// Which founding of that cluster; zero for a node that joins and has not learnt it yet.
    pub incarnation: Incarnation,
    /// The random id of this directory; never changes. Tells a wiped disk from a restart.
    pub directory: DirectoryId,
    /// Whether all listed peers have durably recorded `directory`. Until then the node has no vote.
    #[serde(default)]
    pub confirmed: bool,
    /// The directory each member had when it was first met; of those that have left, nothing is kept.
    #[serde(default)]
    pub peers: BTreeMap<NodeId, DirectoryId>,
    /// Where the last committed configuration of each group stands by which members that left were dropped from
    /// `peers`; only grows. Not noted for a group as long as nobody has left.
    #[serde(default)]
    pub configured: BTreeMap<GroupId, LogIndex>,
    /// Whether a log was begun: from then on one that is missing was lost. Never unset.
    #[serde(default)]
    pub has_log: bool,
}

impl Identity {
    /// The identity of a new directory.
    pub fn new(node: NodeId, cluster: &str, incarnation: Incarnation, directory: DirectoryId) -> Self {
        Self {
            node,
            cluster: cluster.to_owned(),
            incarnation,
            directory,
            confirmed: false,
            peers: BTreeMap::new(),
            configured: BTreeMap::new(),
            has_log: false,
        }
    }

    /// Refuses the directory at `path` if this is not its owner.
    ///
    /// # Errors
    /// [`LogError::Foreign`] if it belongs to another node or cluster.
    pub fn check_owner(&self, path: &Path, node: NodeId, cluster: &str) -> Result<(), LogError> {
        if self.node == node && self.cluster == cluster {
            return Ok(());
        }
        let name = |node: NodeId, cluster: &str| format!("node {node} of cluster {cluster:?}");
        Err(LogError::Foreign {
            path: path.to_owned(),
            found: name(self.node, &self.cluster),
            expected: name(node, cluster),
        })
    }
}

const MAGIC: &[u8; 8] = b"raft-id\n";
const FORMAT_VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const ADVICE: &str = "Restore the file from a backup, or remove the directory, remove this node from the cluster \
                      and add it again";

/// The identity file: magic, format version, length, then MessagePack with named fields, then a CRC of all before.
pub(super) fn encode(identity: &Identity) -> Vec<u8> {
    let body = rmp_serde::to_vec_named(identity).expect("an identity has only fields that MessagePack can hold");
    let mut file = Vec::with_capacity(HEADER_BYTES + body.len() + 4);
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    file.extend_from_slice(&u32::try_from(body.len()).expect("an identity is small").to_le_bytes());
    file.extend_from_slice(&body);
    file.extend_from_slice(&crc32fast::hash(&file).to_le_bytes());
    file
}

pub(super) fn decode(path: &Path, file: &[u8]) -> Result<Identity, LogError> {
    let damaged =
        |offset: usize, what| LogError::Damaged { path: path.to_owned(), offset: offset as u64, what, advice: ADVICE };
    if file.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err(damaged(0, "this is no identity file"));
    }
    let (Some(version), Some(length)) = (number_at(file, 8), number_at(file, 12)) else {
        return Err(damaged(file.len(), "the identity file is cut short"));
    };
    let end = HEADER_BYTES.saturating_add(length as usize);
    let (Some(body), Some(crc)) = (file.get(HEADER_BYTES..end), number_at(file, end)) else {
        return Err(damaged(file.len(), "the identity file is cut short"));
    };
    if crc32fast::hash(&file[..end]) != crc {
        return Err(damaged(end, "the checksum of the identity does not match"));
    }
    if version != FORMAT_VERSION {
        return Err(LogError::Version { path: path.to_owned(), found: version, supported: FORMAT_VERSION });
    }
    rmp_serde::from_slice(body).map_err(|_| damaged(HEADER_BYTES, "the identity cannot be decoded"))
}

fn number_at(file: &[u8], offset: usize) -> Option<u32> {
    let bytes = file.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().expect("the slice has four bytes")))
}
