//! Connections through the environment's network.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ferula_env::{Clock, net, spawn};
use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Executor, Sleep, Timer};
use hyper_util::rt::TokioIo;
use tower::Service;

use crate::error::dial_text;

/// Opens plain TCP connections.
#[derive(Clone, Debug)]
pub(crate) struct Connector;

/// A connection that could not be made: the address and the reason, in Go's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DialError(pub(crate) String);

impl Service<Uri> for Connector {
    type Response = TokioIo<net::TcpStream>;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let authority = authority(&uri).map_err(DialError)?;
            let connected: io::Result<net::TcpStream> = net::connect(&authority).await;
            connected
                .map(TokioIo::new)
                .map_err(|e| DialError(dial_text(&authority, &e)))
        })
    }
}

/// `host:port` to connect to; the URI type lets ports through that are none.
fn authority(uri: &Uri) -> Result<String, String> {
    let host = uri.host().unwrap_or_default();
    let after = uri.authority().map_or("", |a| a.as_str());
    let after = after.rsplit_once('@').map_or(after, |(_, host)| host);
    let port = after.strip_prefix(host).unwrap_or_default();
    match port.strip_prefix(':').unwrap_or_default() {
        "" => Ok(format!("{host}:80")),
        digits if digits.parse::<u16>().is_ok() => Ok(format!("{host}:{digits}")),
        _ => Err(format!("{host}: invalid port \"{port}\" after host")),
    }
}

/// Runs the connections' tasks through the environment.
#[derive(Clone, Debug)]
pub(crate) struct Tasks;

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        // The task ends when its connection does.
        drop(spawn::task(future));
    }
}

/// Waits on the environment's clock, for closing idle connections.
#[derive(Clone, Debug)]
pub(crate) struct ClockTimer(pub(crate) Arc<dyn Clock>);

impl Timer for ClockTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(ClockSleep(parking_lot::Mutex::new(self.0.sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }
}

/// The mutex is never contended: it makes a future that only its owner polls shareable, which
/// hyper asks for.
struct ClockSleep(parking_lot::Mutex<BoxFuture<'static, ()>>);

impl Future for ClockSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.get_mut().as_mut().poll(cx)
    }
}

impl Sleep for ClockSleep {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        for (uri, expected) in [
            ("http://h/", Ok("h:80")),
            ("http://h:/", Ok("h:80")),
            ("http://u@[::1]:9/x", Ok("[::1]:9")),
            (
                "http://h:http/",
                Err("h: invalid port \":http\" after host"),
            ),
            (
                "http://h:99999/",
                Err("h: invalid port \":99999\" after host"),
            ),
        ] {
            let uri: Uri = uri.parse().expect("the type takes it");
            let got = authority(&uri);
            assert_eq!(got.as_deref().map_err(String::as_str), expected);
        }
    }
}
