//! One request, redirects followed.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferula_env::Clock;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper_util::client::legacy;

use crate::body::{self, BODY_BYTES_MAX, protocol_text};
use crate::connect::{ClockTimer, Connector, DialError, Tasks};
use crate::error::Error;
use crate::redirect::{REDIRECTS_MAX, resolve};

/// How long a connection may lie idle before it is closed.
const IDLE_MAX: Duration = Duration::from_secs(5 * 60);

/// Idle connections kept per host and port: a target is fetched by one scrape at a time, two
/// leave room for one being replaced.
const IDLE_PER_HOST_MAX: usize = 2;

/// What a connection reads at once, and keeps as a buffer while idle; headers must fit, too.
const READ_BYTES_MAX: usize = 32 << 10;

/// How much of the body of a refusal is read so that its connection can be used again.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether redirects are followed; if not, they are answers other than 200.
    pub follow_redirects: bool,
}

/// What to fetch.
#[derive(Clone, Copy, Debug)]
pub struct Get<'a> {
    /// Where, with scheme, host and path.
    pub url: &'a Uri,
    /// The request's headers, sent as they are; `Host` is added.
    pub headers: &'a HeaderMap,
    /// Bounds connecting, waiting and reading together.
    pub timeout: Duration,
    /// A body of this many uncompressed bytes is too large; [`BODY_BYTES_MAX`] holds anyway.
    pub body_limit_bytes: u64,
}

/// An answer with status 200.
#[derive(Debug)]
pub struct Response {
    /// Its headers.
    pub headers: HeaderMap,
}

impl Response {
    /// The `Content-Type`, empty if there is none or it is no text.
    pub fn content_type(&self) -> &str {
        let value = self.headers.get(header::CONTENT_TYPE);
        value.and_then(|v| v.to_str().ok()).unwrap_or("")
    }
}

/// A pool of connections and the way to use them. Cheap to clone; clones share the pool.
#[derive(Clone, Debug)]
pub struct Client {
    http: legacy::Client<Connector, Empty<Bytes>>,
    clock: Arc<dyn Clock>,
    settings: Settings,
}

impl Client {
    /// A client with an empty pool.
    pub fn new(clock: Arc<dyn Clock>, settings: Settings) -> Self {
        let http = legacy::Client::builder(Tasks)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .http1_max_buf_size(READ_BYTES_MAX)
            .pool_timer(ClockTimer(Arc::clone(&clock)))
            .build(Connector);
        Self {
            http,
            clock,
            settings,
        }
    }

    /// Fetches `get.url` and replaces `out` with the body, uncompressed. Anything but a
    /// complete answer with status 200 in time is an error; `out` is then of no meaning.
    pub async fn get(&self, get: Get<'_>, out: &mut Vec<u8>) -> Result<Response, Error> {
        let work = self.follow(get, out);
        match ferula_env::timeout(&*self.clock, get.timeout, work).await {
            Ok(answer) => answer,
            Err(ferula_env::Elapsed) => Err(Error::Timeout {
                url: get.url.clone(),
            }),
        }
    }

    async fn follow(&self, get: Get<'_>, out: &mut Vec<u8>) -> Result<Response, Error> {
        let mut url = get.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.send(&url, get.headers).await?;
            if self.settings.follow_redirects
                && let Some(next) = redirect_target(&url, &response)?
            {
                discard(response.into_body()).await;
                url = next;
                continue;
            }
            if response.status() != StatusCode::OK {
                let error = Error::Status(status_text(&response));
                discard(response.into_body()).await;
                return Err(error);
            }
            let (head, incoming) = response.into_parts();
            let limit = get.body_limit_bytes.min(BODY_BYTES_MAX);
            body::read(&url, &head.headers, incoming, limit, out).await?;
            return Ok(Response {
                headers: head.headers,
            });
        }
        Err(Error::Protocol {
            url,
            why: format!("stopped after {REDIRECTS_MAX} redirects"),
        })
    }

    /// One request. A connection that the other side closed just as it was to be used again is
    /// tried once more: a `GET` may be repeated.
    async fn send(
        &self,
        url: &Uri,
        headers: &HeaderMap,
    ) -> Result<http::Response<Incoming>, Error> {
        if url.scheme_str() != Some("http") {
            return Err(Error::Unsupported {
                url: url.clone(),
                what: "only plain http is served yet, TLS is not",
            });
        }
        let mut again = true;
        loop {
            let error = match self.http.request(request(url, headers)).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let cause = error.source();
            if let Some(dial) = cause.and_then(|c| c.downcast_ref::<DialError>()) {
                return Err(Error::Connect {
                    url: url.clone(),
                    why: dial.0.clone(),
                });
            }
            let hyper = cause.and_then(|c| c.downcast_ref::<hyper::Error>());
            if again && hyper.is_some_and(hyper::Error::is_incomplete_message) {
                again = false;
                continue;
            }
            return Err(Error::Protocol {
                url: url.clone(),
                why: hyper.map_or_else(|| error.to_string(), protocol_text),
            });
        }
    }
}

fn request(url: &Uri, headers: &HeaderMap) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = url.clone();
    request.headers_mut().clone_from(headers);
    request
}

/// Where `response` sends us, if it does.
fn redirect_target(url: &Uri, response: &http::Response<Incoming>) -> Result<Option<Uri>, Error> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(header::LOCATION) else {
        return Ok(None);
    };
    let target = location.to_str().ok().and_then(|l| resolve(url, l));
    target.map(Some).ok_or_else(|| Error::Protocol {
        url: url.clone(),
        why: format!("failed to parse Location header {location:?}"),
    })
}

/// `500 Internal Server Error`, with the server's own words if it has any.
fn status_text(response: &http::Response<Incoming>) -> String {
    let code = response.status();
    let own = response.extensions().get::<ReasonPhrase>();
    let own = own.and_then(|r| std::str::from_utf8(r.as_bytes()).ok());
    match own.or(code.canonical_reason()) {
        Some(reason) => format!("{} {reason}", code.as_u16()),
        None => code.as_u16().to_string(),
    }
}

/// Reads a short rest, so that the connection can be used again; a long one is not worth it.
async fn discard(mut body: Incoming) {
    let mut left = REFUSAL_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let len = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(len) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
