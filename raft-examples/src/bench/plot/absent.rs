//! In place of the pictures, in a build that cannot draw.

use super::{BenchError, Chart};

/// This build cannot.
pub(super) fn built_in() -> Result<(), BenchError> {
    Err(BenchError::PlotNotBuilt)
}

pub(super) fn throughput(_: &Chart) -> Result<String, BenchError> {
    Err(BenchError::PlotNotBuilt)
}

pub(super) fn latency(_: &Chart) -> Result<String, BenchError> {
    Err(BenchError::PlotNotBuilt)
}
