//! How a state machine is written to and read from a snapshot.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A state that can be frozen, saved and loaded.
///
/// Everything that is `Clone + Serialize + DeserializeOwned + Send` has it
/// already: it is frozen by cloning and saved as MessagePack with named fields.
///
/// # What it costs
/// While `freeze` runs, nothing is applied and no query answered: with the free implementation for as long as the
/// clone takes, some hundred milliseconds for a map of a million small strings, and the state is in memory twice until it is
/// saved. Heartbeats and elections do not wait for it, nor for `save`, which runs on a thread of its own. Where that
/// pause is too long, keep the state in a persistent map (as `raft-kv` does, with the crate `imbl`): its clone
/// shares everything and takes no time, with this same free implementation. Or implement the trait by hand: a machine
/// [on disk](super::OnDisk) freezes a read transaction, and loads within the transaction that its next commit ends.
///
/// # Example
/// ```
/// use raft_actor::Snapshot;
///
/// let mut file = Vec::new();
/// let state = vec![1_u64, 2, 3];
/// <Vec<u64> as Snapshot>::save(state.freeze(), &mut file)?;
///
/// let mut restored: Vec<u64> = Vec::new();
/// Snapshot::load(&mut restored, &mut file.as_slice())?;
/// assert_eq!(restored, state);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Snapshot: Sized {
    /// The state of one moment; unaffected by what is applied later.
    type Frozen: Send + 'static;

    /// Takes the state of this moment. Runs on the state machine's actor: nothing is applied meanwhile.
    fn freeze(&self) -> Self::Frozen;

    /// Writes a frozen state. Runs beside the state machine's actor.
    ///
    /// # Errors
    /// If `out` does not take it, or the state cannot be encoded.
    fn save(frozen: Self::Frozen, out: &mut dyn Write) -> io::Result<()>;

    /// Replaces the state by a saved one. Runs on the state machine's actor, or before it starts.
    ///
    /// # Errors
    /// If `input` cannot be read or is no such state; the state is then unchanged. The member stops: it cannot go on
    /// without that state.
    fn load(&mut self, input: &mut dyn Read) -> io::Result<()>;
}

impl<T> Snapshot for T
where
    T: Clone + Serialize + DeserializeOwned + Send + 'static,
{
    type Frozen = T;

    fn freeze(&self) -> T {
        self.clone()
    }

    fn save(frozen: T, out: &mut dyn Write) -> io::Result<()> {
        let mut out = io::BufWriter::new(out);
        rmp_serde::encode::write_named(&mut out, &frozen).map_err(io::Error::other)?;
        out.flush()
    }

    fn load(&mut self, input: &mut dyn Read) -> io::Result<()> {
        *self = rmp_serde::from_read(io::BufReader::new(input)).map_err(io::Error::other)?;
        Ok(())
    }
}
