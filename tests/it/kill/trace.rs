//! strace: syncs refused on purpose, and the order in which files are written, named and synced.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Command, Output, Stdio},
};

pub fn works() -> bool {
    Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// The command under strace with these options.
fn traced(options: &[&str], command: &Command) -> Output {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq"]).args(options).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        traced.current_dir(folder);
    }
    traced.stdin(Stdio::null()).output().expect("strace starts")
}

/// Of each of its threads, all syncs from this one on, 1-based, fail with EIO (strace counts by thread). Answers those that did.
pub fn refusing_syncs(log: &Path, command: &Command, from: u32) -> (Output, Vec<String>) {
    let inject = format!("inject=fsync,fdatasync:error=EIO:when={from}+");
    let path = log.to_str().expect("text");
    let run = traced(&["-y", "-o", path, "-e", "trace=fsync,fdatasync", "-e", &inject], command);
    let text = std::fs::read_to_string(log).expect("a log");
    (run, whole_calls(&text).into_iter().filter(|call| call.contains("INJECTED")).collect())
}

pub fn log(to: &Path, command: &Command) -> Output {
    let calls = "trace=openat,rename,renameat,renameat2,link,linkat,fsync,fdatasync,write,writev,pwrite64";
    traced(&["-y", "-s", "0", "-o", to.to_str().expect("text"), "-e", calls], command)
}

/// Reads the log in order: at each sync of a tenant's ledger, every object that has its name must have been synced since it
/// was last written, and so must its folder since the object got its name. Answers objects and syncs of the ledger.
pub fn unsynced_at_commits(log: &str, lake: &Path) -> (usize, usize) {
    let lake = lake.canonicalize().expect("there").display().to_string();
    let is_object =
        |path: &str| path.starts_with(&lake) && (path.contains("/warehouse/") || path.contains("/raw/")) && !path.contains('#');
    let folder = |path: &str| path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    // Files by the last name they have, with whether content and name are on the disk.
    let mut content: BTreeMap<String, bool> = BTreeMap::new();
    let mut named: BTreeMap<String, bool> = BTreeMap::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut commits = 0;
    for line in whole_calls(log) {
        let Some((call, arguments)) = line.split_once('(') else { continue };
        if line.contains(" = -1 ") {
            continue;
        }
        let quoted: Vec<&str> = arguments.split('"').skip(1).step_by(2).collect();
        let descriptor = arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(path, _)| path);
        match call {
            "write" | "writev" | "pwrite64" => {
                content.insert(descriptor.to_owned(), false);
            }
            "fsync" | "fdatasync" if descriptor.ends_with("control.sqlite-wal") && descriptor.contains("/tenants/") => {
                commits += 1;
                for (path, on_disk) in &named {
                    assert!(on_disk, "the ledger was synced before the name of {path}");
                    assert!(content.get(path).copied().unwrap_or(true), "the ledger was synced before {path}");
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(on_disk) = content.get_mut(descriptor) {
                    *on_disk = true;
                }
                for (path, on_disk) in &mut named {
                    *on_disk |= folder(path) == descriptor;
                }
            }
            _ if call.starts_with("rename") || call.starts_with("link") => {
                let [from, to] = quoted[..] else { continue };
                let synced = content.get(from).copied().unwrap_or(true);
                content.insert(to.to_owned(), synced);
                if call.starts_with("rename") {
                    named.remove(from);
                }
                if is_object(to) {
                    named.insert(to.to_owned(), false);
                    seen.insert(to.to_owned());
                }
            }
            _ => {}
        }
    }
    (seen.len(), commits)
}

/// Calls that another thread's interrupted are put together, at the place where they ended.
fn whole_calls(log: &str) -> Vec<String> {
    let mut open: BTreeMap<&str, String> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix("<unfinished ...>") {
            open.insert(thread, begun.to_owned());
        } else if call.starts_with("<... ") {
            let rest = call.split_once("resumed>").map_or("", |(_, rest)| rest);
            calls.push(open.remove(thread).unwrap_or_default() + rest);
        } else {
            calls.push(call.to_owned());
        }
    }
    calls
}
