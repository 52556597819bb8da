//! The proxy does what it is told, and counts it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use super::*;

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A link with both of its ends in the hands of the test.
struct Line {
    target: TcpListener,
    link: Link,
    _proxies: Proxies,
}

impl Line {
    fn new() -> Self {
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxies = Proxies::start().unwrap();
        let link = proxies.link(target.local_addr().unwrap()).unwrap();
        Self { target, link, _proxies: proxies }
    }

    fn connect(&self) -> TcpStream {
        patient(TcpStream::connect(self.link.address()).unwrap())
    }

    fn pair(&self) -> (TcpStream, TcpStream) {
        let client = self.connect();
        (client, patient(self.target.accept().unwrap().0))
    }

    fn until(&self, what: &str, is_it: impl Fn(Counts) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while !is_it(self.link.counts()) {
            assert!(Instant::now() < give_up, "not {what}: {:?}", self.link.counts());
            std::thread::yield_now();
        }
    }
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Says it at one end and hears it at the other.
#[track_caller]
fn arrives(from: &mut TcpStream, to: &mut TcpStream, what: &[u8]) {
    from.write_all(what).unwrap();
    let mut heard = vec![0; what.len()];
    to.read_exact(&mut heard).unwrap();
    assert_eq!(heard, what);
}

#[track_caller]
fn is_reset(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn in_fair_weather_bytes_and_the_end_travel_both_ways() {
    let line = Line::new();
    let (mut client, mut server) = line.pair();
    arrives(&mut client, &mut server, b"there");
    arrives(&mut server, &mut client, b"back!");
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    arrives(&mut server, &mut client, b"still open this way");
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    let counts = line.link.counts();
    assert_eq!((counts.accepted, counts.there_bytes, counts.back_bytes), (1, 5, 24), "{counts:?}");
}

#[test]
fn a_black_hole_swallows_and_a_connection_that_lost_bytes_is_broken_afterwards() {
    let line = Line::new();
    let (mut client, mut server) = line.pair();
    arrives(&mut client, &mut server, b"before");
    line.link.set(Weather::black_hole());
    client.write_all(b"lost").unwrap();
    let mut stranger = line.connect();
    stranger.write_all(b"lost too").unwrap();
    line.until("swallowed", |counts| counts.swallowed_there_bytes == 12);
    line.target.set_nonblocking(true).unwrap();
    assert_eq!(line.target.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody got through");
    line.link.set(Weather::default());
    is_reset(&mut client);
    is_reset(&mut server);
    is_reset(&mut stranger);
    assert_eq!(line.link.counts().broken, 2);
}

#[test]
fn a_line_open_one_way_carries_that_way_only_and_hides_the_end() {
    let line = Line::new();
    let (mut client, mut server) = line.pair();
    line.link.set(Weather { back: Flow::Swallow, ..Weather::default() });
    server.write_all(b"lost").unwrap();
    arrives(&mut client, &mut server, b"there");
    drop(server);
    line.until("swallowed", |counts| counts.swallowed_back_bytes == 4);
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let heard = client.read(&mut [0]).unwrap_err().kind();
    assert!(matches!(heard, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{heard:?}");
}

#[test]
fn what_was_held_arrives_when_the_line_is_back() {
    let line = Line::new();
    let (mut client, mut server) = line.pair();
    line.link.set(Weather::both(Flow::Hold));
    client.write_all(b"late").unwrap();
    line.until("held", |counts| counts.held == 1);
    assert_eq!(line.link.counts().there_bytes, 0);
    line.link.set(Weather::default());
    arrives(&mut client, &mut server, b"");
    let mut heard = [0; 4];
    server.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"late");
    assert_eq!(line.link.counts().broken, 0);
}

#[test]
fn a_reset_is_one_at_both_ends() {
    let line = Line::new();
    let (mut client, mut server) = line.pair();
    arrives(&mut client, &mut server, b"x");
    line.link.reset();
    is_reset(&mut client);
    is_reset(&mut server);
    let (mut client, mut server) = line.pair();
    arrives(&mut client, &mut server, b"a new one works");
    assert_eq!(line.link.counts().resets, 1);
}

#[test]
fn an_abandoned_end_hears_nothing_until_the_link_is_reset() {
    let line = Line::new();
    let (mut client, mut server) = line.pair();
    arrives(&mut client, &mut server, b"x");
    line.link.abandon();
    is_reset(&mut client);
    server.write_all(b"into nothing").unwrap();
    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let heard = server.read(&mut [0]).unwrap_err().kind();
    assert!(matches!(heard, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{heard:?}");
    let (mut client, mut other) = line.pair();
    arrives(&mut client, &mut other, b"a new one works");
    line.link.reset();
    is_reset(&mut patient(server));
    is_reset(&mut client);
    let counts = line.link.counts();
    assert_eq!((counts.abandoned, counts.resets), (1, 1), "{counts:?}");
}

#[test]
fn a_cut_falls_into_the_frame_that_was_asked_for() {
    let line = Line::new();
    line.link.set(Weather::cut(1, 6));
    let (mut client, mut server) = line.pair();
    client.write_all(&[0, 0, 0, 1, 1, 0, 0, 0, 4, 2, 2, 2, 2]).unwrap();
    is_reset(&mut client);
    let mut heard = [0; 11];
    server.read_exact(&mut heard).unwrap();
    assert_eq!(heard, [0, 0, 0, 1, 1, 0, 0, 0, 4, 2, 2]);
    is_reset(&mut server);
    assert_eq!(line.link.counts().cuts, 1);
}

#[test]
fn who_is_refused_gets_in_at_the_same_port_later() {
    let line = Line::new();
    let (mut client, mut server) = line.pair();
    for round in 1..=3 {
        line.link.set(Weather { refuse: true, ..Weather::default() });
        line.until("deaf", |counts| counts.deaf == round);
        let refused = TcpStream::connect(line.link.address()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        arrives(&mut client, &mut server, b"those who are in stay");
        line.link.set(Weather::default());
        let give_up = Instant::now() + PATIENCE;
        while TcpStream::connect(line.link.address()).is_err() {
            assert!(Instant::now() < give_up);
        }
        drop(line.target.accept().unwrap());
    }
}

#[test]
fn slow_and_long_lines_lose_nothing() {
    let line = Line::new();
    let (mut client, mut server) = line.pair();
    let text: Vec<u8> = (0..200).collect();
    line.link.set(Weather::both(Flow::Trickle { bytes: 3, pause: Duration::from_millis(1) }));
    arrives(&mut client, &mut server, &text);
    let delay = Duration::from_millis(30);
    line.link.set(Weather::both(Flow::Delay(delay)));
    // A round trip makes sure that the new weather is there.
    arrives(&mut server, &mut client, &text);
    let sent = Instant::now();
    arrives(&mut client, &mut server, &text);
    assert!(sent.elapsed() >= delay, "no duration is too long, but this one can be too short");
    let counts = line.link.counts();
    assert!(counts.trickles >= 66 && counts.delays >= 1, "{counts:?}");
}

#[test]
fn who_asks_for_a_target_that_is_gone_is_reset() {
    let proxies = Proxies::start().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let link = proxies.link(nobody).unwrap();
    let mut client = patient(TcpStream::connect(link.address()).unwrap());
    is_reset(&mut client);
    assert_eq!(link.counts().unreachable, 1);
}

#[test]
fn a_mesh_has_a_link_for_every_ordered_pair() {
    let listeners: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let targets: Vec<SocketAddr> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let mesh = Mesh::start(&targets).unwrap();
    assert_eq!(mesh.links().count(), 6);
    let mut from_0 = patient(TcpStream::connect(mesh.link(0, 2).address()).unwrap());
    let mut at_2 = listeners[2].accept().unwrap().0;
    arrives(&mut from_0, &mut at_2, b"x");
    mesh.set(|from, _| if from == 0 { Weather::black_hole() } else { Weather::default() });
    from_0.write_all(b"y").unwrap();
    let give_up = Instant::now() + PATIENCE;
    while mesh.counts().swallowed_there_bytes == 0 {
        assert!(Instant::now() < give_up);
        std::thread::yield_now();
    }
    mesh.calm();
    is_reset(&mut from_0);
}
