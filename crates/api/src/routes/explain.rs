//! How a query was run: its plan, measured during one run.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use ferula_promql::Explained;
use serde::Serialize;

use super::Api;
use super::query::Evaluation;
use crate::asker::Asker;
use crate::params::Params;
use crate::query_stats;
use crate::reply::{ApiResult, Reply, respond};

/// Takes the parameters of a range query if there is a `step`, and those of an instant query
/// otherwise.
pub(super) async fn explain(State(api): State<Arc<Api>>, asker: Asker, params: Params) -> Response {
    respond(explain_of(&api, asker, &params).await)
}

async fn explain_of(api: &Api, asker: Asker, params: &Params) -> ApiResult {
    let mut evaluation = match params.get("step") {
        "" => Evaluation::instant(api, params, asker.origin)?,
        _ => Evaluation::range(params, asker.origin)?,
    };
    evaluation.options.explain = true;
    let text = params.get("query");
    let result = evaluation.run(api, &asker.tenant, text).await?;
    let (plan, ran) = match &result.explanation {
        Some(explanation) => (explanation.plan.lines().collect(), &explanation.ran[..]),
        None => (Vec::new(), &[][..]),
    };
    let cost = query_stats::cost(&result.stats);
    let reply = Reply::of(&Shown {
        plan,
        ran: ran.iter().map(show).collect(),
        cost: &cost,
    })?;
    Ok(Reply {
        cost: Some(cost),
        warnings: result.warnings,
        infos: result.infos,
        ..reply
    })
}

/// An explanation.
#[derive(Serialize)]
struct Shown<'r> {
    /// The plan as it follows from the text, a line for each node.
    plan: Vec<&'r str>,
    /// The plan that ran, measured.
    ran: Vec<Node<'r>>,
    cost: &'r str,
}

/// A node of the plan that ran, times in seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node<'r> {
    title: &'r str,
    series_in: u64,
    series_out: u64,
    samples_read: u64,
    samples_out: u64,
    bytes: u64,
    time: f64,
    inputs: Vec<Self>,
}

fn show(explained: &Explained) -> Node<'_> {
    let measured = &explained.measured;
    Node {
        title: &explained.title,
        series_in: explained.series_in,
        series_out: measured.series,
        samples_read: measured.samples_read,
        samples_out: measured.samples,
        bytes: measured.bytes,
        time: measured.time.as_secs_f64(),
        inputs: explained.inputs.iter().map(show).collect(),
    }
}
