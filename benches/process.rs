//! One contender as a child process: wall time, CPU time, peak memory.
//! Promise: CPU is the kernel's count for waited-for children, so threads and their ends are all in it; peak memory is the
//! kernel's high-water mark, read every few milliseconds until the end (the last few may be missed, the mark never sinks).
//! Never: no `unsafe`, hence `/proc` instead of `wait4`; Linux only.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::Outcome;

/// `/proc` counts in ticks of 1/100 s on every Linux that Rust's tier 1 and 2 cover (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;
const PEAK_PROBE_EVERY: Duration = Duration::from_millis(3);
/// Of a failed child's output, what is shown.
const SHOWN_BYTES: usize = 2000;

#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub wall_seconds: f64,
    /// User and system.
    pub cpu_seconds: f64,
    pub peak_bytes: u64,
}

/// Runs the command to its end. Its output goes to files in `folder`, so that no pipe can fill up and stall it.
pub fn measure(command: &mut Command, folder: &Path) -> Outcome<Usage> {
    let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
    command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
    let cpu_before = children_cpu_seconds()?;
    let started = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("{} does not start: {error}", shown(command)))?;
    let status_path = format!("/proc/{}/status", child.id());
    let ended = AtomicBool::new(false);
    let (status, wall_seconds, peak_bytes) = thread::scope(|scope| {
        let probe = scope.spawn(|| watch_peak(&status_path, &ended));
        let status = child.wait();
        let wall_seconds = started.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        (status, wall_seconds, probe.join().unwrap_or(0))
    });
    if !status?.success() {
        return Err(format!("{} failed:\n{}{}", shown(command), tail(&stdout), tail(&stderr)).into());
    }
    Ok(Usage { wall_seconds, cpu_seconds: children_cpu_seconds()? - cpu_before, peak_bytes })
}

/// Runs a command that is not measured and gives its standard output.
pub fn output(command: &mut Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{} does not start: {error}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} failed:\n{said}", shown(command)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn watch_peak(status_path: &str, ended: &AtomicBool) -> u64 {
    let mut peak_bytes = 0;
    while !ended.load(Ordering::Relaxed) {
        if let Some(mark) = fs::read_to_string(status_path).ok().as_deref().and_then(peak_of) {
            peak_bytes = peak_bytes.max(mark);
        }
        thread::sleep(PEAK_PROBE_EVERY);
    }
    peak_bytes
}

/// `VmHWM:   123456 kB`
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Fields 16 and 17 of `/proc/self/stat` (proc(5)): CPU of children that were waited for. The name in field 2 may hold
/// anything, so fields are counted from its closing parenthesis.
fn children_cpu_seconds() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: Vec<u64> = fields.split_whitespace().skip(13).take(2).filter_map(|field| field.parse().ok()).collect();
    match ticks[..] {
        [user, system] => Ok((user + system) as f64 / TICKS_PER_SECOND),
        _ => Err("/proc/self/stat has not the fields that proc(5) names".into()),
    }
}

fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(SHOWN_BYTES)..]).into_owned()
}

fn shown(command: &Command) -> String {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    format!("`{} {}`", command.get_program().to_string_lossy(), arguments.join(" "))
}
