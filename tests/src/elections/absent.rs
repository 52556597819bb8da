//! In place of the pictures, in a build that cannot draw.

use std::io;
use std::ops::Range;

use super::summary::Summary;

/// This build cannot.
pub(super) fn draw(_: &str, _: Range<f64>, _: &[(String, &Summary)]) -> io::Result<String> {
    let advice = "this build cannot draw; build with --features plot";
    Err(io::Error::new(io::ErrorKind::Unsupported, advice))
}
