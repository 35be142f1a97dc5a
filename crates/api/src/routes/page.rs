//! The one-file page: a query box, a table, a graph, the targets.

use axum::response::Html;

pub(super) async fn play() -> Html<&'static str> {
    Html(include_str!("../../ui/play.html"))
}
