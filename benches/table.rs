//! Figures as text: one line a run, one table at the end.
//! Promise: medians over the rounds, and ratios beside the last contender, which is the peer.

use crate::process::Usage;

const MIB: f64 = 1024.0 * 1024.0;

pub fn line(name: &str, usage: &Usage, size_bytes: u64) -> String {
    format!(
        "{name:<14} {:>8.2} s wall {:>8.2} s CPU {:>8.1} MB/s {:>7.0} MiB peak",
        usage.wall_seconds,
        usage.cpu_seconds,
        size_bytes as f64 / 1e6 / usage.wall_seconds,
        usage.peak_bytes as f64 / MIB
    )
}

/// Medians of every contender, then what each costs in units of the last one. Needs at least one run of each.
pub fn summary(names: &[&str], usages: &[Vec<Usage>], size_bytes: u64) -> String {
    let medians: Vec<Usage> = usages.iter().map(|runs| median_usage(runs)).collect();
    let peer = medians[medians.len() - 1];
    let header = format!(
        "{:<14} {:>8} {:>8} {:>8} {:>9} {:>10} {:>10}",
        "median", "wall s", "CPU s", "MB/s", "peak MiB", "wall ratio", "CPU ratio"
    );
    let rows = names.iter().zip(&medians).map(|(name, usage)| {
        format!(
            "{name:<14} {:>8.2} {:>8.2} {:>8.1} {:>9.0} {:>10.2} {:>10.2}",
            usage.wall_seconds,
            usage.cpu_seconds,
            size_bytes as f64 / 1e6 / usage.wall_seconds,
            usage.peak_bytes as f64 / MIB,
            usage.wall_seconds / peer.wall_seconds,
            usage.cpu_seconds / peer.cpu_seconds
        )
    });
    let mut lines: Vec<String> = std::iter::once(header).chain(rows).collect();
    lines.extend(price_of_encryption(names, &medians));
    lines.join("\n")
}

fn price_of_encryption(names: &[&str], medians: &[Usage]) -> Option<String> {
    let of = |name: &str| names.iter().position(|other| *other == name).map(|at| medians[at]);
    let (encrypted, plain) = of("bonded").zip(of("bonded, plain"))?;
    let more = |with: f64, without: f64| (with / without - 1.0) * 100.0;
    Some(format!(
        "price of encryption: {:+.1} % wall, {:+.1} % CPU",
        more(encrypted.wall_seconds, plain.wall_seconds),
        more(encrypted.cpu_seconds, plain.cpu_seconds)
    ))
}

/// Each figure's own median.
fn median_usage(runs: &[Usage]) -> Usage {
    Usage {
        wall_seconds: median(runs.iter().map(|usage| usage.wall_seconds)),
        cpu_seconds: median(runs.iter().map(|usage| usage.cpu_seconds)),
        peak_bytes: median(runs.iter().map(|usage| usage.peak_bytes as f64)) as u64,
    }
}

/// The middle one, or the mean of the middle two.
fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}
