//! Reading a body into a buffer, unpacked, and not a byte more than allowed.

use std::io::{self, Write};

use bytes::Buf;
use flate2::write::MultiGzDecoder;
use http::{HeaderMap, Uri, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::Error;
use crate::error::plain;

/// The largest uncompressed body, whatever the caller allows: 1 GiB.
pub const BODY_BYTES_MAX: u64 = 1 << 30;

/// Compressed bytes beyond the limit for uncompressed ones that are still read: a gzip stream
/// that is longer than what it holds by more than this is no honest one.
const GZIP_OVERHEAD_BYTES_MAX: u64 = 1 << 20;

/// Replaces `out` with the body, gunzipped if `headers` say so. A body of `limit` bytes or more
/// is [`Error::BodyTooLarge`], and no more than that is read.
pub(crate) async fn read(
    url: &Uri,
    headers: &HeaderMap,
    mut body: Incoming,
    limit: u64,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    out.clear();
    let gzip = headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|v| v.as_bytes() == b"gzip");
    let sink = Limited { out, limit };
    if gzip {
        let mut decoder = MultiGzDecoder::new(sink);
        let mut compressed = 0u64;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|e| broken(url, &e))?.into_data() else {
                continue;
            };
            compressed += data.len() as u64;
            if compressed > limit.saturating_add(GZIP_OVERHEAD_BYTES_MAX) {
                return Err(Error::BodyTooLarge);
            }
            decoder.write_all(&data).map_err(|e| unpack_error(&e))?;
        }
        decoder.try_finish().map_err(|e| unpack_error(&e))?;
        return Ok(());
    }
    let mut sink = sink;
    if let Some(size) = body.size_hint().exact() {
        if size >= limit {
            return Err(Error::BodyTooLarge);
        }
        // Bounded by the limit just checked; only what the server says it will send.
        sink.out.reserve(size.min(PREALLOCATE_BYTES_MAX) as usize);
    }
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|e| broken(url, &e))?.into_data() else {
            continue;
        };
        sink.write_all(data.chunk())
            .map_err(|_| Error::BodyTooLarge)?;
    }
    Ok(())
}

/// How much is set aside on the word of a `Content-Length` alone.
const PREALLOCATE_BYTES_MAX: u64 = 1 << 20;

/// Grows a buffer to less than `limit` bytes.
struct Limited<'a> {
    out: &'a mut Vec<u8>,
    limit: u64,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.out.len() + bytes.len()) as u64 >= self.limit {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unpack_error(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::FileTooLarge => Error::BodyTooLarge,
        io::ErrorKind::UnexpectedEof => Error::Gzip("unexpected EOF".to_owned()),
        _ => Error::Gzip(error.to_string()),
    }
}

/// The body stopped before its end.
fn broken(url: &Uri, error: &hyper::Error) -> Error {
    let why = if error.is_incomplete_message() || error.is_body_write_aborted() {
        "unexpected EOF".to_owned()
    } else {
        protocol_text(error)
    };
    Error::Protocol {
        url: url.clone(),
        why,
    }
}

/// What hyper says, down to the operating system's reason.
pub(crate) fn protocol_text(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "EOF".to_owned();
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
                _ => plain(&io.to_string()),
            };
        }
        cause = inner.source();
    }
    error.to_string()
}
