//! What can go wrong on the way to a body, in the words of Go's HTTP client.

use std::io;

use http::Uri;

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection to the host.
    #[error("Get \"{url}\": dial tcp {why}")]
    Connect {
        /// What was asked for.
        url: Uri,
        /// The address and the reason.
        why: String,
    },
    /// The time for the whole request was up.
    #[error("Get \"{url}\": context deadline exceeded")]
    Timeout {
        /// What was asked for.
        url: Uri,
    },
    /// The connection broke, or what came over it was no HTTP.
    #[error("Get \"{url}\": {why}")]
    Protocol {
        /// What was asked for.
        url: Uri,
        /// The reason.
        why: String,
    },
    /// An answer other than 200.
    #[error("server returned HTTP status {0}")]
    Status(
        /// Code and reason phrase.
        String,
    ),
    /// The body, uncompressed, reached the limit.
    #[error("body size limit exceeded")]
    BodyTooLarge,
    /// The body says it is gzip and is not.
    #[error("gzip: {0}")]
    Gzip(
        /// The reason.
        String,
    ),
    /// Something this client does not do.
    #[error("Get \"{url}\": {what}")]
    Unsupported {
        /// What was asked for.
        url: Uri,
        /// What would be needed.
        what: &'static str,
    },
}

/// `connect: connection refused`, `lookup nowhere: no such host`: the words of Go's dialer for
/// a failed connection to `authority`, with the address in front.
pub(crate) fn dial_text(authority: &str, error: &io::Error) -> String {
    let text = error.to_string();
    let host = authority.rsplit_once(':').map_or(authority, |(h, _)| h);
    if let Some(detail) = text.strip_prefix("failed to lookup address information: ") {
        let detail = match detail {
            "Name or service not known" | "No address associated with hostname" => "no such host",
            other => other,
        };
        return format!("lookup {host}: {detail}");
    }
    format!("{authority}: connect: {}", plain(&text))
}

/// The operating system's words without `(os error 111)` and without a capital.
pub(crate) fn plain(text: &str) -> String {
    let text = text.split(" (os error ").next().unwrap_or(text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECONNREFUSED: i32 = 111;

    #[test]
    fn speaks_like_the_dialer_users_know() {
        let refused = io::Error::from_raw_os_error(ECONNREFUSED);
        assert_eq!(
            dial_text("127.0.0.1:1", &refused),
            "127.0.0.1:1: connect: connection refused"
        );
        let unknown =
            io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(
            dial_text("nowhere:80", &unknown),
            "lookup nowhere: no such host"
        );
    }
}
