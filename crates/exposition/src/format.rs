//! Which format to ask for, and which one an answer is in.

/// A format that [`crate::Parser`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The Prometheus text format, 0.0.4 and 1.0.0.
    Prometheus,
    /// The OpenMetrics text format, 0.0.1 and 1.0.0.
    OpenMetrics,
}

/// Why the format of an answer is not known. Displays what the target's last error shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The target sent no content type.
    #[error(
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol \
         specified for target"
    )]
    Blank,
    /// What the target sent is no media type.
    #[error("cannot parse Content-Type {0:?} and no fallback_scrape_protocol specified for target")]
    Malformed(String),
    /// The media type is none of those for metrics.
    #[error(
        "received unsupported Content-Type {0:?} and no fallback_scrape_protocol specified for \
         target"
    )]
    Unknown(String),
    /// The protobuf format, which is not read.
    #[error(
        "the protobuf exposition format is not supported: have the target send text, or remove \
         PrometheusProto from scrape_protocols and fallback_scrape_protocol"
    )]
    Protobuf,
}

impl Format {
    /// The format of an answer with this `Content-Type`. Parameters do not count; where the
    /// header is missing or says nothing useful, `fallback` decides.
    pub fn from_content_type(
        content_type: Option<&str>,
        fallback: Option<Self>,
    ) -> Result<Self, FormatError> {
        let header = content_type.unwrap_or("").trim();
        let media_type = header.split(';').next().unwrap_or("").trim();
        let media_type = media_type.to_ascii_lowercase();
        match media_type.as_str() {
            "text/plain" => Ok(Self::Prometheus),
            "application/openmetrics-text" => Ok(Self::OpenMetrics),
            "application/vnd.google.protobuf" => Err(FormatError::Protobuf),
            other => fallback.ok_or_else(|| match other {
                _ if header.is_empty() => FormatError::Blank,
                _ if is_media_type(other) => FormatError::Unknown(header.to_owned()),
                _ => FormatError::Malformed(header.to_owned()),
            }),
        }
    }
}

/// `type/subtype`, both of RFC 7230's token characters.
fn is_media_type(text: &str) -> bool {
    let token = |s: &str| {
        !s.is_empty()
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    text.split_once('/')
        .is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

/// A format as `scrape_protocols` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScrapeProtocol {
    /// Length-delimited protobuf.
    PrometheusProto,
    /// Prometheus text without UTF-8 names.
    PrometheusText0_0_4,
    /// Prometheus text with UTF-8 names.
    PrometheusText1_0_0,
    /// OpenMetrics before its release.
    OpenMetricsText0_0_1,
    /// OpenMetrics.
    OpenMetricsText1_0_0,
}

impl ScrapeProtocol {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::PrometheusProto,
        Self::PrometheusText0_0_4,
        Self::PrometheusText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::OpenMetricsText1_0_0,
    ];

    /// What is asked for unless the configuration says otherwise, most wanted first.
    pub const DEFAULT: [Self; 4] = [
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];

    /// The protocol of this name; case counts.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::PrometheusProto => "PrometheusProto",
            Self::PrometheusText0_0_4 => "PrometheusText0.0.4",
            Self::PrometheusText1_0_0 => "PrometheusText1.0.0",
            Self::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
        }
    }

    /// The media type in `Accept`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            Self::PrometheusText1_0_0 => "text/plain;version=1.0.0",
            Self::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
        }
    }

    /// The format an answer in this protocol has.
    pub fn format(self) -> Result<Format, FormatError> {
        match self {
            Self::PrometheusProto => Err(FormatError::Protobuf),
            Self::PrometheusText0_0_4 | Self::PrometheusText1_0_0 => Ok(Format::Prometheus),
            Self::OpenMetricsText0_0_1 | Self::OpenMetricsText1_0_0 => Ok(Format::OpenMetrics),
        }
    }

    fn names_its_escaping(self) -> bool {
        matches!(self, Self::PrometheusText1_0_0 | Self::OpenMetricsText1_0_0)
    }
}

/// What the exposing side shall do with names outside `[a-zA-Z0-9_:]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapingScheme {
    /// Nothing: write them in quotes.
    #[default]
    AllowUtf8,
    /// Replace what is outside by `_`.
    Underscores,
    /// Spell dots as `_dot_`.
    Dots,
    /// Spell characters by their code points.
    Values,
}

impl EscapingScheme {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    /// The scheme of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// The name in the configuration and in `Accept`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

/// The `Accept` header that asks for `protocols`, most wanted first.
pub fn accept_header(protocols: &[ScrapeProtocol], escaping: EscapingScheme) -> String {
    let mut out = String::new();
    let mut tenths = 6;
    for protocol in protocols {
        out.push_str(protocol.media_type());
        if protocol.names_its_escaping() {
            out.push_str(";escaping=");
            out.push_str(escaping.name());
        }
        out.push_str(&format!(";q=0.{tenths},"));
        tenths -= 1;
    }
    out.push_str(&format!("*/*;q=0.{tenths}"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_header_is_the_one_prometheus_sends() {
        assert_eq!(
            accept_header(&ScrapeProtocol::DEFAULT, EscapingScheme::AllowUtf8),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(
            accept_header(&[ScrapeProtocol::PrometheusText0_0_4], EscapingScheme::Dots),
            "text/plain;version=0.0.4;q=0.6,*/*;q=0.5"
        );
        assert!(
            accept_header(&ScrapeProtocol::ALL, EscapingScheme::Underscores).ends_with(
                "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.2,*/*;q=0.1"
            )
        );
    }

    #[test]
    fn content_types() {
        use Format::{OpenMetrics, Prometheus};
        let of = |header, fallback| Format::from_content_type(header, fallback);
        assert_eq!(of(Some("text/plain"), None), Ok(Prometheus));
        assert_eq!(
            of(Some("Text/Plain ;version=0.0.4; charset=utf-8"), None),
            Ok(Prometheus)
        );
        assert_eq!(
            of(
                Some("application/openmetrics-text; version=1.0.0"),
                Some(Prometheus)
            ),
            Ok(OpenMetrics)
        );
        for header in [None, Some(""), Some(" ")] {
            assert_eq!(of(header, None), Err(FormatError::Blank));
            assert_eq!(of(header, Some(OpenMetrics)), Ok(OpenMetrics));
        }
        let html = "text/html; charset=utf-8";
        assert_eq!(of(Some(html), None), Err(FormatError::Unknown(html.into())));
        assert_eq!(of(Some(html), Some(Prometheus)), Ok(Prometheus));
        assert_eq!(
            of(Some("plain"), None),
            Err(FormatError::Malformed("plain".into()))
        );
        assert_eq!(
            of(
                Some("application/vnd.google.protobuf; encoding=delimited"),
                Some(Prometheus)
            ),
            Err(FormatError::Protobuf)
        );
    }

    #[test]
    fn names_are_exact() {
        for protocol in ScrapeProtocol::ALL {
            assert_eq!(ScrapeProtocol::from_name(protocol.name()), Some(protocol));
        }
        assert_eq!(ScrapeProtocol::from_name("prometheustext0.0.4"), None);
        assert_eq!(
            EscapingScheme::from_name("dots"),
            Some(EscapingScheme::Dots)
        );
        assert_eq!(
            ScrapeProtocol::PrometheusProto.format(),
            Err(FormatError::Protobuf)
        );
    }
}
