//! Errors as the API states them: a word, a text, and the status the word implies.

use axum::http::StatusCode;

/// The API's words for what went wrong (http-api §1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// A parameter is missing or wrong.
    BadData,
    /// The query failed while it ran.
    Execution,
    /// The client went away.
    Canceled,
    /// The query took too long.
    Timeout,
    /// The store failed.
    Internal,
    /// What is asked for does not exist.
    NotFound,
    /// Not served, or not now.
    Unavailable,
    /// Too much is asked for at once.
    Busy,
}

impl ErrorKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
            Self::NotFound => "not_found",
            Self::Unavailable | Self::Busy => "unavailable",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            // 499, the status nginx made up for it; clients of Prometheus know it.
            Self::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Timeout | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal | Self::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadData, message)
    }

    /// `invalid parameter "name": detail`
    pub(crate) fn parameter(name: &str, detail: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {detail}"))
    }
}
