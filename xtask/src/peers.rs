//! Fetches the peers (Prometheus and its tool, VictoriaMetrics, exporters) from Debian packages,
//! unpacked beside the system and never installed over it.
//!
//! Peers must be as new as users run them, so Debian's unstable suite is asked first and the
//! machine's own suite when that fails. The mirror is the one this machine already uses. apt gets a
//! configuration, state and cache of its own below the peers folder, which needs no privileges.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use ferula_e2e::peers::{Peer, folder};

/// The suite with the newest packages.
const NEWEST_SUITE: &str = "sid";

/// Makes every peer present that can be; prints where each comes from or why it is missing.
pub(crate) fn fetch_missing() {
    let missing: Vec<Peer> = Peer::ALL
        .into_iter()
        .filter(|peer| peer.find().is_err())
        .collect();
    if !missing.is_empty()
        && let Err(e) = fetch(&missing)
    {
        println!("peers: {e:#}");
    }
    for peer in Peer::ALL {
        match peer.find() {
            Ok(_) => println!("peer {}: {}", peer.name(), peer.version()),
            Err(reason) => println!("peer {}: missing: {reason}", peer.name()),
        }
    }
}

fn fetch(peers: &[Peer]) -> Result<()> {
    let apt_missing = "needs apt-get and dpkg; without them put the binaries there by hand";
    for tool in ["apt-get", "dpkg"] {
        let found = Command::new(tool)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        ensure!(
            found.is_ok_and(|status| status.success()),
            "{} {apt_missing}",
            folder().display()
        );
    }
    let mirror = Mirror::of_this_machine(Path::new("/etc/apt"))?;
    let mut wanted = peers.to_vec();
    for suite in [NEWEST_SUITE, &mirror.suite] {
        println!("peers: asking Debian's {suite}");
        let work = folder().join(format!("apt-{suite}-{}", std::process::id()));
        let result = Apt::open(&mirror, suite, &work).map(|apt| {
            wanted.retain(|&peer| match apt.fetch(peer) {
                Ok(()) => false,
                Err(e) => {
                    println!("peers: {} of {suite}: {e:#}", peer.name());
                    true
                }
            });
        });
        if work.exists() {
            std::fs::remove_dir_all(&work)?;
        }
        if let Err(e) = result {
            println!("peers: {suite}: {e:#}");
        }
        if wanted.is_empty() {
            return Ok(());
        }
    }
    Ok(())
}

fn check_runs(binary: &Path) -> Result<()> {
    let out = Command::new(binary)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {}", binary.display()))?;
    let text = String::from_utf8_lossy(&out.stderr);
    let line = text.lines().next().unwrap_or_default();
    ensure!(out.status.success(), "does not run here: {line}");
    Ok(())
}

/// apt with its own sources, state and cache.
struct Apt {
    suite: String,
    work: PathBuf,
    config: PathBuf,
}

impl Apt {
    /// Reads the package lists of `suite`.
    fn open(mirror: &Mirror, suite: &str, work: &Path) -> Result<Self> {
        for part in ["state/lists/partial", "cache/archives/partial", "unpacked"] {
            std::fs::create_dir_all(work.join(part))?;
        }
        let config = work.join("apt.conf");
        std::fs::write(work.join("peers.sources"), mirror.sources(suite))?;
        std::fs::write(&config, apt_config(work))?;
        let apt = Self {
            suite: suite.to_owned(),
            work: work.to_owned(),
            config,
        };
        apt.run(&["update"])?;
        Ok(apt)
    }

    /// Downloads and unpacks one peer, tries it, and moves it to the peers folder.
    fn fetch(&self, peer: Peer) -> Result<()> {
        self.run(&["download", peer.package()])?;
        let unpacked = self.work.join("unpacked").join(peer.name());
        let prefix = format!("{}_", peer.package());
        let mut package_version = String::new();
        for entry in std::fs::read_dir(&self.work)? {
            let entry = entry?;
            let file = entry.file_name().to_string_lossy().into_owned();
            if let Some(rest) = file.strip_prefix(&prefix) {
                package_version = rest.split('_').next().unwrap_or(rest).to_owned();
                run(Command::new("dpkg")
                    .arg("-x")
                    .arg(entry.path())
                    .arg(&unpacked))?;
            }
        }
        let binary = unpacked.join("usr/bin").join(peer.name());
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755))
            .with_context(|| format!("the package has no {}", binary.display()))?;
        check_runs(&binary)?;
        std::fs::write(
            peer.version_file(),
            format!("{package_version} (Debian {})\n", self.suite),
        )?;
        std::fs::rename(&binary, folder().join(peer.name()))?;
        Ok(())
    }

    fn run(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new("apt-get");
        command
            .arg("--quiet")
            .arg("--config-file")
            .arg(&self.config)
            .args(args);
        run(command.current_dir(&self.work))
    }
}

/// Keeps the system's proxies and certificates; takes away its hooks and all that it would write to.
fn apt_config(work: &Path) -> String {
    let work = work.display();
    format!(
        r#"Dir::Etc::sourcelist "{work}/peers.sources";
Dir::Etc::sourceparts "-";
Dir::State "{work}/state";
Dir::State::status "/dev/null";
Dir::Cache "{work}/cache";
Dir::Log "{work}/state";
APT::Sandbox::User "";
Acquire::Languages "none";
APT::Update::Error-Mode "any";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"#
    )
}

/// Where this machine gets its Debian packages.
#[derive(Debug, PartialEq)]
struct Mirror {
    uri: String,
    /// The keys that sign it: a file, or the key itself as apt allows.
    signed_by: Option<String>,
    /// The suite this machine runs.
    suite: String,
}

impl Mirror {
    fn of_this_machine(etc_apt: &Path) -> Result<Self> {
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let suite = release
            .lines()
            .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
            .context("not a Debian release (/etc/os-release names no codename)")?
            .trim_matches('"');
        let mut files = vec![etc_apt.join("sources.list")];
        if let Ok(entries) = std::fs::read_dir(etc_apt.join("sources.list.d")) {
            files.extend(entries.flatten().map(|entry| entry.path()));
        }
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let found = match file.extension().and_then(|extension| extension.to_str()) {
                Some("sources") => Self::in_stanzas(&text, suite),
                Some("list") => Self::in_lines(&text, suite),
                _ => None,
            };
            if let Some(mirror) = found {
                return Ok(mirror);
            }
        }
        bail!("{} names no mirror of {suite}", etc_apt.display());
    }

    /// Looks through stanzas of `Key: value` lines, continued by leading blanks.
    fn in_stanzas(text: &str, suite: &str) -> Option<Self> {
        text.split("\n\n").find_map(|stanza| {
            // A continued value keeps its line breaks as this mark.
            const FOLD: char = '\u{1}';
            let lines: Vec<&str> = stanza
                .lines()
                .filter(|line| !line.starts_with('#'))
                .collect();
            let unfolded = lines
                .join("\n")
                .replace("\n ", "\u{1}")
                .replace("\n\t", "\u{1}");
            let value = |key: &str| {
                unfolded.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case(key).then(|| value.trim())
                })
            };
            let words = |key: &str| {
                let text = value(key).unwrap_or_default();
                text.split([' ', '\t', FOLD])
                    .filter(|word| !word.is_empty())
            };
            let named = |key: &str, word: &str| words(key).any(|have| have == word);
            if !(named("Types", "deb") && named("Suites", suite) && named("Components", "main")) {
                return None;
            }
            Some(Self {
                uri: words("URIs").next()?.to_owned(),
                signed_by: value("Signed-By").map(|keys| keys.replace(FOLD, "\n ")),
                suite: suite.to_owned(),
            })
        })
    }

    /// Looks through lines of the form `deb [options] uri suite components…`.
    fn in_lines(text: &str, suite: &str) -> Option<Self> {
        text.lines().find_map(|line| {
            let rest = line.trim().strip_prefix("deb ")?.trim_start();
            let (options, rest) = match rest.strip_prefix('[') {
                Some(rest) => rest.split_once(']')?,
                None => ("", rest),
            };
            let mut words = rest.split_whitespace();
            let uri = words.next()?;
            (words.next() == Some(suite) && words.any(|component| component == "main")).then(|| {
                Self {
                    uri: uri.to_owned(),
                    signed_by: options
                        .split_whitespace()
                        .find_map(|option| option.strip_prefix("signed-by=").map(str::to_owned)),
                    suite: suite.to_owned(),
                }
            })
        })
    }

    fn sources(&self, suite: &str) -> String {
        let uri = &self.uri;
        let mut text = format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\n");
        if let Some(keys) = &self.signed_by {
            let _ = writeln!(text, "Signed-By: {keys}");
        }
        text
    }
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {name}"))?;
    let text = String::from_utf8_lossy(&out.stderr);
    // apt says the cause first and advice last.
    let cause = text
        .lines()
        .find(|line| line.starts_with("E:"))
        .or_else(|| text.lines().last());
    ensure!(
        out.status.success(),
        "{name}: {}",
        cause.unwrap_or("failed without a word")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_mirror_in_stanzas_and_lines() {
        let mirror = |signed_by: Option<&str>| {
            Some(Mirror {
                uri: "http://mirror/debian".to_owned(),
                signed_by: signed_by.map(str::to_owned),
                suite: "trixie".to_owned(),
            })
        };
        let security = "Types: deb\nURIs: http://mirror/security\nSuites: trixie-security\n\
                        Components: main\n\n";
        let stanza = "Types: deb deb-src\n# a comment\nURIs: http://mirror/debian\n\
                      Suites: trixie trixie-updates\nComponents: main contrib\n";
        assert_eq!(
            Mirror::in_stanzas(&format!("{security}{stanza}"), "trixie"),
            mirror(None)
        );
        let keyed = format!("{stanza}Signed-By: /usr/share/keys.gpg\n");
        assert_eq!(
            Mirror::in_stanzas(&keyed, "trixie"),
            mirror(Some("/usr/share/keys.gpg"))
        );
        let inline = format!("{stanza}Signed-By:\n -----BEGIN\n .\n -----END\n");
        let found = Mirror::in_stanzas(&inline, "trixie").expect("a mirror");
        assert!(
            found
                .sources("sid")
                .ends_with("Signed-By: \n -----BEGIN\n .\n -----END\n")
        );
        assert_eq!(Mirror::in_stanzas(security, "trixie"), None);

        let line = "deb http://mirror/security trixie-security main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://mirror/debian trixie main\n";
        assert_eq!(Mirror::in_lines(line, "trixie"), mirror(Some("/k.gpg")));
        assert_eq!(
            Mirror::in_lines("# deb http://mirror/debian trixie main\n", "trixie"),
            None
        );
        assert_eq!(
            Mirror::in_lines("deb http://mirror/debian trixie contrib\n", "trixie"),
            None
        );
    }
}
