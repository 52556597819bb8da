//! What happened on a link.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often things happened on a link, or on all links of a mesh together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections to the target that could not be made; who asked for them was reset.
    pub unreachable: u64,
    /// Times that the link stopped listening.
    pub deaf: u64,
    /// Connections reset on request.
    pub resets: u64,
    /// Connections reset at one end, while the other was left alone with an open one.
    pub abandoned: u64,
    /// Connections reset in the middle of a frame.
    pub cuts: u64,
    /// Connections reset because bytes had been swallowed on them and the link was well again.
    pub broken: u64,
    /// Bytes that went through, from the node that connects to the one that accepts.
    pub there_bytes: u64,
    /// Bytes that went through the other way.
    pub back_bytes: u64,
    /// Bytes that were swallowed, on the way there.
    pub swallowed_there_bytes: u64,
    /// Bytes that were swallowed, on the way back.
    pub swallowed_back_bytes: u64,
    /// Times that something waited to be read on a link that was told to hold it.
    pub held: u64,
    /// Pieces that a reader took slowly.
    pub trickles: u64,
    /// Pieces that were delayed.
    pub delays: u64,
}

macro_rules! recorded {
    ($($field:ident),* $(,)?) => {
        /// The same, being counted.
        #[derive(Debug, Default)]
        pub(super) struct Recorded {
            $(pub(super) $field: AtomicU64,)*
        }

        impl Recorded {
            pub(super) fn counts(&self) -> Counts {
                Counts { $($field: self.$field.load(Ordering::Relaxed),)* }
            }
        }

        impl std::ops::AddAssign for Counts {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

recorded! {
    accepted, unreachable, deaf, resets, abandoned, cuts, broken, there_bytes, back_bytes, swallowed_there_bytes,
    swallowed_back_bytes, held, trickles, delays,
}

/// Counts one more.
pub(super) fn one(counter: &AtomicU64) {
    add(counter, 1);
}

/// Counts that many more.
pub(super) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(u64::try_from(amount).expect("a usize fits into 64 bits"), Ordering::Relaxed);
}
