//! Targets read from files: `file_sd_configs`.
//!
//! Files are looked at every few seconds and read when they changed, so that replaced links
//! (Kubernetes' config maps) and network file systems work like any other.

mod glob;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use ferula_config::FileSdConfig;
use ferula_env::{Disk, FileStat, spawn};
use futures::future::BoxFuture;

use crate::TargetGroup;
use crate::manager::Outbox;
use crate::provider::{Found, Provider, World};

/// How often files are looked at, unless the configuration asks for more often.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Files of one provider. More are a pattern that matches what it should not.
const FILES_MAX: usize = 10_000;

/// Targets read from files.
pub(crate) struct Files {
    config: FileSdConfig,
    known: BTreeMap<PathBuf, File>,
}

/// A file as it was looked at last.
#[derive(Default)]
struct File {
    /// Its state when it was read; absent if that failed.
    stat: Option<FileStat>,
    /// What it said when it last could be read.
    groups: Vec<TargetGroup>,
    error: Option<String>,
}

impl Provider for Files {
    fn run(self: Box<Self>, world: World, outbox: Outbox) -> BoxFuture<'static, ()> {
        Box::pin(run(*self, world, outbox))
    }
}

async fn run(mut files: Files, world: World, outbox: Outbox) {
    let config = files.config.clone();
    let look_interval = LOOK_INTERVAL.min(config.refresh_interval);
    let mut sent = None;
    let mut read_all_at = world.clock.monotonic();
    loop {
        let now = world.clock.monotonic();
        let read_all = now >= read_all_at;
        if read_all {
            read_all_at = now + config.refresh_interval;
        }
        let (disk, metrics) = (world.disk.clone(), world.metrics.clone());
        let looked = spawn::blocking(move || {
            let errors = files.look(&*disk, read_all);
            metrics
                .file_read_errors
                .fetch_add(errors, Ordering::Relaxed);
            files
        });
        let Ok(looked) = looked.await else {
            // The runtime is ending; there is nobody left to tell.
            return;
        };
        files = looked;
        let found = files.found();
        if sent.as_ref() != Some(&found) {
            sent = Some(found.clone());
            outbox.send(found);
        }
        world.clock.sleep(look_interval).await;
    }
}

impl Files {
    pub(crate) fn new(config: FileSdConfig) -> Self {
        Self {
            config,
            known: BTreeMap::new(),
        }
    }

    /// Reads the files that changed, or all of them; answers how many could not be read. What is
    /// gone is forgotten, what cannot be read keeps what it said.
    fn look(&mut self, disk: &dyn Disk, read_all: bool) -> u64 {
        let paths = match self.paths(disk) {
            Ok(paths) => paths,
            // Which files there are is not known: everything stays as it was.
            Err((pattern, error)) => {
                self.known.entry(pattern).or_default().error = Some(error);
                return 1;
            }
        };
        self.known.retain(|path, _| paths.contains(path));
        let mut errors = 0;
        for path in paths {
            let file = self.known.entry(path.clone()).or_default();
            file.error = file.look(disk, &path, read_all).err();
            errors += u64::from(file.error.is_some());
        }
        errors
    }

    /// The files that the patterns stand for, or the pattern that cannot be followed and why.
    fn paths(&self, disk: &dyn Disk) -> Result<BTreeSet<PathBuf>, (PathBuf, String)> {
        let mut paths = BTreeSet::new();
        for pattern in &self.config.files {
            let found = glob::expand(disk, pattern);
            paths.extend(found.map_err(|e| (pattern.clone(), e.to_string()))?);
            if paths.len() > FILES_MAX {
                let error = format!("{}: more than {FILES_MAX} files", pattern.display());
                return Err((pattern.clone(), error));
            }
        }
        Ok(paths)
    }

    fn found(&self) -> Found {
        let groups = self
            .known
            .values()
            .flat_map(|file| file.groups.iter().cloned());
        let mut errors = self.known.values().filter_map(|file| file.error.as_ref());
        let first = errors.next();
        let more = errors.count();
        Found {
            groups: groups.collect(),
            error: first.map(|first| match more {
                0 => first.clone(),
                _ => format!("{first} (and {more} more files)"),
            }),
        }
    }
}

impl File {
    fn look(&mut self, disk: &dyn Disk, path: &Path, read: bool) -> Result<(), String> {
        let known = self.stat.take();
        let stat = disk.stat(path).map_err(|e| {
            // What is gone has no targets; what cannot be looked at still may.
            if e.kind() == io::ErrorKind::NotFound {
                self.groups.clear();
            }
            e.to_string()
        })?;
        if read || known != Some(stat) {
            self.groups = read::read(disk, path)?;
        }
        // If it was written to while it was read, it has another state next time.
        self.stat = Some(stat);
        Ok(())
    }
}
