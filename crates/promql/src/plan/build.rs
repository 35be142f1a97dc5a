//! From the syntax tree to the plan.

use ferula_model::Timestamp;
use ferula_storage::Hints;

use super::calls::is_label_name;
use super::invariant::is_worth_marking;
use super::{
    Aggregate, Chain, Grid, Grouping, Link, Map, Node, NodeId, Op, Param, Plan, Selection,
};
use crate::error::QueryError;
use crate::syntax;
use crate::syntax::ast::{self, AggregateOp, BinaryOp, Expr, ValueType};

/// What a plan depends on beside the query and its times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How old a sample an instant selector may see.
    pub(crate) lookback_ms: i64,
    /// The step of subqueries that state none.
    pub(crate) subquery_step_ms: i64,
    /// Whether start timestamps are looked at.
    pub(crate) use_start_timestamps: bool,
}

/// The query's own times: what `@ start()`, `@ end()` and functions like `step()` mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryTimes {
    pub(crate) start: Timestamp,
    /// The end as asked for, whether a step falls on it or not.
    pub(crate) last_or_end: Timestamp,
    pub(crate) step: i64,
}

/// Plans `expr` for the steps from `start` to `end`; `step` is 0 for a single one.
pub(crate) fn build(
    expr: &Expr,
    start: Timestamp,
    end: Timestamp,
    step: i64,
    settings: Settings,
) -> Result<Plan, QueryError> {
    let resolved = syntax::resolve(expr, start, end, step)
        .map_err(|error| QueryError::Parse(error.to_string()))?;
    let expr = &*resolved;
    let grid = Grid::range(start, end, step);
    let mut builder = Builder {
        settings: &settings,
        query: QueryTimes {
            start,
            last_or_end: end,
            step,
        },
        selections: Vec::new(),
    };
    let cx = Context {
        grid,
        enclosing: Enclosing::NONE,
    };
    let root = match expr.value_type() {
        ValueType::Matrix => Op::Matrix(builder.matrix(expr, &cx)?).into(),
        _ => builder.node(expr, &cx)?,
    };
    Ok(Plan {
        root,
        selections: builder.selections,
        shared: Vec::new(),
        grid,
        nodes: 0,
    })
}

/// Where in the tree a node is planned.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// The steps it is evaluated at.
    pub(super) grid: Grid,
    /// What a selector at this place tells the store.
    pub(super) enclosing: Enclosing<'a>,
}

/// The function or aggregation around a selector.
#[derive(Clone, Copy)]
pub(super) struct Enclosing<'a> {
    func: &'a str,
    grouping: &'a [String],
    by: bool,
}

impl<'a> Enclosing<'a> {
    const NONE: Self = Self {
        func: "",
        grouping: &[],
        by: false,
    };

    pub(super) fn call(func: &'a str) -> Self {
        Self { func, ..Self::NONE }
    }

    pub(super) fn hints(&self, step_ms: i64, range_ms: i64) -> Hints {
        Hints {
            step_ms,
            range_ms,
            func: self.func.to_owned(),
            grouping: self.grouping.to_vec(),
            by: self.by,
            limit: 0,
            labels: None,
        }
    }
}

pub(super) struct Builder<'s> {
    pub(super) settings: &'s Settings,
    pub(super) query: QueryTimes,
    pub(super) selections: Vec<Selection>,
}

impl Builder<'_> {
    /// Plans a scalar or an instant vector; marks it if it does not change from step to step.
    pub(super) fn node(&mut self, expr: &Expr, cx: &Context<'_>) -> Result<Node, QueryError> {
        let single = cx.grid.count <= 1;
        if single || !is_worth_marking(expr) {
            return self.varying(expr, cx);
        }
        let once = Context {
            grid: cx.grid.first_step(),
            ..*cx
        };
        Ok(Op::Invariant(Box::new(self.varying(expr, &once)?)).into())
    }

    fn varying(&mut self, expr: &Expr, cx: &Context<'_>) -> Result<Node, QueryError> {
        match expr.unparen() {
            Expr::Number(number) => Ok(Op::Number(number.value).into()),
            Expr::String(text) => Ok(Op::Text(text.value.clone()).into()),
            Expr::Paren(paren) => self.varying(&paren.inner, cx),
            Expr::Unary(unary) => self.unary(unary, cx),
            Expr::Binary(binary) => self.chain(binary, cx),
            Expr::Call(call) => self.call(call, cx),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, cx),
            Expr::Selector(selector) => Ok(Op::Selector(self.instant_source(selector, cx)).into()),
            Expr::Range(_) | Expr::Subquery(_) => Err(QueryError::Internal(
                "a range vector where none can be".to_owned(),
            )),
        }
    }

    fn unary(&mut self, unary: &ast::Unary, cx: &Context<'_>) -> Result<Node, QueryError> {
        let child = self.node(&unary.operand, cx)?;
        if !unary.negative {
            return Ok(child);
        }
        let op = match child.op {
            Op::Number(value) => Op::Number(-value),
            _ if child.is_scalar() => Op::ScalarNegate(Box::new(child)),
            _ => Op::Map {
                name: "-",
                map: Box::new(Map::Negate),
                child: Box::new(child),
            },
        };
        Ok(op.into())
    }

    /// Operators that lean to the left become one node, however many they are.
    fn chain(&mut self, binary: &ast::Binary, cx: &Context<'_>) -> Result<Node, QueryError> {
        let cx = &Context {
            enclosing: Enclosing::NONE,
            ..*cx
        };
        let mut operations = binary.chain();
        operations.reverse();
        let first = match operations.first() {
            Some(innermost) => self.node(&innermost.lhs, cx)?,
            None => return Err(QueryError::Internal("an empty chain".to_owned())),
        };
        let mut links = Vec::with_capacity(operations.len());
        let mut lhs_is_scalar = first.is_scalar();
        for operation in operations {
            let rhs = self.node(&operation.rhs, cx)?;
            let rhs_is_scalar = rhs.is_scalar();
            let scalars = lhs_is_scalar && rhs_is_scalar;
            if scalars && (operation.op.is_trim() || operation.op.is_set()) {
                return Err(QueryError::execution(format!(
                    "operator {:?} not allowed for Scalar operations",
                    operation.op.as_str()
                )));
            }
            links.push(Link {
                id: NodeId::default(),
                op: operation.op,
                return_bool: operation.return_bool,
                matching: operation.matching.clone(),
                rhs,
                span: operation.span,
            });
            lhs_is_scalar = scalars;
        }
        Ok(Op::Chain(Box::new(Chain { first, links })).into())
    }

    fn aggregate(
        &mut self,
        aggregate: &ast::Aggregate,
        cx: &Context<'_>,
    ) -> Result<Node, QueryError> {
        let mut labels = aggregate.grouping.clone();
        labels.sort_unstable();
        labels.dedup();
        let inside = Context {
            enclosing: Enclosing {
                func: aggregate.op.as_str(),
                grouping: &labels,
                by: !aggregate.without,
            },
            ..*cx
        };
        let child = self.node(&aggregate.expr, &inside)?;
        let param = match (&aggregate.param, aggregate.op) {
            (None, _) => Param::None,
            (Some(param), AggregateOp::CountValues) => match param.unparen() {
                Expr::String(label) if !is_label_name(label) => {
                    return Err(QueryError::execution(format!("invalid label name {label}")));
                }
                Expr::String(label) => Param::Label(label.value.clone()),
                _ => return Err(QueryError::Internal("a label that is no text".to_owned())),
            },
            (Some(param), _) => {
                let outside = Context {
                    enclosing: Enclosing::NONE,
                    ..*cx
                };
                Param::Scalar(self.node(param, &outside)?)
            }
        };
        let aggregate = Op::Aggregate(Box::new(Aggregate {
            op: aggregate.op,
            grouping: Grouping {
                labels,
                without: aggregate.without,
            },
            param,
            child,
            span: aggregate.span,
            child_span: aggregate.expr.unparen().span(),
            param_span: aggregate
                .param
                .as_ref()
                .map_or(aggregate.span, |p| p.unparen().span()),
        }));
        Ok(aggregate.into())
    }
}

/// Whether the operator's arithmetic drops the metric's name.
pub(crate) fn drops_name(op: BinaryOp, return_bool: bool) -> bool {
    return_bool || !(op.is_comparison() || op.is_set() || op.is_trim())
}
