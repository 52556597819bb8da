use super::*;

#[test]
fn the_write_ahead_log_keeps_the_contract() {
    let directory = temporary();
    contract::check(|place| {
        Wal::open(directory.path().join(place.to_string()), WalOptions::default()).expect("the log opens")
    });
}

#[test]
fn the_write_ahead_log_keeps_the_contract_with_tiny_segments() {
    let directory = temporary();
    contract::check(|place| open(&directory.path().join(place.to_string())));
}
