//! Compression of answers, negotiated as the reference does.

use std::io::Write as _;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response, header};
use axum::middleware::Next;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http_body_util::BodyExt as _;

/// Below this many bytes, compressing costs more than it saves.
const COMPRESS_BYTES_MIN: usize = 256;

/// Compressing an answer must not cost more than finding it.
const LEVEL: Compression = Compression::new(1);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Encoding {
    Gzip,
    Deflate,
}

/// The first token, left to right, that is exactly one we have; parameters are not understood.
fn negotiated(accept: &str) -> Option<Encoding> {
    accept.split(',').find_map(|token| match token.trim() {
        "gzip" => Some(Encoding::Gzip),
        "deflate" => Some(Encoding::Deflate),
        _ => None,
    })
}

/// Middleware that compresses what the handlers answer.
pub(crate) async fn layer(request: Request, next: Next) -> Response<Body> {
    let accept = request
        .headers()
        .get(header::ACCEPT_ENCODING)
        .and_then(|v| v.to_str().ok());
    let encoding = accept.and_then(negotiated);
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let Some(encoding) = encoding else {
        return response;
    };
    let (mut parts, body) = response.into_parts();
    // Handlers answer with whole bodies, so there is nothing to wait for.
    let Ok(body) = body.collect().await else {
        return Response::from_parts(parts, Body::empty());
    };
    let plain = body.to_bytes();
    if plain.len() < COMPRESS_BYTES_MIN {
        return Response::from_parts(parts, Body::from(plain));
    }
    let (word, packed) = match encoding {
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), LEVEL);
            (
                "gzip",
                encoder.write_all(&plain).and_then(|()| encoder.finish()),
            )
        }
        Encoding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), LEVEL);
            (
                "deflate",
                encoder.write_all(&plain).and_then(|()| encoder.finish()),
            )
        }
    };
    match packed {
        Ok(packed) => {
            parts
                .headers
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static(word));
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(packed))
        }
        Err(_) => Response::from_parts(parts, Body::from(plain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_tokens_left_to_right() {
        assert_eq!(negotiated("br, gzip"), Some(Encoding::Gzip));
        assert_eq!(negotiated("deflate, gzip"), Some(Encoding::Deflate));
        assert_eq!(negotiated("gzip;q=0.5"), None);
        assert_eq!(negotiated(""), None);
    }
}
