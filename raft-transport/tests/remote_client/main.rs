//! The remote client: before real hosts, and before nodes made by hand that lose and refuse what it asks.
//!
//! Nothing here waits for a time to pass: every test waits for something to happen. No actix System runs on the
//! threads of the client.

mod fake;
mod groups;
mod hosts;
mod lost_and_refused;
mod machine;
mod whole_clusters;
