//! A client of etcd: gRPC, which is HTTP/2 with a status behind the answer, and nothing else, so that it takes little of
//! the processors that the members need.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Method, Request, Uri, header};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use super::super::super::keys::Keys;
use super::super::super::machine::Data;
use super::super::super::options::ReadKind;
use super::super::super::target::Target;
use super::message;

/// A client of one member. Clones share its connections.
#[derive(Clone)]
pub(super) struct GrpcClient {
    connections: Rc<[SendRequest<Bytes>]>,
    turn: Rc<Cell<usize>>,
    put: Uri,
    range: Uri,
    keys: Keys,
}

impl GrpcClient {
    /// Connects so many times to the member that serves clients there. Within a `LocalSet`.
    ///
    /// # Errors
    /// If that is refused.
    pub(super) async fn connect(address: &str, connections: usize) -> io::Result<Self> {
        let uri = |method| format!("http://{address}/etcdserverpb.KV/{method}").parse().map_err(io::Error::other);
        let (put, range) = (uri("Put")?, uri("Range")?);
        let connections = try_join_all((0..connections).map(|_| open(address))).await?;
        Ok(Self { connections: connections.into(), turn: Rc::default(), put, range, keys: Keys::default() })
    }

    /// One call, on the connections in turn.
    async fn call(&self, method: &Uri, message: Bytes) -> Result<(), String> {
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        let connection = self.connections[turn % self.connections.len()].clone();
        call(connection, method, message).await.map_err(|error| error.to_string())?
    }
}

impl Target for GrpcClient {
    async fn write(&self, data: Data) -> Result<(), String> {
        self.call(&self.put, message::put(&self.keys.next(), &data.0)).await
    }

    /// All at the same time: a transaction would do something else.
    async fn write_many(&self, data: Data, writes: usize) -> Result<(), String> {
        try_join_all((0..writes).map(|_| self.write(data.clone()))).await.map(drop)
    }

    async fn read(&self, kind: ReadKind) -> Result<(), String> {
        let is_stale = match kind {
            // It has no leases that a read could rest on.
            ReadKind::Linearizable | ReadKind::Lease => false,
            ReadKind::Stale => true,
        };
        self.call(&self.range, message::range(Keys::READ, is_stale)).await
    }
}

async fn open(address: &str) -> io::Result<SendRequest<Bytes>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    // Each answer is a small frame of data; how many of those are good manners is no question here.
    let builder = Builder::new().enable_push(false).data_frame_budget(usize::MAX).clone();
    let (requests, connection) = builder.handshake(stream).await.map_err(io::Error::other)?;
    // Whoever sends requests is told why it ended.
    spawn_local(async move { drop(connection.await) });
    Ok(requests)
}

/// What the transport makes of a call, and what the member does.
async fn call(connection: SendRequest<Bytes>, method: &Uri, message: Bytes) -> Result<Result<(), String>, h2::Error> {
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = method.clone();
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, header::HeaderValue::from_static("trailers"));
    let (response, mut body) = connection.ready().await?.send_request(request, false)?;
    body.send_data(message, true)?;
    let (head, mut body) = response.await?.into_parts();
    let mut bytes = 0;
    while let Some(chunk) = body.data().await {
        let chunk = chunk?.len();
        bytes += chunk;
        body.flow_control().release_capacity(chunk)?;
    }
    // Where there is nothing but a status, it stands in front.
    let trailers = body.trailers().await?.unwrap_or(head.headers);
    Ok(match status(&trailers) {
        Some("0") if bytes > 0 => Ok(()),
        Some("0") => Err("an answer without a message".to_owned()),
        status => Err(format!("gRPC status {}: {}", status.unwrap_or("missing"), text(&trailers, "grpc-message"))),
    })
}

fn status(headers: &HeaderMap) -> Option<&str> {
    headers.get("grpc-status")?.to_str().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::Response;
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    use super::*;

    /// Answers one call as etcd would, with this status behind; returns what it was sent.
    async fn serve(listener: TcpListener, status: &'static str) -> (String, Vec<u8>) {
        let (stream, _) = listener.accept().await.expect("one connection");
        let mut connection = h2::server::handshake(stream).await.expect("a client of HTTP/2");
        let (request, mut respond) = connection.accept().await.expect("a call").expect("a whole one");
        let path = request.uri().path().to_owned();
        // The connection goes on only while somebody looks at it.
        spawn_local(async move { while connection.accept().await.is_some() {} });
        let mut body = request.into_body();
        let mut sent = Vec::new();
        while let Some(chunk) = body.data().await {
            sent.extend_from_slice(&chunk.expect("all of it"));
        }
        let mut answer = respond.send_response(Response::new(()), false).expect("the client waits");
        answer.send_data(Bytes::from_static(b"\0\0\0\0\x02\x0a\0"), false).expect("the client waits");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().expect("digits"));
        answer.send_trailers(trailers).expect("the client waits");
        (path, sent)
    }

    async fn write(status: &'static str) -> (Result<(), String>, String, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let client = async {
            let client = GrpcClient::connect(&address, 1).await.expect("somebody listens");
            client.write(Data(Bytes::from_static(b"value"))).await
        };
        let both = async { tokio::join!(client, serve(listener, status)) };
        let (written, (path, sent)) = LocalSet::new().run_until(both).await;
        (written, path, sent)
    }

    #[tokio::test]
    async fn a_write_is_a_put_of_the_next_key() {
        let (written, path, sent) = write("0").await;
        assert_eq!(written, Ok(()));
        assert_eq!(path, "/etcdserverpb.KV/Put");
        assert_eq!(sent, message::put("key-00000", b"value"));
    }

    #[tokio::test]
    async fn a_status_behind_the_answer_that_says_no_is_an_error() {
        let (written, _, _) = write("14").await;
        assert_eq!(written, Err("gRPC status 14: ".to_owned()));
    }
}
