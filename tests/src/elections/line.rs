//! What is measured: the lines of the figure, each in several variants.

use std::fmt;

use raft_consensus::{ELECTION_PRIORITY_MAX, Settings};

/// One of the two graphs of the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Graph {
    /// The upper one: how wide the range of timeouts is.
    Randomness,
    /// The lower one: how long they are.
    Timeouts,
}

impl Graph {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Randomness, Self::Timeouts];

    /// The ranges of election timeouts in milliseconds, as in the figure.
    pub const fn timeouts_ms(self) -> &'static [(u64, u64)] {
        match self {
            Self::Randomness => &[(150, 150), (150, 151), (150, 155), (150, 175), (150, 200), (150, 300)],
            Self::Timeouts => &[(12, 24), (25, 50), (50, 100), (100, 200), (150, 300)],
        }
    }
}

/// By which rules the survivors elect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Those of the paper: without pre-vote.
    Paper,
    /// Those of the core: pre-vote first.
    PreVote,
    /// The same, and one of the survivors has a higher priority than the others.
    Priority,
    /// As the core, and the survivors learn that the leader has hung up.
    HungUp,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Paper, Self::PreVote, Self::Priority, Self::HungUp];

    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::PreVote => "pre-vote",
            Self::Priority => "priority",
            Self::HungUp => "hung-up",
        }
    }

    /// Whether candidates ask first whether they could win.
    pub const fn pre_votes(self) -> bool {
        match self {
            Self::Paper => false,
            Self::PreVote | Self::Priority | Self::HungUp => true,
        }
    }

    /// Whether anybody tells the survivors of the crash.
    pub const fn tells(self) -> bool {
        match self {
            Self::Paper | Self::PreVote | Self::Priority => false,
            Self::HungUp => true,
        }
    }

    /// The priority of a survivor that is, or is not, the preferred one.
    const fn priority(self, is_preferred: bool) -> u8 {
        match self {
            Self::Priority if !is_preferred => ELECTION_PRIORITY_MAX - 1,
            Self::Paper | Self::PreVote | Self::Priority | Self::HungUp => ELECTION_PRIORITY_MAX,
        }
    }
}

/// One line of the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The range of election timeouts in milliseconds.
    pub timeouts_ms: (u64, u64),
    /// By which rules.
    pub variant: Variant,
}

impl Line {
    /// The settings of a survivor. The leader speaks twice in a minimum election timeout (§9.3).
    pub fn settings(&self, is_preferred: bool) -> Settings {
        let (min, max) = self.timeouts_ms;
        Settings {
            election_timeout_ms_min: min,
            election_timeout_ms_max: max,
            heartbeat_ms: min / 2,
            election_priority: self.variant.priority(is_preferred),
            ..Settings::default()
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = self.timeouts_ms;
        write!(f, "{min}-{max} ms")
    }
}
