//! Values that several sections have.

use std::time::Duration;

use ferula_diag::Diagnostic;
use ferula_exposition::{EscapingScheme, ScrapeProtocol};
use ferula_model::text::{NameScheme, duration, size};
use ferula_model::{LABEL_LEN_MAX, Labels};

use crate::Limits;
use crate::yaml::{Cx, Fields, NodeId, Read, closest, shown};

pub(super) fn duration(cx: &mut Cx<'_>, id: NodeId) -> Read<Duration> {
    unit(
        cx,
        id,
        duration::parse,
        "write a duration with its units, such as `15s` or `1m30s`",
    )
}

pub(super) fn size(cx: &mut Cx<'_>, id: NodeId) -> Read<u64> {
    unit(
        cx,
        id,
        size::parse,
        "write a size with its unit, such as `10MB`",
    )
}

/// A number with a unit; absent is zero.
fn unit<T: Default, E: std::fmt::Display>(
    cx: &mut Cx<'_>,
    id: NodeId,
    parse: fn(&str) -> Result<T, E>,
    help: &str,
) -> Read<T> {
    if cx.is_null(id) {
        return Some(T::default());
    }
    let text = cx.text(id)?;
    let error = match parse(text) {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    let found = Diagnostic::error(
        "E-config-value",
        cx.first_line(cx.span(id)),
        error.to_string(),
    );
    cx.report(found.help(help));
    None
}

/// The scrape interval and timeout; what is absent or zero is `inherited`, the timeout cut to
/// the interval.
pub(super) fn scrape_times<'t>(
    cx: &mut Cx<'t>,
    fields: &Fields<'t>,
    inherited: (Duration, Duration),
) -> (Duration, Duration) {
    let set = |duration: &Duration| !duration.is_zero();
    let read = |cx: &mut Cx<'t>, name| match fields.pair(name) {
        Some(pair) => duration(cx, pair.value),
        None => Some(Duration::ZERO),
    };
    let interval = read(cx, "scrape_interval");
    let timeout = read(cx, "scrape_timeout");
    // Refused ones are reported, and not compared.
    let (Some(interval), Some(timeout)) = (interval, timeout) else {
        return inherited;
    };
    let interval = Some(interval).filter(set).unwrap_or(inherited.0);
    let timeout = Some(timeout)
        .filter(set)
        .unwrap_or(inherited.1.min(interval));
    if timeout > interval
        && let Some(span) = fields.span(cx, "scrape_timeout")
    {
        let message = "the scrape timeout is longer than the scrape interval";
        let interval = duration::format(interval);
        let found = Diagnostic::error("E-config-value", span, message);
        cx.report(found.note(format!("the interval is {interval}")));
    }
    (interval, timeout)
}

/// Reports that a value cannot be used.
pub(super) fn refuse(cx: &mut Cx<'_>, id: NodeId, message: String) {
    let span = cx.first_line(cx.span(id));
    cx.report(Diagnostic::error("E-config-value", span, message));
}

/// One of several words; absent and empty are none. `what` names their kind.
pub(super) fn choice<T: Copy>(
    cx: &mut Cx<'_>,
    id: NodeId,
    what: &str,
    words: &[(&'static str, T)],
) -> Read<Option<T>> {
    let text = cx.text(id)?;
    if text.is_empty() {
        return Some(None);
    }
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(Some(*value));
    }
    let message = format!("`{}` is not a {what}", shown(text));
    let mut found = Diagnostic::error("E-config-value", cx.span(id), message);
    let names = || words.iter().map(|(word, _)| *word);
    if let Some(meant) = closest(text, names()) {
        found = found.labelled(format!("did you mean `{meant}`?"));
    } else {
        let names: Vec<_> = names().map(|word| format!("`{word}`")).collect();
        found = found.help(format!("it can be {}", names.join(", ")));
    }
    cx.report(found);
    None
}

pub(super) fn name_scheme(cx: &mut Cx<'_>, id: NodeId) -> Read<Option<NameScheme>> {
    let words = [("utf8", NameScheme::Utf8), ("legacy", NameScheme::Legacy)];
    choice(cx, id, "name validation scheme", &words)
}

pub(super) fn escaping_scheme(cx: &mut Cx<'_>, id: NodeId) -> Read<Option<EscapingScheme>> {
    let words = EscapingScheme::ALL.map(|scheme| (scheme.name(), scheme));
    choice(cx, id, "name escaping scheme", &words)
}

/// A format that can be scraped; absent is none.
pub(super) fn protocol(cx: &mut Cx<'_>, id: NodeId) -> Read<Option<ScrapeProtocol>> {
    let words = ScrapeProtocol::ALL.map(|protocol| (protocol.name(), protocol));
    let protocol = choice(cx, id, "scrape protocol", &words)?;
    if protocol == Some(ScrapeProtocol::PrometheusProto) {
        let message = "`PrometheusProto` is not supported yet";
        let found = Diagnostic::error("E-config-unserved", cx.span(id), message);
        cx.report(found.help("leave it out; targets that have it expose text as well"));
        return None;
    }
    Some(protocol)
}

/// The formats to ask for; absent is none, but an empty list is refused.
pub(super) fn protocols(cx: &mut Cx<'_>, id: NodeId) -> Read<Option<Vec<ScrapeProtocol>>> {
    if cx.is_null(id) {
        return Some(None);
    }
    let items = cx.list(id)?;
    let mut protocols = Vec::new();
    let mut good = true;
    for &item in items {
        match protocol(cx, item) {
            Some(Some(protocol)) if protocols.contains(&protocol) => {
                refuse(cx, item, format!("`{}` is there twice", protocol.name()));
            }
            Some(Some(protocol)) => protocols.push(protocol),
            Some(None) => refuse(cx, item, "empty scrape protocol".to_owned()),
            None => good = false,
        }
    }
    if items.is_empty() {
        refuse(cx, id, "`scrape_protocols` is empty".to_owned());
    }
    good.then_some(Some(protocols))
}

/// The limits that are set.
pub(super) fn limits<'t>(cx: &mut Cx<'t>, fields: &Fields<'t>) -> Limits {
    let mut limits = Limits::default();
    fields.read(cx, "body_size_limit", size, &mut limits.body_size_limit);
    for (name, to) in [
        ("sample_limit", &mut limits.sample_limit),
        ("label_limit", &mut limits.label_limit),
        (
            "label_name_length_limit",
            &mut limits.label_name_length_limit,
        ),
        (
            "label_value_length_limit",
            &mut limits.label_value_length_limit,
        ),
        ("target_limit", &mut limits.target_limit),
        ("keep_dropped_targets", &mut limits.keep_dropped_targets),
    ] {
        fields.read(cx, name, Cx::count, to);
    }
    limits
}

/// A label set; `value` may change what a value says.
pub(super) fn labels(
    cx: &mut Cx<'_>,
    id: NodeId,
    names: NameScheme,
    mut value: impl FnMut(&mut Cx<'_>, NodeId, &str) -> String,
) -> Read<Labels> {
    let mut pairs = Vec::new();
    for pair in cx.pairs(id)? {
        let Some(text) = cx.text(pair.value) else {
            continue;
        };
        let text = value(cx, pair.value, text);
        if !names.is_label_name(pair.name) {
            let message = format!("`{}` is not a valid label name", shown(pair.name));
            refuse(cx, pair.key, message);
        } else if pair.name.len() > LABEL_LEN_MAX || text.len() > LABEL_LEN_MAX {
            refuse(cx, pair.key, "this label is too long".to_owned());
        } else {
            pairs.push((pair.name, text));
        }
    }
    Some(Labels::from_pairs(pairs))
}
