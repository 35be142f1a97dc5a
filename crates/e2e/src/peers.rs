//! The programs Ferula is compared with, and where this machine keeps them.
//!
//! `cargo xtask peers` fills the folder from Debian packages; anyone may put binaries there by hand.

use std::path::{Path, PathBuf};

/// Names another folder than `.cache/peers` in the repository.
pub const PEERS_ENV: &str = "FERULA_PEERS";

/// A program that Ferula is tested beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The reference server.
    Prometheus,
    /// The other server that benchmarks compare with.
    VictoriaMetrics,
    /// A real exporter.
    NodeExporter,
    /// A server whose metrics of itself benchmarks store.
    Etcd,
    /// The reference's tool, which judges blocks that Ferula writes.
    Promtool,
}

impl Peer {
    /// Every peer.
    pub const ALL: [Self; 5] = [
        Self::Prometheus,
        Self::VictoriaMetrics,
        Self::NodeExporter,
        Self::Etcd,
        Self::Promtool,
    ];

    /// Name of the Debian package.
    pub fn package(self) -> &'static str {
        match self {
            Self::Etcd => "etcd-server",
            other => other.name(),
        }
    }

    /// Name of the binary inside the package and of the file in the peers folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::VictoriaMetrics => "victoria-metrics",
            Self::NodeExporter => "prometheus-node-exporter",
            Self::Etcd => "etcd",
            Self::Promtool => "promtool",
        }
    }

    /// The package's version, which not every binary tells by itself.
    pub fn version(self) -> String {
        let text = std::fs::read_to_string(self.version_file()).unwrap_or_default();
        let version = text.trim();
        if version.is_empty() {
            "unknown version".to_owned()
        } else {
            version.to_owned()
        }
    }

    /// Where [`version`](Self::version) is kept, beside the binary.
    pub fn version_file(self) -> PathBuf {
        folder().join(format!("{}.version", self.name()))
    }

    /// The binary, or why there is none.
    pub fn find(self) -> Result<PathBuf, String> {
        let path = folder().join(self.name());
        if path.is_file() {
            return Ok(path);
        }
        let name = self.name();
        Err(format!(
            "no {name} on this machine (`cargo xtask peers` fetches it)"
        ))
    }
}

/// The folder that holds the peers' binaries.
pub fn folder() -> PathBuf {
    std::env::var_os(PEERS_ENV).map_or_else(|| repository().join(".cache/peers"), PathBuf::from)
}

/// The root of the repository this was built from.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies two folders below the root")
}
