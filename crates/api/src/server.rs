//! The accept loop: connection limit, header timeout, orderly end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use ferula_env::{Clock, net::TcpListener, spawn};
use futures::future::{Either, select};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use crate::asker::ClientAddress;

/// How the server treats connections.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// Connections served at once (`--web.max-connections`); more wait in the kernel.
    pub connections_max: usize,
    /// How long a client may take to send a request's head (`--web.read-timeout`).
    pub read_timeout: Duration,
    /// How long requests may go on once the server stops.
    pub drain_timeout: Duration,
}

/// Serves `router` on `listener` until `stop` resolves, then lets requests finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: ServerSettings,
    clock: Arc<dyn Clock>,
    stop: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(settings.connections_max));
    let graceful = GracefulShutdown::new();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.read_timeout);
    let mut stop = pin!(stop);
    loop {
        let accepted = pin!(async {
            let permit = room.clone().acquire_owned().await;
            (permit, listener.accept().await)
        });
        let (permit, accepted) = match select(accepted, stop.as_mut()).await {
            Either::Left((accepted, _)) => accepted,
            Either::Right(_) => break,
        };
        let (stream, client) = match accepted {
            Ok((stream, address)) => (stream, ClientAddress(address.ip())),
            Err(error) => {
                // Out of file descriptors, say: wait for connections to end instead of spinning.
                warn!(%error, "cannot accept a connection");
                clock.sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "cannot switch off delayed sending");
        }
        let named = router
            .clone()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(client);
                request
            });
        let service = TowerToHyperService::new(named);
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let connection = graceful.watch(connection);
        spawn::task(async move {
            // A client that breaks its connection is its own affair.
            if let Err(error) = connection.await {
                debug!(%error, "connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    if ferula_env::timeout(&*clock, settings.drain_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        warn!("requests still running at the end of the drain timeout are cut off");
    }
}
