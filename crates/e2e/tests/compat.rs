//! Random queries to Ferula and to a real Prometheus: what differs must come from a listed cause.
//! `cargo xtask compat` runs more of them.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use ferula_e2e::differential::{Options, Report, Setup, run};
use ferula_e2e::server::{Server, server_binary};
use ferula_e2e::skip;

/// Compares, with `arguments` for Ferula; nothing if this machine has no Prometheus.
fn compared(test: &str, arguments: &[&str], unexplained_max: usize) -> Option<Report> {
    if let Err(reason) = Server::prometheus() {
        skip(test, &reason);
        return None;
    }
    let options = Options {
        first: 0,
        seeds: 8,
        queries: 50,
        time_max: Duration::from_secs(25),
        unexplained_max,
        setup: Setup {
            ferula: server_binary().expect("the server builds"),
            ferula_arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
        },
    };
    Some(run(&options, &mut |_| {}).expect("both servers answer"))
}

#[test]
fn random_queries_have_the_answers_of_prometheus() {
    let Some(report) = compared("compat: random queries", &[], 5) else {
        return;
    };
    println!("{report}");
    let found: Vec<String> = report.found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(report.depth() >= 3.0, "the queries are shallow");
    assert!(
        report.non_empty * 2 > report.queries,
        "most answers are empty"
    );
}

#[test]
fn a_wrong_lookback_is_found() {
    let arguments = ["--query.lookback-delta", "2m"];
    let Some(report) = compared("compat: a planted fault", &arguments, 1) else {
        return;
    };
    assert!(
        !report.found.is_empty(),
        "Ferula looked back 2 minutes in place of 5, and {} queries did not show it",
        report.queries
    );
}
