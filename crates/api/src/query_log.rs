//! The lines of `query_log_file`: one JSON object for each query, with the reference's names.

use ferula_model::Timestamp;
use ferula_promql::{Finished, Origin, Times};

use crate::{json, query_stats};

/// The line that tells of a query, with its line feed. `now` is when it is written.
pub fn query_log_line(finished: &Finished<'_>, now: Timestamp) -> String {
    let (start, end, step_ms) = match finished.times {
        Times::Instant(time) => (time, time, 0),
        Times::Range {
            start,
            end,
            step_ms,
        } => (start, end, step_ms),
    };
    let mut line = Line(String::with_capacity(finished.query.len() + 512));
    line.text("{\"time\":", &rfc3339(now));
    line.text(",\"level\":", "INFO");
    line.text(",\"source\":", concat!("query_log.rs:", line!()));
    line.text(",\"msg\":", "promql query logged");
    line.text(",\"params\":{\"end\":", &rfc3339(end));
    line.text(",\"query\":", finished.query);
    line.text(",\"start\":", &rfc3339(start));
    // Whole seconds, as the reference has them.
    line.raw(",\"step\":", itoa::Buffer::new().format(step_ms / 1_000));
    line.raw("}", "");
    if let Some(error) = finished.error {
        line.text(",\"error\":", &error.to_string());
    }
    line.raw(",\"stats\":", &query_stats::json(finished.stats));
    // There are no traces; this is how the reference says so.
    line.text(",\"spanID\":", "0000000000000000");
    match finished.origin {
        Some(Origin::Http {
            client,
            method,
            path,
        }) => {
            let client = client.map_or(String::new(), |address| address.to_string());
            line.text(",\"httpRequest\":{\"clientIP\":", &client);
            line.text(",\"method\":", method);
            line.text(",\"path\":", path);
            line.raw("}", "");
        }
        None => {}
    }
    line.raw("}", "\n");
    line.0
}

/// A time in UTC with milliseconds; one beyond the year 9999 as its milliseconds alone.
fn rfc3339(t: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(t) {
        Ok(t) => format!("{t:.3}"),
        Err(_) => t.to_string(),
    }
}

struct Line(String);

impl Line {
    fn text(&mut self, before: &str, text: &str) {
        self.0.push_str(before);
        json::string(&mut self.0, text, false);
    }

    fn raw(&mut self, before: &str, json: &str) {
        self.0.push_str(before);
        self.0.push_str(json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferula_promql::{QueryError, QueryStats};

    #[test]
    fn a_line_as_the_reference_writes_it() {
        let origin = Origin::Http {
            client: Some([127, 0, 0, 1].into()),
            method: "GET".to_owned(),
            path: "/api/v1/query_range".to_owned(),
        };
        let error = QueryError::Execution("it \"broke\"".to_owned());
        let finished = Finished {
            query: "a{b=\"<ä>\n\"}",
            times: Times::Range {
                start: 100_500,
                end: 1_795_861_016_254,
                step_ms: 1_500,
            },
            origin: Some(&origin),
            error: Some(&error),
            stats: &QueryStats::default(),
        };
        let line = query_log_line(&finished, 1_000);
        let (start, end) = line.split_once(",\"source\":").unwrap();
        assert_eq!(
            start,
            "{\"time\":\"1970-01-01T00:00:01.000Z\",\"level\":\"INFO\""
        );
        let (source, rest) = end.split_once(',').unwrap();
        assert!(source.starts_with("\"query_log.rs:"), "{source}");
        let (params, stats) = rest.split_once(",\"stats\":{").unwrap();
        assert_eq!(
            params,
            "\"msg\":\"promql query logged\",\"params\":{\"end\":\"2026-11-28T10:16:56.254Z\",\
             \"query\":\"a{b=\\\"<ä>\\n\\\"}\",\"start\":\"1970-01-01T00:01:40.500Z\",\"step\":1},\
             \"error\":\"it \\\"broke\\\"\""
        );
        assert!(
            stats.ends_with(
                "},\"spanID\":\"0000000000000000\",\"httpRequest\":{\"clientIP\":\"127.0.0.1\",\
                 \"method\":\"GET\",\"path\":\"/api/v1/query_range\"}}\n"
            ),
            "{stats}"
        );
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }

    #[test]
    fn without_origin_and_with_odd_times() {
        let finished = Finished {
            query: "1",
            times: Times::Instant(i64::MAX),
            origin: None,
            error: None,
            stats: &QueryStats::default(),
        };
        let line = query_log_line(&finished, 0);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["params"]["start"], i64::MAX.to_string());
        assert!(json.get("httpRequest").is_none() && json.get("error").is_none());
    }
}
