//! A TCP proxy that misbehaves on request: one [`Link`] per direction between two nodes.
//!
//! ```text
//! node 1 --connects to--> link(1,2) --connects to--> node 2
//! ```
//! The sockets, the kernel and the code on both ends are the real ones; only
//! what travels between them is tampered with. What a link does to its
//! connections is its [`Weather`], changed from the test at any time:
//!
//! | fault | how |
//! |---|---|
//! | black hole | [`Flow::Swallow`] both ways: connections open, and nothing ever arrives |
//! | half-open line | [`Flow::Swallow`] one way; [`Link::abandon`] |
//! | a line that comes back | [`Flow::Hold`]: nothing arrives, and all of it when the line is back |
//! | slow reader | [`Flow::Trickle`] |
//! | long line | [`Flow::Delay`] |
//! | nobody listens | [`Weather::refuse`] |
//! | RST | [`Link::reset`]; in the middle of a frame with [`Weather::cut`] |
//!
//! TCP never delivers what comes after a gap. So a connection that lost bytes
//! is reset as soon as its link is well again, and the end of a connection
//! travels no further than its bytes do. Every fault is counted when it has
//! happened to somebody ([`Counts`]), not when it was asked for.

mod connection;
mod counts;
mod frames;
mod link;
mod mesh;

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use counts::Counts;
pub use link::Link;
pub use mesh::Mesh;

/// What happens to the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flow {
    /// They arrive.
    #[default]
    Pass,
    /// They are read and thrown away. The sender notices nothing.
    Swallow,
    /// They are not read. When the kernel's buffers are full the sender can write no more.
    Hold,
    /// A few at a time.
    Trickle {
        /// How many at a time.
        bytes: usize,
        /// The pause after them.
        pause: Duration,
    },
    /// They arrive that much later, in order.
    Delay(Duration),
}

impl Flow {
    /// Whether anything arrives at all.
    fn passes(self) -> bool {
        match self {
            Self::Pass | Self::Trickle { .. } | Self::Delay(_) => true,
            Self::Swallow | Self::Hold => false,
        }
    }
}

/// What a link does to its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weather {
    /// From the node that connects to the one that accepts.
    pub there: Flow,
    /// The other way.
    pub back: Flow,
    /// New connections are refused by the kernel. Open ones stay.
    pub refuse: bool,
    /// Connections break in the middle of a frame.
    pub cut: Option<Cut>,
}

impl Weather {
    /// The same both ways.
    pub fn both(flow: Flow) -> Self {
        Self { there: flow, back: flow, ..Self::default() }
    }

    /// Nothing arrives, and nobody is told.
    pub fn black_hole() -> Self {
        Self::both(Flow::Swallow)
    }

    /// Every connection is reset at this place.
    pub fn cut(frames: u64, bytes: u64) -> Self {
        Self { cut: Some(Cut { frames, bytes }), ..Self::default() }
    }
}

/// Where a connection is reset, counted in what it carries `there` from when this was asked for, or it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// After that many whole frames (each begins with its length as a big-endian `u32`) ...
    pub frames: u64,
    /// ... and that many bytes of the next, at least one, and at most all but its last.
    pub bytes: u64,
}

/// The thread that carries the bytes of any number of links. They end when this is dropped.
#[derive(Debug)]
pub struct Proxies {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxies {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the operating system refuses a thread or the runtime's descriptors.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("proxies".to_owned()).spawn(move || {
            // An error means that the sender is gone, which is the same request.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { runtime: handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Opens a link to `target`, on a port of its own, with nothing wrong with it yet.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn link(&self, target: SocketAddr) -> io::Result<Link> {
        Link::open(&self.runtime, target)
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was printed by itself.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
