//! Log lines as the reference writes them: logfmt, or JSON, one line an event, to stderr.

use std::fmt;
use std::sync::Arc;

use ferula_env::Clock;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `time=… level=INFO source=… msg="…" key=value`
    Logfmt,
    /// The same as a JSON object.
    Json,
}

/// Starts logging for the process.
pub(crate) fn start(level: Level, format: Format, clock: Arc<dyn Clock>) {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .event_format(Lines { format, clock })
        .finish();
    // Only a second start in one process could fail, and then lines are written already.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct Lines {
    format: Format,
    clock: Arc<dyn Clock>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        let mut fields = Fields(Vec::new());
        event.record(&mut fields);
        let time = jiff::Timestamp::from_millisecond(self.clock.now_ms()).unwrap_or_default();
        let file = meta.file().unwrap_or("").rsplit('/').next().unwrap_or("");
        let source = format!("{file}:{}", meta.line().unwrap_or(0));
        let mut all = vec![
            ("time", format!("{time:.3}")),
            ("level", meta.level().to_string()),
            ("source", source),
        ];
        if let Some(at) = fields.0.iter().position(|(name, _)| *name == "message") {
            all.push(("msg", fields.0.remove(at).1));
        }
        all.extend(fields.0);
        match self.format {
            Format::Logfmt => write_logfmt(&mut writer, &all),
            Format::Json => write_json(&mut writer, &all),
        }
    }
}

struct Fields(Vec<(&'static str, String)>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}")));
    }
}

fn write_logfmt(out: &mut impl fmt::Write, fields: &[(&str, String)]) -> fmt::Result {
    for (i, (name, value)) in fields.iter().enumerate() {
        if i > 0 {
            out.write_char(' ')?;
        }
        let plain = !value.is_empty()
            && value
                .chars()
                .all(|c| c > ' ' && c != '"' && c != '=' && !c.is_control());
        if plain {
            write!(out, "{name}={value}")?;
        } else {
            write!(out, "{name}={}", ferula_model::text::quote::quoted(value))?;
        }
    }
    out.write_char('\n')
}

fn write_json(out: &mut impl fmt::Write, fields: &[(&str, String)]) -> fmt::Result {
    let text = |s: &str| serde_json::Value::from(s).to_string();
    for (i, (name, value)) in fields.iter().enumerate() {
        write!(
            out,
            "{}{}:{}",
            if i == 0 { "{" } else { "," },
            text(name),
            text(value)
        )?;
    }
    out.write_str("}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_what_needs_them() {
        let fields = [
            ("level", "INFO".into()),
            ("msg", "a \"b\"".into()),
            ("empty", String::new()),
        ];
        let mut line = String::new();
        write_logfmt(&mut line, &fields).unwrap();
        assert_eq!(line, "level=INFO msg=\"a \\\"b\\\"\" empty=\"\"\n");
        line.clear();
        write_json(&mut line, &fields).unwrap();
        assert_eq!(
            line,
            "{\"level\":\"INFO\",\"msg\":\"a \\\"b\\\"\",\"empty\":\"\"}\n"
        );
    }
}
