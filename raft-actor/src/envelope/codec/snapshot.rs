//! Pieces of snapshots: the payload is the piece, as it stands in the file.

use bytes::Bytes;
use raft_consensus::{Round, Term};
use serde::{Deserialize, Serialize};

use super::DecodeError;
use crate::envelope::{SnapshotChunk, SnapshotReply};
use crate::state_machine::SnapshotId;

/// [`SnapshotChunk`] without its bytes, which are the payload.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SnapshotChunkHeader {
    term: Term,
    round: Round,
    id: SnapshotId,
    offset: u64,
}

pub(super) fn split(chunk: &SnapshotChunk) -> (SnapshotChunkHeader, &Bytes) {
    let SnapshotChunk { term, round, id, offset, ref bytes } = *chunk;
    (SnapshotChunkHeader { term, round, id, offset }, bytes)
}

pub(super) fn join(header: SnapshotChunkHeader, payload: &[u8]) -> Result<SnapshotChunk, DecodeError> {
    let SnapshotChunkHeader { term, round, id, offset } = header;
    // Checked before it is copied, for which the frame's limit is the bound.
    let end = u64::try_from(payload.len()).ok().and_then(|length| offset.checked_add(length));
    if end.is_none_or(|end| end > id.size_bytes) {
        return Err(DecodeError::Payload("a piece reaches beyond the end of its snapshot"));
    }
    Ok(SnapshotChunk { term, round, id, offset, bytes: Bytes::copy_from_slice(payload) })
}

pub(super) fn sound(reply: SnapshotReply) -> Result<SnapshotReply, DecodeError> {
    if reply.received > reply.id.size_bytes {
        return Err(DecodeError::Payload("more was received of a snapshot than there is"));
    }
    Ok(reply)
}
