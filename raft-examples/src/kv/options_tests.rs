use super::*;

fn node(args: &str) -> Result<Node, String> {
    let all = format!("raft-kv node {args}");
    let parsed = RaftKv::try_parse_from(all.split_whitespace()).map_err(|error| error.to_string())?;
    match parsed.command {
        Some(Command::Node(node)) => node.check().map(|()| node).map_err(|error| error.to_string()),
        Some(Command::Dev(_)) | None => Err("not a node".into()),
    }
}

fn dev(args: &str) -> Result<Dev, String> {
    let all = format!("raft-kv {args}");
    let parsed = RaftKv::try_parse_from(all.split_whitespace()).map_err(|error| error.to_string())?;
    let dev = match parsed.command {
        Some(Command::Dev(dev)) => dev,
        None => parsed.dev,
        Some(Command::Node(_)) => return Err("not dev".into()),
    };
    dev.check().map(|()| dev).map_err(|error| error.to_string())
}

const REST: &str = "--cluster c --data-dir d --listen 127.0.0.1:7101 --http 127.0.0.1:8101";

#[test]
fn without_a_subcommand_it_is_dev() {
    assert_eq!(dev("").unwrap().nodes, 3);
    assert_eq!(dev("--nodes 5").unwrap().nodes, 5);
    assert_eq!(dev("dev --nodes 1").unwrap().members().len(), 1);
}

#[test]
fn the_help_shows_an_example() {
    for args in ["--help", "dev --help", "node --help"] {
        let help = RaftKv::try_parse_from(format!("raft-kv {args}").split_whitespace()).unwrap_err().to_string();
        assert!(help.contains("Example"), "{help}");
    }
}

#[test]
fn a_complete_node_line_is_accepted() {
    let node = node(&format!("--id 1 {REST} --peer 1=127.0.0.1:7101 --peer 2=db-2.local:7102")).unwrap();
    assert_eq!(node.peers[1], Peer { id: 2, address: "db-2.local:7102".into() });
    assert_eq!((node.timing.election_timeout_ms, node.timing.heartbeat_ms), (1000, 100));
}

#[test]
fn a_node_that_joins_needs_no_peers() {
    assert!(node(&format!("--id 4 {REST} --join")).is_ok());
}

#[test]
fn what_is_wrong_with_a_node_line_is_said() {
    let peers = "--peer 1=127.0.0.1:7101 --peer 2=127.0.0.1:7102";
    for (line, says) in [
        (format!("--id 1 {REST}"), "--peer ID=HOST:PORT"),
        (format!("--id 3 {REST} {peers}"), "node 3 is not among"),
        (format!("--id 0 {REST} {peers}"), "0 is not in 1.."),
        (format!("--id 1 {REST} --peer 1"), "expected ID=HOST:PORT"),
        (format!("--id 1 {REST} --peer x=127.0.0.1:1"), "is not a node number"),
        (format!("--id 1 {REST} --peer 1=127.0.0.1"), "lacks a port"),
        (format!("--id 1 {REST} --peer 1=127.0.0.1:0"), "is not a port"),
        (format!("--id 1 {REST} --peer 1=:7101"), "lacks a host"),
        (format!("--id 1 {REST} --peer 1=a:1 --peer 1=b:1"), "given twice"),
        (format!("--id 1 {REST} --peer 1=a:1 --peer 2=a:1"), "same address"),
        (format!("--id 1 {REST} {peers} --heartbeat-ms 501"), "at most half of --election-timeout-ms"),
        (format!("--id 1 --data-dir d --listen 127.0.0.1:1 --http 127.0.0.1:2 {peers}"), "--cluster"),
    ] {
        let error = node(&line).unwrap_err();
        assert!(error.contains(says), "{line}: {error}");
    }
}

#[test]
fn ports_that_cannot_be_are_refused() {
    assert!(dev("--http-base 65535").unwrap_err().contains("leaves no room"));
    assert!(dev("--http-base 7103").unwrap_err().contains("overlap"));
    assert!(dev("--raft-base 0").unwrap_err().contains("0 is not in 1.."));
    assert!(dev("--nodes 0").is_err());
}
