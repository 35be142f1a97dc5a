//! From the root's series to the answer.

use ferula_model::Value;
use ferula_storage::{Columns, HistogramPoint};

use super::{Exec, Frame, is_absent};
use crate::error::QueryError;
use crate::plan::{Grid, Matrix, Node, Op, Plan};
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
            Ok(if is_range {
                into_matrix(&frame, grid)
            } else {
                into_vector(&frame, grid)
            })
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
        drop(self.budget.charge(grid.count as u64)?);
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

    /// A range vector as the whole query: the samples themselves.
    fn top_matrix(&self, matrix: &Matrix, grid: Grid) -> Result<QueryValue, QueryError> {
        let (start, end) = matrix.windows(grid).edges(0);
        let inside = |t: i64| start < t && t <= end;
        let mut series: Vec<MatrixSeries> = Vec::new();
        let mut room = self.budget.charge(0)?;
        let edges = self.edges(matrix, matrix.windows(grid));
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
            self.budget.count(columns.len() as u64);
            room.grow(columns.len() as u64)?;
            if !columns.is_empty() {
                let labels = meta.resolve(false).labels;
                series.push(MatrixSeries { labels, columns });
            }
            Ok(())
        })?;
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        if series.windows(2).any(|w| w[0].labels == w[1].labels) {
            return Err(QueryError::same_labelset());
        }
        Ok(QueryValue::Matrix(series))
    }
}

fn into_vector(frame: &Frame<'_>, grid: Grid) -> QueryValue {
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

fn into_matrix(frame: &Frame<'_>, grid: Grid) -> QueryValue {
    let mut series: Vec<MatrixSeries> = (0..frame.len())
        .map(|i| {
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
            MatrixSeries {
                labels: frame.labels(i).clone(),
                columns,
            }
        })
        .filter(|series| !series.columns.is_empty())
        .collect();
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    QueryValue::Matrix(series)
}
