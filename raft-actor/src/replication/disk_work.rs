//! Work on a disk that the node's thread must not wait for.

/// Does `work` on another thread, unless it `is_fast` (in memory, or in a simulation, which has one thread).
/// `None`: the runtime ends.
pub(super) async fn beside<T: Send + 'static>(is_fast: bool, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if is_fast { Some(work()) } else { tokio::task::spawn_blocking(work).await.ok() }
}
