//! A power cut: the server writes to a file system of its own on a loop device, whose image is
//! copied at one instant, with the server stopped. The copy holds what had reached the device and
//! nothing that was only in the page cache. It is mounted, and the server goes on with that.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ferula_e2e::history::History;
use ferula_e2e::random::Random;
use ferula_e2e::server::{Kind, Server, now_ms, server_binary};
use ferula_e2e::{skip, wait_for};
use nix::sched::{CloneFlags, unshare};
use rustix::process::Signal;

use super::writers::{Pace, check, line_up, write_until_killed};
use super::{KILL_AFTER_MS_MAX, SMALL_BLOCK, WRITERS, blocks};

/// Rounds at least, and until blocks are cut, which takes longer on a busy machine.
const ROUNDS: u64 = 8;
const ROUNDS_MAX: u64 = 60;

/// Fast enough that blocks are cut soon.
const PACE: Pace = Pace {
    step_ms: 10_000,
    history_ms: 36 * 60 * 60 * 1000,
};

/// Room for some log segments; what is not written takes none.
const IMAGE_BYTES: u64 = 1 << 30;

/// A system call that was under way when the server was stopped has ended after this.
const CALLS_END: Duration = Duration::from_millis(200);

#[test]
fn acknowledged_samples_survive_a_power_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut volume = match Volume::create(folder.path()) {
        Ok(volume) => volume,
        Err(e) => {
            let reason = format!("needs root, loop devices and mkfs.ext4: {e:#}");
            return skip("acknowledged_samples_survive_a_power_cut", &reason);
        }
    };
    let binary = server_binary().expect("the server builds");
    let mut server = Server::prepare(Kind::Ferula, binary, &volume.mounted).expect("a folder");
    server.add_arguments(&["--storage.tsdb.min-block-duration", SMALL_BLOCK]);
    server.start().expect("the server starts");

    let seed = u64::try_from(now_ms()).expect("after 1970");
    let mut random = Random::new(seed);
    let mut writers = PACE.writers(WRITERS, seed, true);
    let mut history = History::default();
    for round in 0..ROUNDS_MAX {
        let after_ms = random.below(KILL_AFTER_MS_MAX);
        write_until_killed(&mut server, &mut writers, after_ms, |server| {
            let stopped = server.process().signal(Signal::STOP);
            stopped.expect("it runs");
            std::thread::sleep(CALLS_END);
            volume.freeze().expect("the image is copied");
        });
        volume.go_on_with_copy().expect("the copy is mounted");
        server.start().expect("the server recovers");
        for writer in &mut writers {
            history.merge(std::mem::take(&mut writer.history));
        }
        line_up(&mut writers);
        check(
            &server,
            PACE,
            &history,
            &format!("round {round}, seed {seed}"),
        );
        if round >= ROUNDS && blocks(&server) > 0 {
            break;
        }
    }
    println!(
        "{} sent, {} acknowledged, seed {seed}",
        history.sent(),
        history.acknowledged()
    );
    assert!(blocks(&server) > 0, "no block was cut");
    drop(server);
}

/// A file system in a file, mounted for this thread and the processes it starts alone.
struct Volume {
    image: PathBuf,
    copy: PathBuf,
    mounted: PathBuf,
}

impl Volume {
    fn create(folder: &Path) -> Result<Self> {
        // So the mount ends with this thread, whatever happens.
        unshare(CloneFlags::CLONE_NEWNS)?;
        run(Command::new("mount").args(["--make-rprivate", "/"]))?;
        let volume = Self {
            image: folder.join("image"),
            copy: folder.join("copy"),
            mounted: folder.join("mounted"),
        };
        std::fs::create_dir(&volume.mounted)?;
        std::fs::File::create(&volume.image)?.set_len(IMAGE_BYTES)?;
        run(Command::new("mkfs.ext4").arg("-q").arg(&volume.image))?;
        volume.mount()?;
        Ok(volume)
    }

    fn mount(&self) -> Result<()> {
        let mut mount = Command::new("mount");
        run(mount
            .args(["-o", "loop"])
            .arg(&self.image)
            .arg(&self.mounted))
    }

    /// Copies what is on the device.
    fn freeze(&self) -> Result<()> {
        let mut copy = Command::new("cp");
        run(copy.arg("--sparse=always").arg(&self.image).arg(&self.copy))
    }

    /// Mounts the copy in place of the image.
    fn go_on_with_copy(&mut self) -> Result<()> {
        wait_for("the volume to be free", Duration::from_secs(30), || {
            run(Command::new("umount").arg(&self.mounted))
        })?;
        std::fs::rename(&self.copy, &self.image)?;
        self.mount()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // What is still mounted goes with the thread.
        let _ = run(Command::new("umount").arg(&self.mounted));
    }
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command
        .output()
        .with_context(|| format!("starting {name}"))?;
    let text = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{name}: {}", text.trim());
    Ok(())
}
