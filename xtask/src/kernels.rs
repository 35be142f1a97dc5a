//! `cargo xtask kernels`: how many instructions the hot kernels take, compared with the numbers that
//! are kept in the repository.
//!
//! Instructions are the same on a busy machine as on a quiet one, so a few per cent more mean
//! something. Valgrind counts them in `crates/testkit/examples/kernels.rs`, from the start to the
//! end of one function, over all threads.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use ferula_e2e::peers::repository;

/// Beyond this relative change a kernel counts as changed; runs of the same program differ by a
/// thousandth, because hash tables are seeded at random.
const CHANGE_MAX: f64 = 0.02;

/// The function whose calls are counted.
const COUNTED: &str = "kernels::count_instructions_of";

/// Options of `cargo xtask kernels`.
#[derive(Args)]
pub(crate) struct Options {
    /// Keep the numbers of this run to compare with.
    #[arg(long)]
    save: bool,
}

/// Counts, compares and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let valgrind = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    ensure!(
        valgrind.is_ok_and(|status| status.success()),
        "valgrind counts the instructions and is not here (Debian's package is called valgrind)"
    );
    let counted = count(&build()?)?;
    let path = repository().join("docs/bench/kernels.md");
    if options.save {
        std::fs::write(&path, page(&counted)?)?;
        println!("saved in {}", path.display());
        return Ok(());
    }
    let kept = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let (text, more) = compare(&counted, &parse(&kept));
    print!("{text}");
    ensure!(
        more == 0,
        "{more} kernels take more instructions than {} says; if that is meant, keep the numbers \
         with --save",
        path.display()
    );
    Ok(())
}

/// A kernel's name and its instructions.
type Kernels = Vec<(String, u64)>;

fn build() -> Result<PathBuf> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--package", "ferula-testkit"]);
    build.args(["--example", "kernels"]);
    let status = build.current_dir(repository()).status()?;
    ensure!(status.success(), "the kernels do not build");
    Ok(crate::check::target_folder()?.join("release/examples/kernels"))
}

/// Runs the program under callgrind, which writes a file for every call of the counted function.
fn count(program: &Path) -> Result<Kernels> {
    let folder = crate::check::target_folder()?.join("kernels");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let out = folder.join("out");
    let run = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(format!("--zero-before={COUNTED}"))
        .arg(format!("--dump-after={COUNTED}"))
        .arg(program)
        .stdin(Stdio::null())
        .output()?;
    let log = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "the kernels failed:\n{log}");
    let names = String::from_utf8(run.stdout)?;
    names
        .lines()
        .enumerate()
        .map(|(at, name)| {
            let part = folder.join(format!("out.{}", at + 1));
            let text = std::fs::read_to_string(&part)
                .with_context(|| format!("{name}: {}\n{log}", part.display()))?;
            let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
            let total = total.and_then(|total| total.trim().parse().ok());
            Ok((name.to_owned(), total.context("callgrind says no total")?))
        })
        .collect()
}

fn page(counted: &Kernels) -> Result<String> {
    let compiler = Command::new("rustc").arg("--version").output()?;
    let compiler = String::from_utf8_lossy(&compiler.stdout);
    let mut text = format!(
        "# Instructions of the hot kernels\n\n\
         Written by `cargo xtask kernels --save`, compared by `cargo xtask kernels`. Built by {}.\n\n\
         | Kernel | Instructions |\n|---|---|\n",
        compiler.trim()
    );
    for (name, instructions) in counted {
        let _ = writeln!(text, "| {name} | {instructions} |");
    }
    Ok(text)
}

fn parse(page: &str) -> Kernels {
    let rows = page.lines().filter_map(|line| {
        let (name, number) = line
            .strip_prefix("| ")?
            .strip_suffix(" |")?
            .split_once(" | ")?;
        Some((name.to_owned(), number.parse().ok()?))
    });
    rows.collect()
}

/// What changed, and how many kernels take more.
fn compare(counted: &Kernels, kept: &Kernels) -> (String, usize) {
    let (mut text, mut more) = (String::new(), 0);
    for (name, now) in counted {
        let before = kept.iter().find(|(have, _)| have == name);
        let Some((_, before)) = before else {
            let _ = writeln!(text, "{name}: {now}, not kept yet");
            more += 1;
            continue;
        };
        #[expect(clippy::cast_precision_loss)] // far below 2^53
        let change = *now as f64 / *before as f64 - 1.0;
        let word = match change {
            c if c > CHANGE_MAX => "MORE",
            c if c < -CHANGE_MAX => "less",
            _ => "same",
        };
        more += usize::from(word == "MORE");
        let _ = writeln!(text, "{word} {name}: {now} ({:+.2} %)", change * 100.0);
    }
    (text, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_back_and_a_costlier_kernel_is_told() {
        let kernels = |rate: u64| vec![("rate".to_owned(), rate), ("sum by".to_owned(), 500)];
        let page = page(&kernels(1_000)).expect("a compiler");
        assert_eq!(parse(&page), kernels(1_000));
        assert_eq!(compare(&kernels(1_015), &parse(&page)).1, 0);
        assert_eq!(compare(&kernels(500), &parse(&page)).1, 0);
        let (text, more) = compare(&kernels(1_040), &parse(&page));
        assert_eq!(more, 1);
        assert!(text.contains("MORE rate: 1040 (+4.00 %)"), "{text}");
        assert_eq!(compare(&kernels(1), &Vec::new()).1, 2);
    }
}
