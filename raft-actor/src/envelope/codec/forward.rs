//! Requests of clients and their answers as payloads: each its length, then its bytes.

use bytes::Bytes;

use super::frame::{FrameWriter, unpack};
use super::region::{Region, write_varint};
use super::{DecodeError, EncodeError};
use crate::envelope::ForwardError;

/// The low bit of an outcome's length: whether the bytes are an error.
const ERROR: u64 = 1;

pub(super) fn write_requests(requests: &[Bytes], frame: &mut FrameWriter<'_>) -> Result<(), EncodeError> {
    frame.reserve(requests.iter().map(|request| request.len() + 1).sum())?;
    for request in requests {
        write_varint(frame.payload(), request.len() as u64);
        frame.payload().extend_from_slice(request);
    }
    Ok(())
}

pub(super) fn read_requests(count: u32, mut region: Region) -> Result<Vec<Bytes>, DecodeError> {
    let mut requests = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for _ in 0..count {
        let length = region.varint()?;
        requests.push(region.take(length)?);
    }
    region.finish()?;
    Ok(requests)
}

pub(super) fn write_outcomes(
    outcomes: &[Result<Bytes, ForwardError>],
    frame: &mut FrameWriter<'_>,
) -> Result<(), EncodeError> {
    frame.reserve(outcomes.iter().map(|outcome| 1 + outcome.as_ref().map_or(0, Bytes::len)).sum())?;
    for outcome in outcomes {
        match outcome {
            Ok(answer) => {
                write_varint(frame.payload(), (answer.len() as u64) << 1);
                frame.payload().extend_from_slice(answer);
            }
            Err(error) => {
                let bytes = rmp_serde::to_vec_named(error).expect("a small enum can be encoded");
                write_varint(frame.payload(), (bytes.len() as u64) << 1 | ERROR);
                frame.payload().extend_from_slice(&bytes);
            }
        }
    }
    Ok(())
}

pub(super) fn read_outcomes(count: u32, mut region: Region) -> Result<Vec<Result<Bytes, ForwardError>>, DecodeError> {
    let mut outcomes = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for _ in 0..count {
        let tag = region.varint()?;
        let bytes = region.take(tag >> 1)?;
        outcomes.push(if tag & ERROR == 0 {
            Ok(bytes)
        } else {
            // A newer build may know more reasons. What we do not understand, we do not know: nothing is promised.
            Err(unpack(&bytes).unwrap_or(ForwardError::Unknown))
        });
    }
    region.finish()?;
    Ok(outcomes)
}
