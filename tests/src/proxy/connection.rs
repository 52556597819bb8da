//! One connection through a link: two sockets, and a pump for each direction.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::counts::{Recorded, add, one};
use super::frames::Frames;
use super::link::{Orders, Shared};
use super::{Cut, Flow, Weather};

/// Most bytes read at a time.
const PIECE_BYTES: usize = 16 << 10;
/// Most pieces between reading and writing; only a delay lets them pile up.
const PIECES_MAX: usize = 64;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The test wants it.
    Requested,
    /// The test wants it, at one end only.
    Abandoned,
    /// In the middle of a frame, as the test wants it.
    Cut,
    /// Bytes were swallowed, and the line is well again.
    Gap,
    /// One of the nodes reset it.
    Broken,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

impl Way {
    fn other(self) -> Self {
        match self {
            Self::There => Self::Back,
            Self::Back => Self::There,
        }
    }

    /// Where bytes are counted that got through.
    fn through(self, counts: &Recorded) -> &AtomicU64 {
        match self {
            Self::There => &counts.there_bytes,
            Self::Back => &counts.back_bytes,
        }
    }

    /// Where bytes are counted that did not.
    fn swallowed(self, counts: &Recorded) -> &AtomicU64 {
        match self {
            Self::There => &counts.swallowed_there_bytes,
            Self::Back => &counts.swallowed_back_bytes,
        }
    }
}

impl Weather {
    fn flow(&self, way: Way) -> Flow {
        match way {
            Way::There => self.there,
            Way::Back => self.back,
        }
    }
}

impl Orders {
    fn flow(&self, way: Way) -> Flow {
        self.weather.flow(way)
    }
}

/// What travels from the reader of one direction to its writer.
enum Piece {
    Bytes(Vec<u8>),
    /// There is no more.
    Close,
    /// Here the connection is to break.
    Cut,
}

pub(super) struct Connection {
    shared: Arc<Shared>,
    orders: watch::Receiver<Orders>,
    /// What was asked for before this was opened is not its business.
    opened_at: Orders,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, orders: watch::Receiver<Orders>) -> Self {
        let opened_at = *orders.borrow();
        Self { shared, orders, opened_at }
    }

    /// Carries what the two ends say, until one of them or the test ends it.
    pub(super) async fn carry(self, mut client: TcpStream) {
        let opened = tokio::select! {
            biased;
            end = self.ended_by_test() => Err(end),
            opened = self.open(&mut client) => opened,
        };
        let mut server = match opened {
            Ok(server) => server,
            Err(end) => {
                end.count(&self.shared);
                return reset_on_close(&client);
            }
        };
        // Whatever happens now happens at once: small pieces are not collected.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let ended = {
            let (client_in, client_out) = client.split();
            let (server_in, server_out) = server.split();
            let both = async {
                tokio::try_join!(
                    self.pump(Way::There, client_in, server_out),
                    self.pump(Way::Back, server_in, client_out),
                )
            };
            tokio::select! {
                biased;
                end = self.ended_by_test() => Err(end),
                result = both => result.map(drop),
            }
        };
        let Err(end) = ended else { return };
        end.count(&self.shared);
        reset_on_close(&client);
        reset_on_close(&server);
        drop(client);
        if end == End::Abandoned {
            self.until(|orders| orders.resets != self.opened_at.resets).await;
        }
    }

    async fn ended_by_test(&self) -> End {
        let Orders { resets, abandons, .. } = self.opened_at;
        self.until(|orders| orders.resets != resets || orders.abandons != abandons).await;
        if self.orders.borrow().resets != resets { End::Requested } else { End::Abandoned }
    }

    async fn until(&self, wanted: impl Fn(&Orders) -> bool) {
        let mut orders = self.orders.clone();
        let _orders = orders.wait_for(|orders| wanted(orders)).await.expect("the link keeps the sender");
    }

    /// Connects to the target, as soon as anything gets there.
    async fn open(&self, client: &mut TcpStream) -> Result<TcpStream, End> {
        let (mut reader, _) = client.split();
        self.first_passes(&mut reader).await?;
        match TcpStream::connect(self.shared.target).await {
            Ok(server) => Ok(server),
            Err(_) => {
                one(&self.shared.counts.unreachable);
                self.passes(Way::Back).await;
                Err(End::Broken)
            }
        }
    }

    /// Waits until the way there is open. If bytes were lost by then, it is too late.
    async fn first_passes(&self, reader: &mut ReadHalf<'_>) -> Result<(), End> {
        let mut lost = false;
        let mut orders = self.orders.clone();
        loop {
            let flow = orders.borrow_and_update().flow(Way::There);
            match flow {
                Flow::Pass | Flow::Trickle { .. } | Flow::Delay(_) if lost => return Err(End::Gap),
                Flow::Pass | Flow::Trickle { .. } | Flow::Delay(_) => return Ok(()),
                Flow::Hold => orders.changed().await.expect("the link keeps the sender"),
                Flow::Swallow => lost |= self.swallow(Way::There, reader).await,
            }
        }
    }

    /// Throws away what comes for as long as that is wanted. Returns whether there was anything.
    async fn swallow(&self, way: Way, reader: &mut ReadHalf<'_>) -> bool {
        let over = self.until(|orders| orders.flow(way) != Flow::Swallow);
        tokio::pin!(over);
        let mut buffer = vec![0; PIECE_BYTES];
        let mut lost = false;
        loop {
            let read = tokio::select! {
                biased;
                () = &mut over => return lost,
                read = reader.read(&mut buffer) => read,
            };
            lost = true;
            match read {
                Ok(bytes) if bytes > 0 => add(way.swallowed(&self.shared.counts), bytes),
                Ok(_) | Err(_) => {
                    // The end of the connection is swallowed as well.
                    over.await;
                    return lost;
                }
            }
        }
    }

    /// Waits until something gets through that way.
    async fn passes(&self, way: Way) {
        self.until(|orders| orders.flow(way).passes()).await;
    }

    /// Carries the bytes of one direction; returns when it was closed in good order.
    async fn pump(&self, way: Way, reader: ReadHalf<'_>, writer: WriteHalf<'_>) -> Result<(), End> {
        let (pieces, to_write) = mpsc::channel(PIECES_MAX);
        tokio::try_join!(self.read(way, reader, pieces), self.write(way, writer, to_write)).map(drop)
    }

    async fn read(
        &self,
        way: Way,
        mut reader: ReadHalf<'_>,
        pieces: mpsc::Sender<(Instant, Piece)>,
    ) -> Result<(), End> {
        let mut orders = self.orders.clone();
        let mut cutter = Cutter::new(way);
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let Orders { weather, .. } = *orders.borrow_and_update();
            let flow = weather.flow(way);
            let (room, delay, pause) = match flow {
                Flow::Pass => (PIECE_BYTES, Duration::ZERO, Duration::ZERO),
                Flow::Delay(delay) => (PIECE_BYTES, delay, Duration::ZERO),
                Flow::Trickle { bytes, pause } => (bytes.clamp(1, PIECE_BYTES), Duration::ZERO, pause),
                Flow::Hold => {
                    self.hold(&reader, &mut orders).await;
                    continue;
                }
                Flow::Swallow if self.swallow(way, &mut reader).await => {
                    self.passes(way).await;
                    return Err(End::Gap);
                }
                Flow::Swallow => continue,
            };
            let read = tokio::select! {
                biased;
                changed = orders.changed() => {
                    changed.expect("the link keeps the sender");
                    continue;
                }
                read = reader.read(&mut buffer[..room]) => read,
            };
            let Ok(bytes) = read else {
                self.passes(way).await;
                return Err(End::Broken);
            };
            let (bytes, last) = match (bytes, cutter.find(&buffer[..bytes], weather.cut)) {
                (0, _) => (0, Some(Piece::Close)),
                (_, Some(bytes)) => (bytes, Some(Piece::Cut)),
                (bytes, None) => (bytes, None),
            };
            let due = Instant::now() + delay;
            let is_last = last.is_some();
            for piece in (bytes > 0).then(|| Piece::Bytes(buffer[..bytes].to_vec())).into_iter().chain(last) {
                // Fails only when the writer has failed, which then ends the connection.
                let _ = pieces.send((due, piece)).await;
            }
            if is_last {
                return Ok(());
            }
            self.count_piece(flow);
            tokio::time::sleep(pause).await;
        }
    }

    fn count_piece(&self, flow: Flow) {
        match flow {
            Flow::Trickle { .. } => one(&self.shared.counts.trickles),
            Flow::Delay(_) => one(&self.shared.counts.delays),
            Flow::Pass | Flow::Swallow | Flow::Hold => {}
        }
    }

    async fn hold(&self, reader: &ReadHalf<'_>, orders: &mut watch::Receiver<Orders>) {
        tokio::select! {
            biased;
            changed = orders.changed() => return changed.expect("the link keeps the sender"),
            _ = reader.readable() => one(&self.shared.counts.held),
        }
        orders.changed().await.expect("the link keeps the sender");
    }

    async fn write(
        &self,
        way: Way,
        mut writer: WriteHalf<'_>,
        mut pieces: mpsc::Receiver<(Instant, Piece)>,
    ) -> Result<(), End> {
        while let Some((due, piece)) = pieces.recv().await {
            tokio::time::sleep_until(due).await;
            let (written, bytes) = match piece {
                Piece::Bytes(bytes) => (writer.write_all(&bytes).await, bytes.len()),
                Piece::Close => (writer.shutdown().await, 0),
                Piece::Cut => return Err(End::Cut),
            };
            if written.is_err() {
                // That the other end is gone is news that travels the other way.
                self.passes(way.other()).await;
                return Err(End::Broken);
            }
            add(way.through(&self.shared.counts), bytes);
        }
        Ok(())
    }
}

impl End {
    fn count(self, shared: &Shared) {
        match self {
            Self::Requested => one(&shared.counts.resets),
            Self::Abandoned => one(&shared.counts.abandoned),
            Self::Cut => one(&shared.counts.cuts),
            Self::Gap => one(&shared.counts.broken),
            Self::Broken => {}
        }
    }
}

/// Finds the place of a cut in a stream.
struct Cutter {
    frames: Option<Frames>,
    /// The cut that was asked for, and how many frames were complete then.
    asked: Option<(Cut, u64)>,
}

impl Cutter {
    fn new(way: Way) -> Self {
        Self { frames: (way == Way::There).then(Frames::default), asked: None }
    }

    fn find(&mut self, piece: &[u8], cut: Option<Cut>) -> Option<usize> {
        let frames = self.frames.as_mut()?;
        if self.asked.map(|(cut, _)| cut) != cut {
            self.asked = cut.map(|cut| (cut, frames.complete));
        }
        let since = self.asked.map_or(0, |(_, since)| since);
        frames.follow(piece, cut, since)
    }
}

/// Closing it will be an RST.
fn reset_on_close(stream: &TcpStream) {
    // If that fails it is closed in the ordinary way, and the counts still say what was meant.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
