//! Receives remote write 1.0.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ferula_cluster::{RefCache, RefKey};
use ferula_env::spawn;
use ferula_model::{Builder, Labels, METRIC_NAME, TenantId, Timestamp};
use ferula_storage::{
    AppendError, Batch, HistogramEntry, Origin, Reason, Rejection, Report, SampleEntry, SeriesKey,
};
use ferula_wire::{TimeSeries, WireError, WriteRequest, snappy};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::Api;
use crate::tenant::tenant_of;

/// The largest body, packed and unpacked: the reference's.
const BODY_BYTES_MAX: usize = 32 << 20;

/// Unpacked bodies above this are walked beside the runtime's workers, which others wait for.
const INLINE_BYTES_MAX: usize = 1 << 20;

/// How far clocks may disagree: later samples are refused (ingest-protocols §1.2).
const FUTURE_MS_MAX: i64 = 10 * 60 * 1_000;

/// The longest label name or value, in bytes.
const LABEL_BYTES_MAX: usize = 1 << 20;

pub(super) async fn remote_write(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match receive(&api, &headers, body).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Why a request is not, or not wholly, stored.
struct Refusal {
    status: StatusCode,
    text: String,
    retry: bool,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            retry: false,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(mut self) -> Response {
        self.text.push('\n');
        let mut response = (self.status, self.text).into_response();
        if self.retry {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, header::HeaderValue::from(1));
        }
        response
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        let status = match &error {
            AppendError::Unavailable { .. } | AppendError::HeadFull { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            AppendError::Overloaded { .. } => StatusCode::TOO_MANY_REQUESTS,
            AppendError::Unsupported { .. } => StatusCode::BAD_REQUEST,
        };
        let retry = status != StatusCode::BAD_REQUEST;
        Self {
            status,
            text: error.to_string(),
            retry,
        }
    }
}

async fn receive(api: &Arc<Api>, headers: &HeaderMap, body: Body) -> Result<(), Refusal> {
    check_content(headers)?;
    let tenant = tenant_of(headers);
    let packed = Limited::new(body, BODY_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => {
                let text = format!("request body exceeds the {BODY_BYTES_MAX} bytes limit");
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text)
            }
            None => Refusal::new(
                StatusCode::BAD_REQUEST,
                format!("reading the body: {error}"),
            ),
        })?;
    let mut message = Vec::new();
    let bad_request = |e: WireError| Refusal::new(StatusCode::BAD_REQUEST, e.to_string());
    snappy::decompress(&packed.to_bytes(), BODY_BYTES_MAX, &mut message).map_err(bad_request)?;
    let max_valid = api.clock.now_ms() + FUTURE_MS_MAX;
    let decoded = if message.len() <= INLINE_BYTES_MAX {
        decode(&message, &api.refs, tenant.clone(), max_valid).map(|decoded| (decoded, message))
    } else {
        let (api, tenant) = (api.clone(), tenant.clone());
        let work = spawn::blocking(move || {
            decode(&message, &api.refs, tenant, max_valid).map(|decoded| (decoded, message))
        });
        work.await.map_err(|error| {
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("decoding: {error}"),
            )
        })?
    };
    let (decoded, message) = decoded.map_err(bad_request)?;
    let report = store(api, decoded, &message, tenant, max_valid).await?;
    if report.rejected_total() == 0 {
        Ok(())
    } else {
        Err(partly_refused(&report))
    }
}

fn check_content(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
    };
    let content_type = text(header::CONTENT_TYPE);
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or("");
    if !media.eq_ignore_ascii_case("application/x-protobuf") {
        let text = format!(
            "expected application/x-protobuf as the first (media) part, got {content_type} content-type"
        );
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    for parameter in parts {
        let known = "prometheus.WriteRequest";
        if let Some(message) = parameter.strip_prefix("proto=").filter(|m| *m != known) {
            let text = format!("{message} is not accepted; send {known} (remote write 1.0)");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
    }
    match text(header::CONTENT_ENCODING) {
        "" | "snappy" => Ok(()),
        other => {
            let text = format!("{other} encoding (compression) is not accepted, send snappy");
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
        }
    }
}

/// A request as a batch, with what could not become part of it.
struct Decoded {
    batch: Batch,
    /// The series named by labels: index into the batch, and the key to remember them by.
    learn: Vec<(u32, RefKey)>,
    /// Samples refused before they reach a shard.
    report: Report,
}

fn decode(
    message: &[u8],
    refs: &RefCache,
    tenant: TenantId,
    max_valid: Timestamp,
) -> Result<Decoded, WireError> {
    let seed = refs.tenant_seed(&tenant);
    let mut decoded = Decoded {
        batch: Batch::new(tenant, Origin::Push),
        learn: Vec::new(),
        report: Report::default(),
    };
    let mut scratch = Vec::new();
    for series in WriteRequest::new(message).series() {
        let series = series?;
        let key = RefCache::key(seed, series.raw_labels(&mut scratch));
        let known = refs.get(key);
        let name = match known {
            Some(known) => SeriesKey::Ref(known),
            None => match read_labels(&series)? {
                Ok(labels) => SeriesKey::Labels(labels),
                Err((labels, problem)) => {
                    decoded.refuse_series(&series, labels, problem)?;
                    continue;
                }
            },
        };
        if known.is_none() {
            decoded.learn.push((decoded.batch.series.len() as u32, key));
        }
        decoded.batch.series.push(name);
        decoded.take_samples(&series, max_valid)?;
    }
    Ok(decoded)
}

type LabelProblem = (Labels, &'static str);

/// The labels of a series: sorted, without empty values; or what is wrong with them.
fn read_labels(series: &TimeSeries<'_>) -> Result<Result<Labels, LabelProblem>, WireError> {
    let mut builder = Builder::default();
    let mut problem = None;
    for label in series.labels() {
        let (name, value) = label?;
        if name.len() > LABEL_BYTES_MAX || value.len() > LABEL_BYTES_MAX {
            problem = Some("a label is longer than 1 MiB");
            continue;
        }
        if name.is_empty() {
            problem = Some("a label without a name");
        } else if !builder.get(name).is_empty() {
            problem = Some("a label name that comes twice");
        }
        builder.set(name, value);
    }
    if builder.get(METRIC_NAME).is_empty() {
        problem = problem.or(Some("no metric name"));
    }
    let labels = builder.build();
    Ok(match problem {
        None => Ok(labels),
        Some(problem) => Err((labels, problem)),
    })
}

impl Decoded {
    fn take_samples(
        &mut self,
        series: &TimeSeries<'_>,
        max_valid: Timestamp,
    ) -> Result<(), WireError> {
        let index = self.batch.series.len() as u32 - 1;
        for sample in series.samples() {
            let sample = sample?;
            if sample.timestamp > max_valid {
                self.refuse(
                    index,
                    sample.timestamp,
                    Reason::TooFarInFuture { max_valid },
                );
                continue;
            }
            let (timestamp, value) = (sample.timestamp, sample.value);
            self.batch.samples.push(SampleEntry {
                series: index,
                timestamp,
                value,
            });
        }
        for sample in series.histograms() {
            let sample = sample?;
            let timestamp = sample.timestamp;
            if timestamp > max_valid {
                self.refuse(index, timestamp, Reason::TooFarInFuture { max_valid });
                continue;
            }
            match sample.histogram {
                Ok(histogram) => {
                    let histogram = Arc::new(histogram);
                    self.batch.histograms.push(HistogramEntry {
                        series: index,
                        timestamp,
                        histogram,
                    });
                }
                Err(error) => self.refuse(index, timestamp, Reason::InvalidHistogram(error)),
            }
        }
        Ok(())
    }

    /// Notes a sample of series `index` of the batch as refused.
    fn refuse(&mut self, index: u32, timestamp: Timestamp, reason: Reason) {
        let labels = match &self.batch.series[index as usize] {
            SeriesKey::Labels(labels) => labels.clone(),
            // Known by reference only: the sender knows its labels by the timestamp.
            SeriesKey::Ref(_) => Labels::empty(),
        };
        let word = reason.word();
        let rejection = || Rejection {
            series: index,
            labels,
            timestamp,
            reason,
        };
        self.report.reject(rejection, word);
    }

    /// Notes all samples of a series that cannot be named.
    fn refuse_series(
        &mut self,
        series: &TimeSeries<'_>,
        labels: Labels,
        problem: &'static str,
    ) -> Result<(), WireError> {
        let mut timestamps = Vec::new();
        for sample in series.samples() {
            timestamps.push(sample?.timestamp);
        }
        for sample in series.histograms() {
            timestamps.push(sample?.timestamp);
        }
        let reason = Reason::InvalidLabels(problem);
        for timestamp in timestamps {
            let rejection = || Rejection {
                series: 0,
                labels: labels.clone(),
                timestamp,
                reason: reason.clone(),
            };
            self.report.reject(rejection, reason.word());
        }
        Ok(())
    }
}

/// Appends the batch and remembers the references of its new series. If references turn out
/// stale, the message is read once more without them.
async fn store(
    api: &Api,
    decoded: Decoded,
    message: &[u8],
    tenant: TenantId,
    max_valid: Timestamp,
) -> Result<Report, Refusal> {
    let Decoded {
        batch,
        learn,
        report: refused,
    } = decoded;
    let report = api.append.append(batch).await?;
    remember(api, &learn, &report);
    if !report
        .rejected
        .iter()
        .any(|(word, _)| *word == Reason::UnknownRef.word())
    {
        if !report.renamed.is_empty() {
            // The next message tells the labels once and gets the references of today.
            forget(api, message, &tenant);
        }
        return Ok(joined(refused, report));
    }
    forget(api, message, &tenant);
    let again = decode(message, &api.refs, tenant, max_valid)
        .map_err(|e| Refusal::new(StatusCode::BAD_REQUEST, e.to_string()))?;
    let report = api.append.append(again.batch).await?;
    remember(api, &again.learn, &report);
    Ok(joined(again.report, report))
}

fn remember(api: &Api, learn: &[(u32, RefKey)], report: &Report) {
    for &(index, key) in learn {
        if let Some(Some(known)) = report.refs.get(index as usize) {
            api.refs.put(key, *known);
        }
    }
}

fn forget(api: &Api, message: &[u8], tenant: &TenantId) {
    let seed = api.refs.tenant_seed(tenant);
    let mut scratch = Vec::new();
    for series in WriteRequest::new(message).series().map_while(Result::ok) {
        api.refs
            .forget(RefCache::key(seed, series.raw_labels(&mut scratch)));
    }
}

fn joined(refused: Report, mut report: Report) -> Report {
    for (word, n) in refused.rejected {
        match report.rejected.iter_mut().find(|(w, _)| *w == word) {
            Some((_, total)) => *total += n,
            None => report.rejected.push((word, n)),
        }
    }
    report.rejections.extend(refused.rejections);
    report
}

/// How many rejections an answer describes.
const REJECTIONS_TOLD_MAX: usize = 10;

/// The good part is stored; sending the rest again would be refused again, so this is a 400.
fn partly_refused(report: &Report) -> Refusal {
    let (bad, good) = (
        report.rejected_total(),
        report.samples + report.histograms + report.duplicates,
    );
    let mut text = format!("{bad} samples refused, {good} stored:");
    for rejection in report.rejections.iter().take(REJECTIONS_TOLD_MAX) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{rejection}");
    }
    let told = report.rejections.len().min(REJECTIONS_TOLD_MAX) as u64;
    if bad > told {
        let _ = write!(text, "\nand {} more", bad - told);
    }
    tracing::debug!(
        refused = bad,
        stored = good,
        "part of a remote-write request is refused"
    );
    Refusal::new(StatusCode::BAD_REQUEST, text)
}
