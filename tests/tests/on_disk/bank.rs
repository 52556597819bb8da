//! A host with a register on its disk, and a client that numbers its writes, never forgets an answer, and knows what they
//! have to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use raft_actor::log_storage::disk::Disk;
use raft_actor::log_storage::sim_disk::SimDisk;
use raft_actor::transport::LocalNetwork;
use raft_actor::{HostBuilder, RaftHandle, RaftHost, StartError, WriteError};
use raft_tests::register::{Command, DiskRegister, Get, Key, Response, Value};

pub(crate) type Handle = RaftHandle<DiskRegister>;

/// A host that is its whole cluster and takes a snapshot of every few entries.
pub(crate) fn host(process: Arc<dyn Disk>) -> HostBuilder {
    RaftHost::builder()
        .node(1)
        .disk(process)
        .data_dir("/data")
        .log_segment_bytes(64 << 10)
        .transport(LocalNetwork::default().transport(1))
        .peers([(1, "local:1")])
        .snapshot_every(7)
        .log_tail(0)
}

pub(crate) async fn start(disk: &SimDisk) -> Result<Handle, StartError> {
    let process = disk.process();
    host(Arc::clone(&process)).start(DiskRegister::open(process)).await
}

/// Ends it, as a crash of the process does: nothing of it reaches the disk any more.
pub(crate) async fn kill(disk: &SimDisk, raft: Handle) {
    disk.kill_process();
    let stopped = raft.stopped();
    drop(raft);
    stopped.await;
}

/// One client. Its writes get numbers from one on.
#[derive(Default)]
pub(crate) struct Till {
    /// What was asked, and what was answered, as far as it was.
    asked: Vec<(Key, Option<Response>)>,
}

impl Till {
    fn command(&self, number: usize) -> Command {
        Command::Put { key: self.asked[number].0, value: number as Value + 1, filler: "x".repeat(40) }
    }

    /// Writes something new.
    pub(crate) async fn write(&mut self, raft: &Handle) -> Result<(), WriteError> {
        let number = self.asked.len();
        self.asked.push((number as Key % 5, None));
        self.ask(raft, number).await
    }

    async fn ask(&mut self, raft: &Handle, number: usize) -> Result<(), WriteError> {
        let answer = raft.write_once("till", number as u64 + 1, self.command(number)).await?;
        let first = self.asked[number].1.get_or_insert(answer);
        assert_eq!(*first, answer, "write {number} was answered otherwise before");
        Ok(())
    }

    /// Asks for everything again that it ever asked for; then all of it was applied, each once, in its order.
    pub(crate) async fn check(&mut self, raft: &Handle) {
        let mut values = BTreeMap::new();
        for number in 0..self.asked.len() {
            self.ask(raft, number).await.expect("it works");
            let (key, answer) = self.asked[number];
            let previous = values.insert(key, number as Value + 1);
            assert_eq!(answer, Some(Response::Changed { previous }), "write {number}");
        }
        for (key, value) in values {
            assert_eq!(raft.read(Get(key)).await.expect("it works"), Some(value), "key {key}");
        }
    }
}
