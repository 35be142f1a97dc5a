//! Providers come, change and go, and files with them.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // the test writes the files

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferula_config::{FileSdConfig, StaticConfig};
use ferula_discovery::{Manager, ProviderConfig, Targets};
use ferula_env::{Clock, ManualClock, SystemDisk};
use ferula_model::Labels;
use tempfile::TempDir;
use tokio::sync::watch;

/// Real time a busy machine is given to come to what is expected.
const PATIENCE: Duration = Duration::from_secs(60);

/// A manager with its clock and a folder for target files.
struct Fixture {
    clock: Arc<ManualClock>,
    manager: Manager,
    targets: watch::Receiver<Targets>,
    folder: TempDir,
}

fn fixture() -> Fixture {
    let clock = ManualClock::at(1_000_000);
    let manager = Manager::new(clock.clone() as Arc<dyn Clock>, SystemDisk::shared());
    Fixture {
        targets: manager.subscribe(),
        clock,
        manager,
        folder: tempfile::tempdir().unwrap(),
    }
}

fn fixed(targets: &[&str]) -> ProviderConfig {
    ProviderConfig::Static(vec![StaticConfig {
        targets: targets.iter().map(|t| t.to_string()).collect(),
        labels: Labels::from_pairs([("from", "config")]),
    }])
}

impl Fixture {
    fn files(&self, names: &[&str]) -> ProviderConfig {
        ProviderConfig::File(FileSdConfig {
            files: names
                .iter()
                .map(|name| self.folder.path().join(name))
                .collect(),
            refresh_interval: Duration::from_secs(300),
        })
    }

    fn apply<const N: usize>(&self, jobs: [(&str, Vec<ProviderConfig>); N]) {
        let jobs = jobs.into_iter().map(|(name, p)| (name.to_owned(), p));
        self.manager.apply(jobs.collect());
    }

    /// Writes as careful tools do: beside, then renamed.
    fn write(&self, name: &str, text: &str) {
        let beside = self.folder.path().join(".beside");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, self.folder.path().join(name)).unwrap();
    }

    /// Lets time pass until what is published looks like this.
    async fn expect(&mut self, want: &[&str]) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if addresses(&self.targets.borrow_and_update()) == want {
                return;
            }
            self.clock.advance(Duration::from_millis(50));
            tokio::task::yield_now().await;
        }
        panic!(
            "{:?} never became {want:?}",
            addresses(&self.targets.borrow())
        );
    }

    /// Lets time pass until the first provider says this of itself.
    async fn expect_error(&mut self, want: Option<&str>) {
        let error = |manager: &Manager| manager.status()[0].error.clone().map(|(text, _)| text);
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let error = error(&self.manager);
            if error.is_some() == want.is_some()
                && error.unwrap_or_default().contains(want.unwrap_or(""))
            {
                return;
            }
            self.clock.advance(Duration::from_millis(50));
            tokio::task::yield_now().await;
        }
        panic!("{:?} never became {want:?}", error(&self.manager));
    }
}

/// `job: address` for every target, sorted; a job without targets is there alone.
fn addresses(targets: &HashMap<String, Vec<ferula_discovery::TargetGroup>>) -> Vec<String> {
    let mut out = Vec::new();
    for (job, groups) in targets {
        let found = groups.iter().flat_map(|group| &group.targets);
        let before = out.len();
        out.extend(found.map(|t| format!("{job}: {}", t.value("__address__"))));
        if out.len() == before {
            out.push(job.clone());
        }
    }
    out.sort();
    out
}

#[tokio::test]
async fn static_targets_come_and_go() {
    let mut f = fixture();
    f.apply([("a", vec![fixed(&["h:1", "h:2"])]), ("b", vec![])]);
    f.expect(&["a: h:1", "a: h:2", "b"]).await;
    let group = f.targets.borrow()["a"][0].clone();
    assert_eq!(group.labels, Labels::from_pairs([("from", "config")]));
    f.apply([("a", vec![fixed(&["h:3"])]), ("c", vec![fixed(&["h:3"])])]);
    f.expect(&["a: h:3", "c: h:3"]).await;
    assert_eq!(f.manager.status().len(), 1, "equal providers are one");
    f.apply([]);
    f.expect(&[]).await;
    assert!(f.manager.status().is_empty());
}

#[tokio::test]
async fn files_are_read_when_they_change() {
    let mut f = fixture();
    f.write("a.yml", "- targets: [h:1]\n  labels: {env: x}\n");
    f.write("b.json", r#"[{"targets": ["h:2"]}]"#);
    f.write("c.txt", "not a target file");
    f.apply([("j", vec![f.files(&["*.yml", "b.json"])])]);
    f.expect(&["j: h:1", "j: h:2"]).await;
    let path = f.folder.path().join("a.yml");
    let group = f.targets.borrow()["j"][0].clone();
    assert_eq!(group.labels.get("__meta_filepath"), path.to_str());
    assert_eq!(group.labels.get("env"), Some("x"));
    assert_eq!(group.source, format!("{}:0", path.display()));

    f.write("a.yml", "- targets: [h:9]\n");
    f.write("d.yml", "- targets: [h:4]\n");
    f.expect(&["j: h:2", "j: h:4", "j: h:9"]).await;
    std::fs::remove_file(&path).unwrap();
    f.expect(&["j: h:2", "j: h:4"]).await;
}

#[tokio::test]
async fn a_broken_file_keeps_its_targets_and_says_so() {
    let mut f = fixture();
    f.write("a.yml", "- targets: [h:1]\n");
    f.write("b.json", r#"[{"targets": ["h:2"]}]"#);
    f.apply([("j", vec![f.files(&["a.yml", "b.json"])])]);
    f.expect(&["j: h:1", "j: h:2"]).await;
    f.expect_error(None).await;

    f.write("a.yml", "- target: [h:5]\n");
    f.write("b.json", r#"[{"targets": ["h:3"]}]"#);
    f.expect(&["j: h:1", "j: h:3"]).await;
    f.expect_error(Some("a.yml:1:3: unknown key `target`"))
        .await;
    let status = f.manager.status().remove(0);
    let (_, since_ms) = status.error.unwrap();
    assert!(status.last_good_ms.unwrap() < since_ms);
    assert_eq!((status.targets, status.jobs), (2, vec!["j".to_owned()]));

    f.write("b.json", "[");
    f.expect_error(Some("(and 1 more files)")).await;
    f.write("a.yml", "- targets: [h:5]\n");
    f.write("b.json", "[]");
    f.expect(&["j: h:5"]).await;
    f.expect_error(None).await;
}

#[tokio::test]
async fn an_absent_file_is_said_and_awaited() {
    let mut f = fixture();
    f.apply([("j", vec![fixed(&["h:1"]), f.files(&["late.yml"])])]);
    f.expect(&["j: h:1"]).await;
    f.expect_error(Some("late.yml")).await;
    f.write("late.yml", "- targets: [h:2]\n");
    f.expect(&["j: h:1", "j: h:2"]).await;
}

#[tokio::test]
async fn what_stays_wanted_runs_on() {
    let mut f = fixture();
    f.write("a.yml", "- targets: [h:1]\n");
    let provider = f.files(&["a.yml"]);
    f.apply([("j", vec![provider.clone()])]);
    f.expect(&["j: h:1"]).await;
    let received = |f: &Fixture| {
        let received = &f.manager.metrics().received_updates;
        received.load(std::sync::atomic::Ordering::Relaxed)
    };
    assert_eq!(received(&f), 1);
    f.apply([
        ("j", vec![provider.clone()]),
        ("k", vec![provider, fixed(&["h:2"])]),
    ]);
    // The file's targets are there before anyone read it again.
    f.expect(&["j: h:1", "k: h:1", "k: h:2"]).await;
    assert_eq!(
        received(&f),
        2,
        "only the added provider had something to say"
    );
}

#[tokio::test]
async fn a_changed_job_has_no_gap() {
    let mut f = fixture();
    f.write("a.yml", "- targets: [h:1]\n");
    f.write("b.yml", "- targets: [h:2]\n");
    f.apply([("j", vec![f.files(&["a.yml"])])]);
    f.expect(&["j: h:1"]).await;
    let mut seen = f.manager.subscribe();
    seen.borrow_and_update();
    let watcher = tokio::spawn(async move {
        seen.changed().await.unwrap();
        addresses(&seen.borrow_and_update())
    });
    f.apply([("j", vec![f.files(&["a.yml", "b.yml"])])]);
    f.expect(&["j: h:1", "j: h:2"]).await;
    assert_eq!(
        watcher.await.unwrap(),
        ["j: h:1", "j: h:2"],
        "nothing was published in between"
    );
}

#[tokio::test]
async fn a_dropped_manager_stops_everything() {
    let mut f = fixture();
    f.write("a.yml", "- targets: [h:1]\n");
    f.apply([("j", vec![f.files(&["a.yml"])])]);
    f.expect(&["j: h:1"]).await;
    drop(f.manager);
    while f.targets.changed().await.is_ok() {}
    assert!(Path::new(f.folder.path()).exists());
}
