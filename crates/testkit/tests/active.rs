//! Queries as an operator sees them: those that wait, those that compute, and those stopped.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use ferula_env::{Clock, ManualClock, SystemClock};
use ferula_model::{Labels, Range, TenantId};
use ferula_promql::{
    ActiveQuery, Engine, EngineOptions, Finished, Journal, Origin, QueryError, QueryParams,
    QueryResult, Times,
};
use ferula_storage::{
    Columns, LabelQuery, Select, SelectError, SelectRequest, Selected, SelectedSeries, SeriesSource,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;

/// One series, `x`, whose decoding says that it begins and then waits until it is let go.
struct Gate {
    began: SyncSender<()>,
    go: Arc<Mutex<Receiver<()>>>,
}

/// What opens a [`Gate`].
struct Keeper {
    began: Receiver<()>,
    go: SyncSender<()>,
}

fn gate() -> (Gate, Keeper) {
    let (began, has_begun) = sync_channel(100);
    let (go, may_go) = sync_channel(100);
    let gate = Gate {
        began,
        go: Arc::new(Mutex::new(may_go)),
    };
    let keeper = Keeper {
        began: has_begun,
        go,
    };
    (gate, keeper)
}

struct Gated(SyncSender<()>, Arc<Mutex<Receiver<()>>>);

impl SeriesSource for Gated {
    fn decode(&self, _: Range, columns: &mut Columns) -> Result<(), SelectError> {
        let _ = self.0.send(());
        let _ = self.1.lock().recv();
        columns.timestamps.push(1_000_000);
        columns.values.push(1.0);
        Ok(())
    }
}

impl Select for Gate {
    fn select(&self, _: SelectRequest) -> BoxFuture<'_, Result<Selected, SelectError>> {
        let source = Arc::new(Gated(self.began.clone(), Arc::clone(&self.go)));
        let series = ["1", "2"].map(|i| SelectedSeries {
            labels: Labels::from_pairs([("__name__", "x"), ("i", i)]),
            source: source.clone(),
        });
        let selected = Selected {
            series: series.into(),
            warnings: Vec::new(),
        };
        async move { Ok(selected) }.boxed()
    }

    fn series(&self, _: LabelQuery) -> BoxFuture<'_, Result<Vec<Labels>, SelectError>> {
        unreachable!("not asked for here")
    }

    fn label_names(&self, _: LabelQuery) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        unreachable!("not asked for here")
    }

    fn label_values(
        &self,
        _: String,
        _: LabelQuery,
    ) -> BoxFuture<'_, Result<Vec<String>, SelectError>> {
        unreachable!("not asked for here")
    }
}

/// An engine, what its queries are told of, and where they run.
struct Bench {
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    keeper: Keeper,
    journal: Arc<Notes>,
    runtime: tokio::runtime::Runtime,
}

type Running = tokio::task::JoinHandle<Result<QueryResult, QueryError>>;

impl Bench {
    fn new(concurrency_max: usize, waiting_max: usize, clock: Arc<dyn Clock>) -> Self {
        let options = EngineOptions {
            concurrency_max,
            waiting_max,
            ..EngineOptions::prometheus()
        };
        let engine = Arc::new(Engine::new(options, clock));
        let journal = Arc::new(Notes::default());
        engine.keep_journal(journal.clone());
        let (gate, keeper) = gate();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a runtime");
        Self {
            engine,
            gate: Arc::new(gate),
            keeper,
            journal,
            runtime,
        }
    }

    fn ask(&self, tenant: &str, query: &'static str) -> Running {
        let (engine, gate) = (Arc::clone(&self.engine), Arc::clone(&self.gate));
        let tenant = TenantId::new(tenant).expect("a tenant");
        let params = QueryParams {
            origin: Some(Origin::Http {
                client: None,
                method: "GET".to_owned(),
                path: query.to_owned(),
            }),
            ..QueryParams::default()
        };
        self.runtime.spawn(async move {
            engine
                .instant(&*gate, &tenant, query, 1_000_000, &params)
                .await
        })
    }

    fn list(&self, tenant: &str) -> Vec<ActiveQuery> {
        self.engine
            .active(&TenantId::new(tenant).expect("a tenant"))
    }

    /// Waits until the tenant's list is as wanted: each query's text, and whether it computes.
    fn wait_list(&self, tenant: &str, wanted: &[(&str, bool)]) {
        let is = |list: Vec<ActiveQuery>| {
            let seen = list.iter().map(|q| (&*q.text, q.running));
            seen.eq(wanted.iter().copied())
        };
        self.wait(
            || is(self.list(tenant)),
            || format!("{:?}", self.list(tenant)),
        );
    }

    fn wait(&self, mut condition: impl FnMut() -> bool, state: impl Fn() -> String) {
        let limit = std::iter::repeat_n((), 10_000);
        for () in limit {
            if condition() {
                return;
            }
            self.runtime
                .block_on(async { SystemClock::shared().sleep(Duration::from_millis(1)).await });
        }
        panic!("waited too long: {}", state());
    }

    fn error(&self, running: Running) -> String {
        let done = self.runtime.block_on(running).expect("no panic");
        done.expect_err("should fail").to_string()
    }
}

/// A journal of lines.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Journal for Notes {
    fn began(&self, turn: usize, query: &str) {
        self.0.lock().push(format!("{turn} begins {query}"));
    }

    fn ended(&self, turn: usize) {
        self.0.lock().push(format!("{turn} ends"));
    }

    fn finished(&self, f: &Finished<'_>) {
        assert_eq!(f.times, Times::Instant(1_000_000));
        assert!(matches!(f.origin, Some(Origin::Http { path, .. }) if path == f.query));
        let error = f.error.map_or("ok".to_owned(), ToString::to_string);
        self.0.lock().push(format!("{}: {error}", f.query));
    }
}

#[test]
fn queries_are_listed_by_tenant_and_stopped() {
    let bench = Bench::new(1, 1, SystemClock::shared());
    let computing = bench.ask("a", "x");
    bench.keeper.began.recv().expect("it computes");
    let waiting = bench.ask("b", "x + 1");
    bench.wait_list("b", &[("x + 1", false)]);
    bench.wait_list("a", &[("x", true)]);
    assert_eq!(bench.engine.active_count(), 2);
    let too_many = bench.error(bench.ask("a", "x + 2"));
    assert!(
        too_many.contains("1 queries wait") && too_many.contains("--query.max-queued"),
        "{too_many}"
    );

    let (a, b) = (&bench.list("a")[0], &bench.list("b")[0]);
    assert_eq!((a.times, a.samples), (Times::Instant(1_000_000), 1));
    let tenant = |name| TenantId::new(name).expect("a tenant");
    assert!(!bench.engine.stop(&tenant("b"), a.id), "not one's own");
    assert!(!bench.engine.stop(&tenant("a"), 1_000), "there is none");
    assert!(bench.engine.stop(&tenant("b"), b.id));
    assert_eq!(
        bench.error(waiting),
        "query was canceled in query queue",
        "without a turn"
    );
    bench.wait_list("b", &[]);
    assert!(bench.engine.stop(&tenant("a"), a.id));
    bench.keeper.go.send(()).expect("it computes");
    assert_eq!(
        bench.error(computing),
        "query was canceled in expression evaluation"
    );
    bench.wait_list("a", &[]);
    let notes = bench.journal.take();
    let wanted = [
        "0 begins x",
        "x + 2: 1 queries wait",
        "x + 1: query was canceled in query queue",
        "0 ends",
        "x: query was canceled in expression evaluation",
    ];
    assert_eq!(notes.len(), wanted.len(), "{notes:?}");
    for (note, wanted) in notes.iter().zip(wanted) {
        assert!(note.starts_with(wanted), "{notes:?}");
    }
}

#[test]
fn a_turn_is_kept_until_the_computing_ends() {
    let bench = Bench::new(1, 10, SystemClock::shared());
    let gone = bench.ask("a", "x");
    bench.keeper.began.recv().expect("it computes");
    let next = bench.ask("a", "x * 2");
    bench.wait_list("a", &[("x", true), ("x * 2", false)]);
    // Whoever asked is gone; the thread has not noticed yet.
    gone.abort();
    let canceled = "x: query was canceled in expression evaluation";
    bench.wait(
        || bench.journal.0.lock().iter().any(|line| line == canceled),
        || format!("{:?}", bench.journal.take()),
    );
    bench.wait_list("a", &[("x", true), ("x * 2", false)]);
    bench.keeper.go.send(()).expect("it computes");
    bench.wait_list("a", &[("x * 2", true)]);
    for _ in 0..2 {
        bench.keeper.go.send(()).expect("it computes");
    }
    let done = bench.runtime.block_on(next).expect("no panic");
    assert!(done.is_ok());
    bench.wait_list("a", &[]);
}

#[test]
fn waiting_takes_no_longer_than_a_query_may() {
    let clock = ManualClock::at(0);
    let bench = Bench::new(1, 10, clock.clone());
    let computing = bench.ask("a", "x");
    bench.keeper.began.recv().expect("it computes");
    let waiting = bench.ask("a", "x * 2");
    bench.wait_list("a", &[("x", true), ("x * 2", false)]);
    // The third limit is that of waiting; the first query had two, for its turn and its series.
    bench.wait(|| clock.sleepers() == 3, || format!("{clock:?}"));
    clock.advance(Duration::from_secs(120));
    assert_eq!(bench.error(waiting), "query timed out in query queue");
    bench.keeper.go.send(()).expect("it computes");
    assert_eq!(
        bench.error(computing),
        "query timed out in expression evaluation"
    );
}
