//! What a query API answers, read into plain values.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Label names and values of a result.
pub type Labels = BTreeMap<String, String>;

/// The result of an instant or range query.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// `vector`, `matrix`, `scalar` or `string`.
    pub kind: String,
    /// In the order sent; a scalar is one series without labels.
    pub series: Vec<Series>,
    /// What a string result says.
    pub text: String,
    /// Warnings and infos.
    pub notes: Vec<String>,
}

/// One series of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Timestamps in milliseconds and values.
    pub points: Vec<(i64, f64)>,
}

impl Answer {
    /// Reads the body of a successful answer.
    ///
    /// # Errors
    /// When the body is an error or has another shape.
    pub fn parse(body: &str) -> Result<Self> {
        let shown = || body.chars().take(500).collect::<String>();
        let json: Value = serde_json::from_str(body).with_context(shown)?;
        ensure!(json["status"] == "success", "{}", shown());
        let kind = json["data"]["resultType"].as_str().with_context(shown)?;
        let result = &json["data"]["result"];
        let series = match kind {
            "string" => Vec::new(),
            "scalar" => vec![Series {
                labels: Labels::new(),
                points: vec![point(result).with_context(shown)?],
            }],
            _ => {
                let list = result.as_array().with_context(shown)?;
                list.iter()
                    .map(one_series)
                    .collect::<Result<_>>()
                    .with_context(shown)?
            }
        };
        let notes = [&json["warnings"], &json["infos"]];
        let notes = notes.into_iter().filter_map(Value::as_array).flatten();
        Ok(Self {
            kind: kind.to_owned(),
            series,
            text: result[1].as_str().unwrap_or_default().to_owned(),
            notes: notes.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    /// The value of the only point, if there is exactly one.
    pub fn only_value(&self) -> Option<f64> {
        match self.series.as_slice() {
            [series] if series.points.len() == 1 => Some(series.points[0].1),
            _ => None,
        }
    }
}

fn one_series(json: &Value) -> Result<Series> {
    let labels = json["metric"].as_object().context("no metric")?;
    let labels = labels
        .iter()
        .map(|(name, value)| Ok((name.clone(), value.as_str().context("no text")?.to_owned())))
        .collect::<Result<Labels>>()?;
    let points = match json.get("values") {
        Some(values) => {
            let values = values.as_array().context("values is no list")?;
            values.iter().map(point).collect::<Result<_>>()?
        }
        None => vec![point(&json["value"])?],
    };
    Ok(Series { labels, points })
}

fn point(json: &Value) -> Result<(i64, f64)> {
    let seconds = json[0].as_f64().context("no timestamp")?;
    let text = json[1].as_str().context("the value is not text")?;
    let value = text
        .parse()
        .with_context(|| format!("`{text}` is no number"))?;
    #[expect(clippy::cast_possible_truncation)] // timestamps are far below 2^53 ms
    Ok(((seconds * 1000.0).round() as i64, value))
}
