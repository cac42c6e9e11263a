//! Disks that fail: a small one, and one whose power can be cut.
//! The second is ext4 on a loop device on FUSE (nbdfuse) on nbdkit with a volatile write-back cache: what was not flushed
//! when nbdkit is killed is gone, and what was is there.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::{run_quietly, text};

fn left_out(why: &str) {
    println!("left out: {why}");
}

/// A tmpfs of its own.
pub struct Small {
    folder: TempDir,
}

impl Small {
    pub fn new(size: &str) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let option = format!("size={size}");
        if run_quietly("mount", &["-t", "tmpfs", "-o", &option, "none", text(folder.path())]).is_none() {
            left_out("a small disk cannot be mounted here (it takes root)");
            return None;
        }
        Some(Self { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = run_quietly("umount", &["-l", text(self.folder.path())]);
    }
}

/// Fills the disk that the file lies on, but for so many bytes.
pub fn fill(filler: &Path, free_bytes: u64) {
    let mut file = std::fs::File::create(filler).expect("made");
    let block = vec![0; 64 << 10];
    let mut written: u64 = 0;
    while let Ok(more) = file.write(&block) {
        written += more as u64;
    }
    file.set_len(written.saturating_sub(free_bytes)).expect("cut");
}

pub struct PowerCut {
    folder: TempDir,
    running: Option<Running>,
}

struct Running {
    nbdkit: Child,
    nbdfuse: Child,
    loop_device: String,
}

impl PowerCut {
    pub fn new() -> Option<Self> {
        for tool in ["nbdkit", "nbdfuse", "losetup", "mkfs.ext4"] {
            if run_quietly(tool, &["--version"]).or_else(|| run_quietly(tool, &["-V"])).is_none() {
                left_out(&format!("{tool} is not there (tests/setup.sh installs nbdkit, libnbd-bin and fuse3 as root)"));
                return None;
            }
        }
        let folder = TempDir::new().expect("a temporary folder");
        for name in ["nbd", "mounted"] {
            std::fs::create_dir(folder.path().join(name)).expect("made");
        }
        let disk = std::fs::File::create(folder.path().join("disk")).expect("made");
        disk.set_len(192 << 20).expect("sized");
        let mut made = Self { folder, running: None };
        let Some(running) = made.plug_in() else {
            left_out("no disk can be plugged in here (it takes root, FUSE and loop devices)");
            return None;
        };
        let device = running.loop_device.clone();
        made.running = Some(running);
        run_quietly("mkfs.ext4", &["-q", &device]).expect("a file system");
        run_quietly("mount", &[&device, text(&made.path())]).expect("mounted");
        Some(made)
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn plug_in(&self) -> Option<Running> {
        let at = |name: &str| self.folder.path().join(name);
        let spawn = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
        };
        let _ = std::fs::remove_file(at("socket"));
        let file = format!("file={}", text(&at("disk")));
        let mut nbdkit = spawn("nbdkit", &["-f", "-U", text(&at("socket")), "--filter=cache", "file", &file, "cache=writeback"])?;
        let image = at("nbd").join("disk.img");
        let nbdfuse = wait_for(&at("socket")).then(|| spawn("nbdfuse", &[text(&image), "--unix", text(&at("socket"))])).flatten();
        let Some(mut nbdfuse) = nbdfuse else {
            stop(&mut nbdkit);
            return None;
        };
        let loop_device = wait_for(&image).then(|| run_quietly("losetup", &["-f", "--show", text(&image)])).flatten();
        let Some(loop_device) = loop_device else {
            stop(&mut nbdkit);
            stop(&mut nbdfuse);
            let _ = run_quietly("umount", &["-l", text(&at("nbd"))]);
            return None;
        };
        Some(Running { nbdkit, nbdfuse, loop_device })
    }

    /// The power goes. What runs on the disk must be ended by who started it.
    pub fn cut(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        stop(&mut running.nbdkit);
        let _ = run_quietly("umount", &["-l", text(&self.path())]);
        let _ = run_quietly("losetup", &["-d", &running.loop_device]);
        let _ = run_quietly("umount", &["-l", text(&self.folder.path().join("nbd"))]);
        stop(&mut running.nbdfuse);
    }

    pub fn restore(&mut self) {
        let running = self.plug_in().expect("plugged in again");
        run_quietly("mount", &[&running.loop_device, text(&self.path())]).expect("mounted again");
        self.running = Some(running);
    }
}

impl Drop for PowerCut {
    fn drop(&mut self) {
        self.cut();
    }
}

fn stop(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn wait_for(path: &Path) -> bool {
    for _ in 0..200 {
        if path.exists() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
