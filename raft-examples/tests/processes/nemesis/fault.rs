//! What can strike.

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// One or two nodes are cut off from the rest.
    Halves,
    /// One node is not heard by the others, or does not hear them.
    OneWay,
    /// Two pairs do not see each other; the fifth node sees all.
    Bridge,
    /// The leader is cut off from all others.
    LostLeader,
    /// Connections are reset and cut in the middle of frames, all the time.
    Resets,
    /// Lines are long or slow.
    BadLines,
    /// A process stands still (SIGSTOP) and goes on later as if nothing had been.
    Pause,
    /// kill -9 of one.
    Kill,
    /// kill -9 of all.
    KillAll,
    /// SIGTERM.
    Terminate,
    /// Every write to a file fails from now on, as on a full disk.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "needs the limits of another process"))]
    WriteFails,
    /// kill -9, and behind the end of the log stands something that was being written.
    TornTail,
    /// kill -9, and a bit of the log is wrong; later it is right again.
    Damage,
    /// kill -9, and the directory is gone; later it is back.
    Wipe,
}

impl Fault {
    /// Every kind that this machine can do.
    pub(super) const ALL: &[Self] = &[
        Self::Halves,
        Self::OneWay,
        Self::Bridge,
        Self::LostLeader,
        Self::Resets,
        Self::BadLines,
        Self::Pause,
        Self::Kill,
        Self::KillAll,
        Self::Terminate,
        #[cfg(target_os = "linux")]
        Self::WriteFails,
        Self::TornTail,
        Self::Damage,
        Self::Wipe,
    ];

    /// Those of the lines between the nodes.
    pub(super) const OF_LINES: [Self; 6] =
        [Self::Halves, Self::OneWay, Self::Bridge, Self::LostLeader, Self::Resets, Self::BadLines];

    /// Those that strike while something is wrong with the lines as well. The others wait for what may need them.
    pub(super) const FOR_DOUBLE_STRIKES: [Self; 3] = [Self::Pause, Self::Kill, Self::KillAll];
}
