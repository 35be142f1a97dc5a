//! The client against servers on the loopback that say exactly what the test tells them.
#![allow(clippy::unwrap_used)] // helpers outside of test functions

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferula_env::{ManualClock, SystemClock, net, spawn};
use ferula_httpclient::{Client, Error, Get, Response, Settings};
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A server that answers every request with what `answer` makes of it; an empty answer closes
/// the connection.
struct Server {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
}

async fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Server {
    let listener = net::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let answer = Arc::new(answer);
    spawn::task(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = Arc::clone(&answer);
            spawn::task(async move {
                let mut seen = Vec::new();
                while stream.read_buf(&mut seen).await.unwrap_or(0) > 0 {
                    let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") else {
                        continue;
                    };
                    let request: Vec<u8> = seen.drain(..end + 4).collect();
                    let out = answer(&String::from_utf8(request).unwrap());
                    if out.is_empty() || stream.write_all(&out).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Server { addr, connections }
}

fn ok(extra: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let mut out = format!("HTTP/1.1 200 OK\r\n{extra}Content-Length: {len}\r\n\r\n").into_bytes();
    out.extend_from_slice(body);
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn client() -> Client {
    let follow_redirects = true;
    Client::new(SystemClock::shared(), Settings { follow_redirects })
}

async fn get_limited(client: &Client, url: &str, limit: u64) -> Result<(Response, Vec<u8>), Error> {
    let mut out = b"left over".to_vec();
    let get = Get {
        url: &url.parse().unwrap(),
        headers: &HeaderMap::new(),
        timeout: Duration::from_secs(20),
        body_limit_bytes: limit,
    };
    let response = client.get(get, &mut out).await?;
    Ok((response, out))
}

async fn get(client: &Client, url: &str) -> Result<(Response, Vec<u8>), Error> {
    get_limited(client, url, u64::MAX).await
}

#[tokio::test]
async fn fetches_over_one_kept_connection() {
    let server = serve(|request| {
        assert!(
            request.starts_with("GET /metrics?x=1 HTTP/1.1\r\n"),
            "{request}"
        );
        ok("Content-Type: text/plain\r\n", b"up 1\n")
    })
    .await;
    let client = client();
    for _ in 0..3 {
        let url = format!("http://{}/metrics?x=1", server.addr);
        let (response, body) = get(&client, &url).await.unwrap();
        assert_eq!(response.content_type(), "text/plain");
        assert_eq!(body, b"up 1\n");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn sends_the_headers_given() {
    let server = serve(|request| ok("", request.to_lowercase().as_bytes())).await;
    let mut headers = HeaderMap::new();
    headers.insert("accept", "text/plain;q=0.5".parse().unwrap());
    let url = format!("http://{}/", server.addr).parse().unwrap();
    let get = Get {
        url: &url,
        headers: &headers,
        timeout: Duration::from_secs(20),
        body_limit_bytes: u64::MAX,
    };
    let mut out = Vec::new();
    client().get(get, &mut out).await.unwrap();
    let seen = String::from_utf8(out).unwrap();
    let host = format!("host: {}\r\n", server.addr);
    assert!(
        seen.contains("accept: text/plain;q=0.5\r\n") && seen.contains(&host),
        "{seen}"
    );
}

#[tokio::test]
async fn unpacks_gzip() {
    let text = "metric{label=\"value\"} 1\n".repeat(10_000);
    let packed = gzip(text.as_bytes());
    let server = serve(move |_| ok("Content-Encoding: gzip\r\n", &packed)).await;
    let (_, body) = get(&client(), &format!("http://{}/", server.addr))
        .await
        .unwrap();
    assert!(body == text.as_bytes());
}

#[tokio::test]
async fn reads_chunks() {
    let server = serve(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            .to_vec()
    })
    .await;
    let (_, body) = get(&client(), &format!("http://{}/", server.addr))
        .await
        .unwrap();
    assert_eq!(body, b"abcde");
}

#[tokio::test]
async fn the_limit_counts_uncompressed_bytes() {
    let plain = vec![b'x'; 1_000];
    let packed = gzip(&plain);
    let bomb = gzip(&vec![0u8; 50 << 20]);
    let server = serve(move |request| match request.split(' ').nth(1) {
        Some("/gzip") => ok("Content-Encoding: gzip\r\n", &packed),
        Some("/bomb") => ok("Content-Encoding: gzip\r\n", &bomb),
        Some("/chunked") => {
            let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n".to_vec();
            out.extend_from_slice(&plain);
            out.extend_from_slice(b"\r\n0\r\n\r\n");
            out
        }
        _ => ok("", &plain),
    })
    .await;
    let client = client();
    for path in ["plain", "gzip", "chunked"] {
        let url = format!("http://{}/{path}", server.addr);
        assert_eq!(
            get_limited(&client, &url, 1_001).await.unwrap().1.len(),
            1_000
        );
        let error = get_limited(&client, &url, 1_000).await.unwrap_err();
        assert_eq!(error.to_string(), "body size limit exceeded", "{path}");
    }
    let url = format!("http://{}/bomb", server.addr);
    let error = get_limited(&client, &url, 10_000).await.unwrap_err();
    assert!(matches!(error, Error::BodyTooLarge), "{error}");
}

#[tokio::test]
async fn damaged_gzip_is_named() {
    let whole = gzip(&b"metric 1\n".repeat(1_000));
    let cut = whole[..whole.len() - 12].to_vec();
    let server = serve(move |request| {
        let body: &[u8] = if request.starts_with("GET /cut") {
            &cut
        } else {
            b"not gzip at all"
        };
        ok("Content-Encoding: gzip\r\n", body)
    })
    .await;
    for path in ["cut", "none"] {
        let error = get(&client(), &format!("http://{}/{path}", server.addr))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Gzip(_)), "{path}: {error}");
    }
}

#[tokio::test]
async fn follows_redirects_to_an_end() {
    let server = serve(|request| match request.split(' ').nth(1) {
        Some("/done") => ok("", b"here"),
        Some("/loop") => {
            b"HTTP/1.1 302 Found\r\nLocation: loop\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
        _ => b"HTTP/1.1 301 M\r\nLocation: /done\r\nContent-Length: 2\r\n\r\nno".to_vec(),
    })
    .await;
    let base = format!("http://{}", server.addr);
    let (_, body) = get(&client(), &format!("{base}/start")).await.unwrap();
    assert_eq!(body, b"here");
    let error = get(&client(), &format!("{base}/loop")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Get \"{base}/loop\": stopped after 10 redirects")
    );
    let follow_redirects = false;
    let stay = Client::new(SystemClock::shared(), Settings { follow_redirects });
    let error = get(&stay, &format!("{base}/start")).await.unwrap_err();
    assert_eq!(error.to_string(), "server returned HTTP status 301 M");
}

#[tokio::test]
async fn speaks_of_failures_as_users_know_them() {
    let server = serve(|request| match request.split(' ').nth(1) {
        Some("/500") => {
            b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 1\r\n\r\nx".to_vec()
        }
        Some("/cut") => {
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nx".to_vec()
        }
        Some("/hang") => Vec::new(),
        _ => b"SMTP hello\r\n\r\n".to_vec(),
    })
    .await;
    let base = format!("http://{}", server.addr);
    let gone = net::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let free = gone.local_addr().unwrap();
    drop(gone);
    let client = client();
    for (url, expected) in [
        (
            format!("{base}/500"),
            "server returned HTTP status 500 Internal Server Error".to_owned(),
        ),
        (format!("{base}/hang"), format!("Get \"{base}/hang\": EOF")),
        (
            format!("http://{free}/metrics"),
            format!("Get \"http://{free}/metrics\": dial tcp {free}: connect: connection refused"),
        ),
        (
            "https://127.0.0.1:1/".to_owned(),
            "Get \"https://127.0.0.1:1/\": only plain http is served yet, TLS is not".to_owned(),
        ),
    ] {
        assert_eq!(get(&client, &url).await.unwrap_err().to_string(), expected);
    }
    let error = get(&client, &format!("{base}/smtp")).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn the_timeout_covers_the_body() {
    let server = serve(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nslow".to_vec()).await;
    let clock = ManualClock::at(0);
    let follow_redirects = true;
    let client = Client::new(clock.clone(), Settings { follow_redirects });
    let url = format!("http://{}/", server.addr);
    let request = spawn::task({
        let url = url.clone();
        async move {
            let mut out = Vec::new();
            let get = Get {
                url: &url.parse().unwrap(),
                headers: &HeaderMap::new(),
                timeout: Duration::from_secs(10),
                body_limit_bytes: u64::MAX,
            };
            client.get(get, &mut out).await.map(|_| ())
        }
    });
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(10));
    let error = request.await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Get \"{url}\": context deadline exceeded")
    );
}
