//! The HTTP servers of nodes that run in this process, and their end.

use std::net::{SocketAddr, TcpListener};

use actix_web::{App, HttpServer};
use futures_util::future::{join_all, select_all};
use raft_actor::RaftHandle;

use super::failure::Failure;
use super::http;
use super::state_machine::Kv;

/// A node and the socket that it will be asked on.
pub(super) struct Served {
    pub(super) id: u64,
    pub(super) raft: RaftHandle<Kv>,
    pub(super) listener: TcpListener,
}

/// Takes an HTTP port, before anything else is done that would have to be undone.
pub(super) fn listen(address: SocketAddr, option: &'static str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|source| Failure::Port { address, option, source })
}

/// Serves until the process is asked to end, or a node stops by itself.
pub(super) async fn serve(nodes: Vec<Served>) -> Result<(), Failure> {
    let mut servers = Vec::new();
    let mut rafts = Vec::new();
    for Served { id, raft, listener } in nodes {
        let data = raft.clone();
        let server = HttpServer::new(move || App::new().app_data(data.clone()).configure(http::routes))
            .workers(1)
            .shutdown_timeout(2)
            .disable_signals()
            .listen(listener)?
            .run();
        servers.push((server.handle(), actix_web::rt::spawn(server)));
        rafts.push((id, raft));
    }

    let stopped = rafts.iter().map(|(id, raft)| Box::pin(async move { (*id, raft.stopped().await) }));
    let result = tokio::select! {
        signal = asked_to_end() => signal.map_err(Failure::from),
        ((id, reason), _, _) = select_all(stopped) => Err(Failure::Stopped { id, reason }),
    };

    // The nodes first: they answer everybody who still waits, so that the servers have nobody left to wait for.
    join_all(rafts.iter().map(|(_, raft)| raft.shutdown())).await;
    join_all(servers.into_iter().map(|(handle, server)| async move {
        handle.stop(true).await;
        let _ = server.await;
    }))
    .await;
    result
}

/// Ctrl-C, or on Unix also SIGTERM.
async fn asked_to_end() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
