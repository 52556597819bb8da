use clap::Parser;

use super::*;

async fn refused(arguments: &[&str]) -> String {
    let options = [&["raft-bench", "--peer", "etcd"], arguments].concat();
    let options = RaftBench::try_parse_from(options).expect("valid");
    compare(&options, &mut Report::new(true)).await.expect_err("it does not run").to_string()
}

#[cfg(not(feature = "etcd"))]
#[tokio::test]
async fn a_build_that_does_not_speak_to_etcd_says_how_to_get_one_that_does() {
    let refused = refused(&[]).await;
    assert!(refused.contains("cargo build --release -p raft-examples --features etcd"), "{refused}");
}

#[cfg(feature = "etcd")]
#[tokio::test]
async fn where_etcd_is_missing_the_error_says_how_to_get_it() {
    let refused = refused(&["--etcd", "/nowhere/etcd"]).await;
    for part in ["/nowhere/etcd", "etcd-server", "--etcd PROGRAM"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
}
