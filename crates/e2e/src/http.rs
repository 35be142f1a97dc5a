//! A blocking HTTP/1.1 client: one connection, one request at a time, no retries, no redirects.
//!
//! A test must see exactly what the server did, so nothing is repeated or repaired here.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may be silent before a request counts as failed.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What to send.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`, ….
    pub method: &'a str,
    /// Path and query string.
    pub path: &'a str,
    /// Headers beyond `Host` and `Content-Length`.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body; empty for none.
    pub body: &'a [u8],
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body with chunking removed, still compressed if it came so.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header named in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text, gzip undone.
    pub fn text(&self) -> String {
        let mut plain = Vec::new();
        if self.header("content-encoding") == Some("gzip") {
            let mut decoder = flate2::read::GzDecoder::new(self.body.as_slice());
            if let Err(e) = decoder.read_to_end(&mut plain) {
                return format!("<the body is not gzip: {e}>");
            }
        } else {
            plain.extend_from_slice(&self.body);
        }
        String::from_utf8_lossy(&plain).into_owned()
    }
}

/// A connection to one server, opened at the first request and again after an error.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    /// A client that connects when first used.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Sends a `GET`.
    ///
    /// # Errors
    /// When the connection fails before a whole response arrived.
    pub fn get(&mut self, path: &str) -> Result<Response> {
        self.send(&Request {
            method: "GET",
            path,
            headers: &[],
            body: &[],
        })
    }

    /// Sends a form with `POST`.
    ///
    /// # Errors
    /// When the connection fails before a whole response arrived.
    pub fn post_form(&mut self, path: &str, form: &[(&str, &str)]) -> Result<Response> {
        self.send(&Request {
            method: "POST",
            path,
            headers: &[("Content-Type", "application/x-www-form-urlencoded")],
            body: encode_form(form).as_bytes(),
        })
    }

    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// When the connection fails before a whole response arrived; whether the server acted on the
    /// request is then unknown.
    pub fn send(&mut self, request: &Request<'_>) -> Result<Response> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        // A server may refuse a body before it has read all of it: its answer counts.
        let sent = write_request(stream.get_mut(), request);
        match (read_response(&mut stream, request.method), sent) {
            (Ok(response), sent) => {
                let close = response.header("connection") == Some("close");
                if sent.is_ok() && !close {
                    self.stream = Some(stream);
                }
                Ok(response)
            }
            (Err(_), Err(e)) | (Err(e), Ok(())) => Err(e),
        }
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(BufReader::new(stream))
    }
}

fn write_request(stream: &mut TcpStream, request: &Request<'_>) -> Result<()> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
    head.push_str("Host: localhost\r\n");
    for (name, value) in request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", request.body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(request.body)
}

fn read_response(stream: &mut BufReader<TcpStream>, method: &str) -> Result<Response> {
    let status_line = read_line(stream)?;
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| broken(&format!("status line `{status_line}`")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken(&line))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response {
        status,
        headers,
        body: Vec::new(),
    };
    if method == "HEAD" || status == 204 || status == 304 {
        return Ok(response);
    }
    if response.header("transfer-encoding") == Some("chunked") {
        loop {
            let size = read_line(stream)?;
            let size = usize::from_str_radix(&size, 16).map_err(|_| broken(&size))?;
            read_exactly(stream, size, &mut response.body)?;
            read_line(stream)?;
            if size == 0 {
                return Ok(response);
            }
        }
    }
    match response.header("content-length").map(str::parse::<usize>) {
        Some(Ok(size)) => read_exactly(stream, size, &mut response.body)?,
        Some(Err(_)) => return Err(broken("content-length")),
        None => {
            stream.read_to_end(&mut response.body)?;
        }
    }
    Ok(response)
}

fn read_exactly(stream: &mut BufReader<TcpStream>, size: usize, body: &mut Vec<u8>) -> Result<()> {
    let start = body.len();
    body.resize(start + size, 0);
    stream.read_exact(&mut body[start..])
}

fn read_line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not HTTP: {what}"))
}

/// Writes `name=value` pairs as a form body or query string.
pub fn encode_form(form: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = form
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
        .collect();
    pairs.join("&")
}

/// Escapes everything that is not surely plain.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
