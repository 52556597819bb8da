//! Links between all nodes of a cluster.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use super::{Counts, Link, Proxies, Weather};

/// A link for every ordered pair of nodes, which are numbered from 0.
#[derive(Debug)]
pub struct Mesh {
    links: BTreeMap<(usize, usize), Link>,
    _proxies: Proxies,
}

impl Mesh {
    /// Opens links between nodes that listen at `targets`.
    ///
    /// # Errors
    /// If there are no ports left.
    pub fn start(targets: &[SocketAddr]) -> io::Result<Self> {
        let proxies = Proxies::start()?;
        let mut links = BTreeMap::new();
        for from in 0..targets.len() {
            for (to, target) in targets.iter().enumerate().filter(|(to, _)| *to != from) {
                links.insert((from, to), proxies.link(*target)?);
            }
        }
        Ok(Self { links, _proxies: proxies })
    }

    /// The link over which `from` connects to `to`.
    ///
    /// # Panics
    /// If they are the same, or not there.
    #[track_caller]
    pub fn link(&self, from: usize, to: usize) -> &Link {
        self.links.get(&(from, to)).expect("two different nodes of the mesh")
    }

    /// All links: from, to, and what lies between.
    pub fn links(&self) -> impl Iterator<Item = (usize, usize, &Link)> + Clone {
        self.links.iter().map(|((from, to), link)| (*from, *to, link))
    }

    /// Gives each link its weather.
    pub fn set(&self, weather: impl Fn(usize, usize) -> Weather) {
        for (from, to, link) in self.links() {
            link.set(weather(from, to));
        }
    }

    /// All links are well again.
    pub fn calm(&self) {
        self.set(|_, _| Weather::default());
    }

    /// What has happened so far, on all links together.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for link in self.links.values() {
            sum += link.counts();
        }
        sum
    }
}
