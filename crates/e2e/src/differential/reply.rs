//! What a query API answers, kept as it was written: numbers stay text.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// An answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Kind and text of the error, if it is one.
    pub error: Option<(String, String)>,
    /// `vector`, `matrix`, `scalar` or `string`; empty for errors.
    pub kind: String,
    /// The result's series in the order sent.
    pub series: Vec<ReplySeries>,
    /// What a string says.
    pub text: String,
    /// Warnings.
    pub warnings: BTreeSet<String>,
    /// Infos.
    pub infos: BTreeSet<String>,
}

/// A series of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplySeries {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its points: floats first, then histograms, each in order of time.
    pub points: Vec<Point>,
}

/// A point of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The time as written.
    pub time: String,
    /// The value.
    pub value: PointValue,
}

/// A value as the API writes it.
#[derive(Clone, Debug, PartialEq)]
pub enum PointValue {
    /// A number.
    Float(String),
    /// A histogram.
    Histogram {
        /// All observations.
        count: String,
        /// Their sum.
        sum: String,
        /// Boundary rule, bounds and population of each bucket.
        buckets: Vec<(i64, [String; 3])>,
    },
}

impl Reply {
    /// Reads an answer.
    ///
    /// # Errors
    /// When it does not have the API's shape.
    pub fn parse(status: u16, body: &str) -> Result<Self> {
        let shown = || format!("{status}: {}", body.chars().take(500).collect::<String>());
        let json: Value = serde_json::from_str(body).with_context(shown)?;
        let texts = |key: &str| {
            let list = json[key].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut reply = Self {
            status,
            error: None,
            kind: String::new(),
            series: Vec::new(),
            text: String::new(),
            warnings: texts("warnings"),
            infos: texts("infos"),
        };
        if json["status"] != "success" {
            let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
            reply.error = Some((text("errorType"), text("error")));
            return Ok(reply);
        }
        let result = &json["data"]["result"];
        reply.kind = json["data"]["resultType"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        match reply.kind.as_str() {
            "string" => reply.text = result[1].as_str().unwrap_or_default().to_owned(),
            "scalar" => reply.series.push(ReplySeries {
                labels: BTreeMap::new(),
                points: vec![point(result).with_context(shown)?],
            }),
            _ => {
                let list = result.as_array().with_context(shown)?;
                let series = list.iter().map(one_series).collect::<Option<_>>();
                reply.series = series.with_context(shown)?;
            }
        }
        Ok(reply)
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.error.is_none() && self.kind != "string" && self.series.is_empty()
    }
}

fn one_series(json: &Value) -> Option<ReplySeries> {
    let labels = json["metric"].as_object()?.iter();
    let labels = labels.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let mut points = Vec::new();
    for key in ["value", "histogram"] {
        points.extend(json.get(key).map(point));
    }
    for key in ["values", "histograms"] {
        let list = json
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        points.extend(list.map(point));
    }
    Some(ReplySeries {
        labels: labels.collect::<Option<_>>()?,
        points: points.into_iter().collect::<Option<_>>()?,
    })
}

fn point(json: &Value) -> Option<Point> {
    let value = match &json[1] {
        Value::String(text) => PointValue::Float(text.clone()),
        histogram => {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let buckets = histogram["buckets"].as_array().into_iter().flatten();
            let bucket =
                |b: &Value| Some((b[0].as_i64()?, [text(&b[1])?, text(&b[2])?, text(&b[3])?]));
            PointValue::Histogram {
                count: text(&histogram["count"])?,
                sum: text(&histogram["sum"])?,
                buckets: buckets.map(bucket).collect::<Option<_>>()?,
            }
        }
    };
    Some(Point {
        time: json[0].to_string(),
        value,
    })
}
