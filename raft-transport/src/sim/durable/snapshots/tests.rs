use std::time::Duration;

use raft_actor::{ApplyContext, Settings, StateMachine};

use super::*;
use crate::sim::SimCluster;

#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
struct Lines(Vec<String>);

impl StateMachine for Lines {
    type Command = String;
    type Response = ();
    type Query = ();
    type Answer = usize;

    fn apply(&mut self, _: &mut ApplyContext<'_>, line: String) {
        self.0.push(line);
    }

    fn query(&self, (): ()) -> usize {
        self.0.len()
    }
}

#[test]
fn what_the_store_wrote_is_read_by_the_document_and_no_changed_bit_is_believed() {
    let settings = Settings { snapshot_entries: 5, ..Settings::default() };
    let cluster = SimCluster::<Lines>::of(1).settings(settings);
    let played = cluster.direct(3, |sim| {
        sim.run_for(Duration::from_secs(5))?;
        for number in 0..12 {
            sim.write(1, format!("line {number}"));
            sim.run_for(Duration::from_millis(50))?;
        }
        let disk = sim.node(1.into()).disk.clone();
        let group = GroupId::new(1);
        let directory = format!("{}/{group}", crate::sim::disks::SNAPSHOT_DIRECTORY);
        let mut reader = SnapshotReader::new(disk.clone(), directory, group);
        assert!(reader.follow().unwrap());
        assert!(!reader.follow().unwrap(), "nothing has changed since");
        let newest = reader.newest().unwrap().clone();
        assert!(newest.position.index >= LogIndex::new(10), "{newest:?}");
        assert!(newest.configuration.is_voter(1.into()));
        let (applied, lines) = newest.machine.split_first_chunk().expect("the witness saves the index first");
        assert_eq!(u64::from_le_bytes(*applied), newest.position.index.get());
        let lines: Lines = rmp_serde::from_slice(lines).expect("what the machine saved, and nothing else");
        assert_eq!(lines.0[..3], ["line 0", "line 1", "line 2"]);
        assert!(!newest.sessions.is_empty(), "also nobody's answers are something");
        let path = reader.newest_name().unwrap();
        let bytes = disk.with_durable(&path, <[u8]>::to_vec).unwrap();
        assert_eq!(read(&path, &bytes, group), Ok(newest));
        assert!(read(&path, &bytes, GroupId::new(2)).is_err());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(read(&path, &changed, group).is_err(), "byte {at}");
            assert!(read(&path, &bytes[..at], group).is_err(), "cut at {at}");
        }
        Ok(())
    });
    played.unwrap_or_else(|failure| panic!("{failure}"));
}
