//! From the root's series to the answer.

use ferula_model::Value;
use ferula_storage::{Columns, HistogramPoint};

use super::{Exec, Frame, Looked, is_absent};
use crate::budget::{Amount, histogram_weight};
use crate::error::QueryError;
use crate::plan::{Grid, Matrix, Node, Op, Plan, Samples};
use crate::result::{MatrixSeries, QueryValue, VectorSample};

/// Evaluates a plan. A range query always yields a matrix.
pub(crate) fn finish(
    exec: &Exec<'_>,
    plan: &Plan,
    is_range: bool,
) -> Result<QueryValue, QueryError> {
    let grid = plan.grid;
    match &plan.root.op {
        Op::Text(text) => Ok(QueryValue::String {
            timestamp: grid.start,
            value: text.clone(),
        }),
        Op::Matrix(matrix) => exec.top_matrix(matrix, grid),
        _ if plan.root.is_scalar() => exec.top_scalar(&plan.root, grid, is_range),
        _ => {
            let mut frame = exec.frame(&plan.root, grid)?;
            if exec.delayed_names {
                frame.drop_marked_names();
                frame = frame.merge_same_labels()?;
            }
            if is_range {
                return exec.matrix_of(&frame, grid);
            }
            exec.budget.charge(result_amount(frame.len()))?.keep();
            Ok(vector_of(&frame, grid))
        }
    }
}

impl Exec<'_> {
    fn top_scalar(
        &self,
        root: &Node,
        grid: Grid,
        is_range: bool,
    ) -> Result<QueryValue, QueryError> {
        let column = self.scalar(root, grid)?;
        if !is_range {
            return Ok(QueryValue::Scalar {
                timestamp: grid.start,
                value: column.get(0),
            });
        }
        self.budget.charge(result_amount(grid.count))?.keep();
        let columns = Columns {
            timestamps: (0..grid.count).map(|i| grid.at(i)).collect(),
            values: (0..grid.count).map(|i| column.get(i)).collect(),
            ..Columns::default()
        };
        Ok(QueryValue::Matrix(vec![MatrixSeries {
            labels: ferula_model::Labels::empty(),
            columns,
        }]))
    }

    /// The samples of all steps, sorted by labels.
    fn matrix_of(&self, frame: &Frame<'_>, grid: Grid) -> Result<QueryValue, QueryError> {
        let mut room = self.budget.charge(Amount::NONE)?;
        let mut series = Vec::with_capacity(frame.len());
        for i in 0..frame.len() {
            room.grow(result_amount(grid.count))?;
            let columns = columns_of(frame, i, grid);
            if !columns.is_empty() {
                let labels = frame.labels(i).clone();
                series.push(MatrixSeries { labels, columns });
            }
        }
        room.keep();
        let begun = self.budget.now();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        self.sort_time.set(self.budget.now().saturating_sub(begun));
        Ok(QueryValue::Matrix(series))
    }

    /// A range vector as the whole query: the samples themselves.
    fn top_matrix(&self, matrix: &Matrix, grid: Grid) -> Result<QueryValue, QueryError> {
        let (start, end) = matrix.windows(grid).edges(0);
        let inside = |t: i64| start < t && t <= end;
        let mut series: Vec<MatrixSeries> = Vec::new();
        let mut room = self.budget.charge(Amount::NONE)?;
        let edges = self.edges(matrix, matrix.windows(grid));
        // What a subquery looks at is counted there.
        let stored = matches!(matrix.samples, Samples::Stored(_));
        self.matrix(matrix, &mut |meta, columns| {
            let lo = columns.timestamps.partition_point(|&t| t <= start);
            let hi = columns.timestamps.partition_point(|&t| t <= end);
            let columns = match edges {
                Some(edges) => edges.first_window(columns)?,
                None => Columns {
                    timestamps: columns.timestamps[lo..hi].to_vec(),
                    values: columns.values[lo..hi].to_vec(),
                    start_timestamps: Vec::new(),
                    histograms: columns
                        .histograms
                        .iter()
                        .filter(|point| inside(point.timestamp))
                        .cloned()
                        .collect(),
                },
            };
            if stored {
                let weights = columns.histograms.iter();
                let weights = weights.map(|point| histogram_weight(&point.histogram));
                let samples = columns.values.len() as u64 + weights.sum::<u64>();
                self.look_steps(matrix.id, &[Looked::once(samples)])?;
            }
            room.grow(
                Amount::samples(columns.len() as u64).and_bytes(TEXT_BYTES * columns.len() as u64),
            )?;
            if !columns.is_empty() {
                let labels = meta.resolve(false).labels;
                series.push(MatrixSeries { labels, columns });
            }
            Ok(())
        })?;
        room.keep();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let mut merged: Vec<MatrixSeries> = Vec::with_capacity(series.len());
        for series in series {
            match merged.last_mut() {
                Some(last) if last.labels == series.labels => {
                    last.columns = interleaved(&last.columns, &series.columns)?;
                }
                _ => merged.push(series),
            }
        }
        Ok(QueryValue::Matrix(merged))
    }
}

/// The samples of two series that have become one by losing their names. They may not meet.
fn interleaved(a: &Columns, b: &Columns) -> Result<Columns, QueryError> {
    let mut floats: Vec<(i64, f64)> = Vec::new();
    let mut histograms = Vec::new();
    for columns in [a, b] {
        floats.extend(
            columns
                .timestamps
                .iter()
                .copied()
                .zip(columns.values.iter().copied()),
        );
        histograms.extend(columns.histograms.iter().cloned());
    }
    floats.sort_by_key(|(t, _)| *t);
    histograms.sort_by_key(|point: &HistogramPoint| point.timestamp);
    let mut times: Vec<i64> = floats.iter().map(|(t, _)| *t).collect();
    times.extend(histograms.iter().map(|point| point.timestamp));
    times.sort_unstable();
    if times.windows(2).any(|w| w[0] == w[1]) {
        return Err(QueryError::same_labelset());
    }
    let (timestamps, values) = floats.into_iter().unzip();
    Ok(Columns {
        timestamps,
        values,
        histograms,
        ..Columns::default()
    })
}

/// What the text of a sample takes when it is sent.
const TEXT_BYTES: u64 = 24;

/// What the samples of a result take, in memory and as text.
fn result_amount(samples: usize) -> Amount {
    let text = Amount::NONE.and_bytes(TEXT_BYTES * samples as u64);
    text.and_bytes(size_of::<(i64, f64)>() as u64 * samples as u64)
}

/// The samples of a single step, in the engine's order.
fn vector_of(frame: &Frame<'_>, grid: Grid) -> QueryValue {
    let samples = (0..frame.len()).filter_map(|i| {
        let value = match frame.histogram(i, 0) {
            Some(h) => Value::Histogram(h.clone()),
            None => Value::Float(*frame.values(i).first().filter(|v| !is_absent(**v))?),
        };
        Some(VectorSample {
            labels: frame.labels(i).clone(),
            timestamp: grid.start,
            value,
        })
    });
    QueryValue::Vector(samples.collect())
}

/// The samples of a series, each with its time.
fn columns_of(frame: &Frame<'_>, i: usize, grid: Grid) -> Columns {
    let mut columns = Columns::default();
    for (step, &v) in frame.values(i).iter().enumerate() {
        if !is_absent(v) {
            columns.timestamps.push(grid.at(step));
            columns.values.push(v);
        }
    }
    let histograms = frame.histograms(i).iter();
    columns
        .histograms
        .extend(histograms.map(|(step, h)| HistogramPoint {
            timestamp: grid.at(*step as usize),
            start_timestamp: 0,
            histogram: h.clone(),
        }));
    columns
}
