//! Function calls: from a name to what computes it.

use ferula_diag::Span;
use ferula_model::text::regex::{Regex, Template};
use ferula_model::{Labels, MatchOp, Matcher};

use super::build::{Builder, Context, Enclosing};
use super::{
    HistogramCall, HistogramStat, HistogramWanted, Map, Matrix, Node, Op, RangeCall, RangeFunc,
    Relabel, Samples, SortOrder, Source,
};
use crate::error::QueryError;
use crate::functions::rate::Extrapolated;
use crate::functions::{math, time};
use crate::select::Stamp;
use crate::syntax::ast::{Call, Expr, Extended, Selector, StringLiteral};

/// Milliseconds as seconds, for times the query itself states.
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn range_func(name: &str) -> Option<RangeFunc> {
    Some(match name {
        "rate" => RangeFunc::Extrapolated(Extrapolated::Rate),
        "increase" => RangeFunc::Extrapolated(Extrapolated::Increase),
        "delta" => RangeFunc::Extrapolated(Extrapolated::Delta),
        "irate" => RangeFunc::Irate,
        "idelta" => RangeFunc::Idelta,
        "sum_over_time" => RangeFunc::Sum,
        "avg_over_time" => RangeFunc::Avg,
        "count_over_time" => RangeFunc::Count,
        "present_over_time" => RangeFunc::Present,
        "min_over_time" => RangeFunc::Min,
        "max_over_time" => RangeFunc::Max,
        "stddev_over_time" => RangeFunc::Stddev,
        "stdvar_over_time" => RangeFunc::Stdvar,
        "quantile_over_time" => RangeFunc::Quantile,
        "mad_over_time" => RangeFunc::MedianDeviation,
        "first_over_time" => RangeFunc::First,
        "last_over_time" => RangeFunc::Last,
        "ts_of_first_over_time" => RangeFunc::TimeOfFirst,
        "ts_of_last_over_time" => RangeFunc::TimeOfLast,
        "ts_of_min_over_time" => RangeFunc::TimeOfMin,
        "ts_of_max_over_time" => RangeFunc::TimeOfMax,
        "changes" => RangeFunc::Changes,
        "resets" => RangeFunc::Resets,
        "deriv" => RangeFunc::Deriv,
        "predict_linear" => RangeFunc::PredictLinear,
        "double_exponential_smoothing" => RangeFunc::Smooth,
        _ => return None,
    })
}

fn histogram_stat(name: &str) -> Option<HistogramStat> {
    Some(match name {
        "histogram_count" => HistogramStat::Count,
        "histogram_sum" => HistogramStat::Sum,
        "histogram_avg" => HistogramStat::Avg,
        "histogram_stddev" => HistogramStat::Stddev,
        "histogram_stdvar" => HistogramStat::Stdvar,
        _ => return None,
    })
}

impl Builder<'_> {
    /// Plans a function call.
    pub(super) fn call(&mut self, call: &Call, cx: &Context<'_>) -> Result<Node, QueryError> {
        let name = call.func.name;
        check_extended(call)?;
        let cx = &Context {
            enclosing: Enclosing::call(name),
            ..*cx
        };
        if let Some(func) = range_func(name) {
            return self.range_call(call, func, cx);
        }
        if let Some(calendar) = time::by_name(name) {
            let child = match call.args.first() {
                Some(arg) => self.node(arg, cx)?,
                None => Op::VectorOf(Box::new(Op::Time.into())).into(),
            };
            return Ok(map(name, Map::Calendar(calendar), child));
        }
        if let Some(function) = math::by_name(name) {
            return Ok(map(name, Map::Math(function), self.arg(call, 0, cx)?));
        }
        if let Some(stat) = histogram_stat(name) {
            return Ok(map(name, Map::HistogramStat(stat), self.arg(call, 0, cx)?));
        }
        let op = match name {
            "time" => Op::Time,
            "pi" => Op::Number(std::f64::consts::PI),
            "start" => Op::Number(seconds(self.query.start)),
            "end" => Op::Number(seconds(self.query.last_or_end)),
            "range" => Op::Number(seconds(
                self.query.last_or_end.saturating_sub(self.query.start),
            )),
            "step" => Op::Number(seconds(self.query.step)),
            "min_of" | "max_of" => Op::ScalarExtreme {
                larger: name == "max_of",
                args: Box::new([self.arg(call, 0, cx)?, self.arg(call, 1, cx)?]),
            },
            "scalar" => Op::ScalarOf(Box::new(self.arg(call, 0, cx)?)),
            "vector" => Op::VectorOf(Box::new(self.arg(call, 0, cx)?)),
            "clamp" | "clamp_min" | "clamp_max" | "round" => return self.bounded(call, cx),
            "timestamp" => return self.timestamp(call, cx),
            "start_timestamp" => return self.start_timestamp(call, cx),
            "absent" => Op::Absent {
                labels: absent_labels(call.args.first()),
                child: Box::new(self.arg(call, 0, cx)?),
            },
            "absent_over_time" => Op::AbsentOverTime {
                labels: absent_labels(call.args.first()),
                matrix: self.matrix(argument(call, 0)?, cx)?,
            },
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => {
                return self.sort(call, cx);
            }
            "label_replace" | "label_join" => return self.relabel(call, cx),
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => {
                return self.histogram(call, cx);
            }
            "info" => return self.info(call, cx),
            _ => {
                return Err(QueryError::execution(format!(
                    "function {name:?} is not supported yet"
                )));
            }
        };
        Ok(op.into())
    }

    fn arg(&mut self, call: &Call, i: usize, cx: &Context<'_>) -> Result<Node, QueryError> {
        self.node(argument(call, i)?, cx)
    }

    fn range_call(
        &mut self,
        call: &Call,
        func: RangeFunc,
        cx: &Context<'_>,
    ) -> Result<Node, QueryError> {
        let matrix_at = usize::from(func == RangeFunc::Quantile);
        let matrix = self.matrix(argument(call, matrix_at)?, cx)?;
        let mut params = Vec::new();
        let mut param_span = call.span;
        for (i, arg) in call.args.iter().enumerate() {
            if i != matrix_at {
                if params.is_empty() {
                    param_span = arg.unparen().span();
                }
                params.push(self.node(arg, cx)?);
            }
        }
        let op = Op::RangeCall(Box::new(RangeCall {
            name: call.func.name,
            func,
            uses_starts: self.settings.use_start_timestamps && can_use_starts(func, &matrix),
            matrix,
            params,
            param_span,
        }));
        Ok(op.into())
    }

    fn bounded(&mut self, call: &Call, cx: &Context<'_>) -> Result<Node, QueryError> {
        let child = self.arg(call, 0, cx)?;
        let bounds = match call.func.name {
            "clamp" => Map::Clamp {
                lo: Some(self.arg(call, 1, cx)?),
                hi: Some(self.arg(call, 2, cx)?),
            },
            "clamp_min" => Map::Clamp {
                lo: Some(self.arg(call, 1, cx)?),
                hi: None,
            },
            "clamp_max" => Map::Clamp {
                lo: None,
                hi: Some(self.arg(call, 1, cx)?),
            },
            _ => Map::Round(match call.args.get(1) {
                Some(to) => Some(self.node(to, cx)?),
                None => None,
            }),
        };
        Ok(map(call.func.name, bounds, child))
    }

    fn timestamp(&mut self, call: &Call, cx: &Context<'_>) -> Result<Node, QueryError> {
        if let Expr::Selector(selector) = argument(call, 0)?.unparen() {
            return Ok(self.sample_times(call, selector, Stamp::Taken, cx));
        }
        let child = self.arg(call, 0, cx)?;
        Ok(map(call.func.name, Map::EvaluationTime, child))
    }

    /// What is not a selector has no start timestamps: the result has no series.
    fn start_timestamp(&mut self, call: &Call, cx: &Context<'_>) -> Result<Node, QueryError> {
        if !self.settings.use_start_timestamps {
            return Err(QueryError::execution(
                "function \"start_timestamp\" is not enabled; the feature flag use-start-timestamps enables it",
            ));
        }
        if let Expr::Selector(selector) = argument(call, 0)?.unparen() {
            return Ok(self.sample_times(call, selector, Stamp::Started, cx));
        }
        let child = self.arg(call, 0, cx)?;
        Ok(map(call.func.name, Map::Nothing, child))
    }

    fn sample_times(
        &mut self,
        call: &Call,
        selector: &Selector,
        stamp: Stamp,
        cx: &Context<'_>,
    ) -> Node {
        let source = self.instant_source(selector, cx);
        let times = Op::SampleTimes { source, stamp };
        map(call.func.name, Map::DropName, times.into())
    }

    fn sort(&mut self, call: &Call, cx: &Context<'_>) -> Result<Node, QueryError> {
        let descending = call.func.name.ends_with("_desc");
        let order = if call.func.name.starts_with("sort_by_label") {
            SortOrder::Labels {
                labels: texts(&call.args[1..])?
                    .into_iter()
                    .map(|text| text.value.clone())
                    .collect(),
                descending,
            }
        } else {
            SortOrder::Value { descending }
        };
        let op = Op::Sort {
            order,
            span: call.span,
            child: Box::new(self.arg(call, 0, cx)?),
        };
        Ok(op.into())
    }

    fn relabel(&mut self, call: &Call, cx: &Context<'_>) -> Result<Node, QueryError> {
        let function = call.func.name;
        let texts = texts(&call.args[1..])?;
        let label = |kind: &str, text: &StringLiteral| {
            if is_label_name(text) {
                return Ok(text.value.clone());
            }
            Err(QueryError::execution(format!(
                "invalid {kind} label name in {function}(): {}",
                text.value
            )))
        };
        let relabel = match texts.as_slice() {
            [target, template, source, pattern] if function == "label_replace" => {
                let pattern = &pattern.value;
                let regex = Regex::new(pattern).map_err(|_| {
                    QueryError::execution(format!(
                        "invalid regular expression in label_replace(): {pattern}"
                    ))
                })?;
                Relabel::Replace {
                    target: label("destination", target)?,
                    template: Template::new(&template.value),
                    source: source.value.clone(),
                    regex,
                }
            }
            [target, separator, sources @ ..] => {
                let sources = sources.iter().map(|source| label("source", source));
                Relabel::Join {
                    sources: sources.collect::<Result<_, _>>()?,
                    target: label("destination", target)?,
                    separator: separator.value.clone(),
                }
            }
            _ => return Err(QueryError::Internal(format!("{function} without texts"))),
        };
        let mut title = function.to_owned();
        for text in texts {
            title.push_str(&format!(" {text}"));
        }
        let op = Op::Relabel {
            relabel,
            title,
            child: Box::new(self.arg(call, 0, cx)?),
        };
        Ok(op.into())
    }

    fn histogram(&mut self, call: &Call, cx: &Context<'_>) -> Result<Node, QueryError> {
        let span_of =
            |i: usize| -> Span { call.args.get(i).map_or(call.span, |a| a.unparen().span()) };
        let (wanted, vector) = if call.func.name == "histogram_quantile" {
            let phi = self.arg(call, 0, cx)?;
            let span = span_of(0);
            (HistogramWanted::Quantile { phi, span }, 1)
        } else if call.func.name == "histogram_quantiles" {
            let label = match argument(call, 1)?.unparen() {
                Expr::String(label) if is_label_name(label) => label.value.clone(),
                Expr::String(label) => {
                    return Err(QueryError::execution(format!("invalid label name {label}")));
                }
                _ => return Err(QueryError::Internal("a label that is no text".to_owned())),
            };
            let phis = (2..call.args.len()).map(|i| Ok((self.arg(call, i, cx)?, span_of(i))));
            let phis = phis.collect::<Result<_, QueryError>>()?;
            (HistogramWanted::Quantiles { label, phis }, 0)
        } else {
            let (lower, upper) = (self.arg(call, 0, cx)?, self.arg(call, 1, cx)?);
            (HistogramWanted::Fraction { lower, upper }, 2)
        };
        let op = Op::Histogram(Box::new(HistogramCall {
            wanted,
            child: self.arg(call, vector, cx)?,
            child_span: span_of(vector),
        }));
        Ok(op.into())
    }
}

/// Whether start timestamps say something to `func`. Subqueries have none, and the edges of
/// `anchored` and `smoothed` windows are found without them.
fn can_use_starts(func: RangeFunc, matrix: &Matrix) -> bool {
    let counts = match func {
        RangeFunc::Extrapolated(kind) => kind.is_counter(),
        RangeFunc::Irate | RangeFunc::Resets => true,
        _ => false,
    };
    let plain = |source: &Source| source.extended.is_none();
    counts && matches!(&matrix.samples, Samples::Stored(source) if plain(source))
}

/// Refuses `anchored` and `smoothed` range vectors in functions they have no meaning for.
fn check_extended(call: &Call) -> Result<(), QueryError> {
    let name = call.func.name;
    for arg in &call.args {
        let Expr::Range(range) = arg.unparen() else {
            continue;
        };
        let allowed: &[&str] = match range.selector.extended {
            None => continue,
            Some(Extended::Anchored) => &["changes", "delta", "increase", "rate", "resets"],
            Some(Extended::Smoothed) => &["delta", "increase", "rate"],
        };
        if let Some(extended) = range.selector.extended
            && !allowed.contains(&name)
        {
            return Err(QueryError::execution(format!(
                "{} modifier can only be used with: {} - not with {name}",
                extended.as_str(),
                allowed.join(", ")
            )));
        }
    }
    Ok(())
}

/// Whether a text can be a label's name: it is not empty, and it is UTF-8.
pub(super) fn is_label_name(text: &StringLiteral) -> bool {
    !text.value.is_empty() && text.bytes.is_none()
}

fn map(name: &'static str, map: Map, child: Node) -> Node {
    let (map, child) = (Box::new(map), Box::new(child));
    Op::Map { name, map, child }.into()
}

fn argument(call: &Call, i: usize) -> Result<&Expr, QueryError> {
    call.args
        .get(i)
        .ok_or_else(|| QueryError::Internal(format!("{} without argument {i}", call.func.name)))
}

/// Arguments that are texts.
fn texts(args: &[Expr]) -> Result<Vec<&StringLiteral>, QueryError> {
    args.iter()
        .map(|arg| match arg.unparen() {
            Expr::String(text) => Ok(text),
            _ => Err(QueryError::Internal("a text that is none".to_owned())),
        })
        .collect()
}

/// The labels of `absent`'s result: those a direct selector fixes by exactly one `=` matcher.
fn absent_labels(arg: Option<&Expr>) -> Labels {
    let matchers: &[Matcher] = match arg.map(Expr::unparen) {
        Some(Expr::Selector(selector)) => &selector.matchers,
        Some(Expr::Range(range)) => &range.selector.matchers,
        _ => &[],
    };
    let mut builder = ferula_model::Builder::default();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers {
        if matcher.name() == ferula_model::METRIC_NAME {
            continue;
        }
        if matcher.op() == MatchOp::Equal && !seen.contains(&matcher.name()) {
            seen.push(matcher.name());
            builder.set(matcher.name(), matcher.value());
        } else {
            builder.remove(matcher.name());
        }
    }
    builder.build()
}
