//! `score`: how clean each delivery and each month was.

use super::{
    args, open,
    output::{Output, table},
    progress::spinning,
};
use crate::{
    error::Result,
    lakehouse::Lakehouse,
    score::{MonthScore, Score, months, score as run},
};

/// Months in the line.
const MONTHS_SHOWN_MAX: usize = 60;

pub async fn score(house: &Lakehouse, args: &args::Score, output: &Output) -> Result<u8> {
    let tenant = open(house, &args.tenant).await?;
    let scores = spinning("scoring", run(house, &tenant)).await?;
    tenant.audit(house.clock.as_ref(), "score", args.tenant.as_str(), "done").await?;
    let months = months(&scores);
    match args.months {
        true => output.list(&months, || by_month(&months))?,
        false => output.list(&scores, || format!("{}\n\n{}", by_delivery(&scores), by_month(&months)))?,
    }
    Ok(0)
}

fn by_delivery(scores: &[Score]) -> String {
    let rows = scores.iter().map(|score| {
        [
            score.delivery_id.clone(),
            score.report.map_or("-".into(), |report| report.to_string()),
            score.file_name.clone(),
            score.month.clone(),
            points(score.score_tenths),
            points(score.completeness_tenths),
            points(score.rejects_tenths),
            points(score.drift_tenths),
            points(score.findings_tenths),
        ]
    });
    table(["delivery", "report", "file", "month", "score", "complete /40", "rejects /25", "drift /15", "findings /20"], rows)
}

fn by_month(months: &[MonthScore]) -> String {
    let rows = months.iter().map(|m| [m.month.clone(), m.deliveries.to_string(), points(m.score_tenths), bar(m.score_tenths)]);
    let mut out = table(["month", "deliveries", "score", ""], rows);
    if let [first, .., last] = months {
        out.push_str(&format!("\n\n{} {} {}", first.month, sparkline(months), last.month));
    }
    out
}

fn points(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// One character a month of the calendar, a dot where nothing was delivered; the newest 60.
fn sparkline(months: &[MonthScore]) -> String {
    let number = |month: &str| -> Option<usize> {
        let (year, month) = month.split_once('-')?;
        Some(year.parse::<usize>().ok()? * 12 + month.parse::<usize>().ok()? - 1)
    };
    let known: Vec<(usize, u64)> = months.iter().filter_map(|m| Some((number(&m.month)?, m.score_tenths))).collect();
    let Some(((first, _), (last, _))) = known.first().zip(known.last()) else { return String::new() };
    let first = (*first).max((last + 1).saturating_sub(MONTHS_SHOWN_MAX));
    (first..=*last)
        .map(|month| known.iter().find(|(known, _)| *known == month).map_or('·', |(_, tenths)| level(*tenths)))
        .collect()
}

fn level(tenths: u64) -> char {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    LEVELS[usize::try_from(tenths.min(999) * LEVELS.len() as u64 / 1000).unwrap_or(0)]
}

fn bar(tenths: u64) -> String {
    "█".repeat(usize::try_from(tenths / 50).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(month: &str, score_tenths: u64) -> MonthScore {
        MonthScore { month: month.into(), deliveries: 1, score_tenths }
    }

    #[test]
    fn the_line_has_one_character_a_month_and_a_dot_for_an_empty_one() {
        assert_eq!(sparkline(&[month("2025-11", 1000), month("2025-12", 0), month("2026-02", 500)]), "█▁·▅");
        assert_eq!(sparkline(&[]), "");
    }

    #[test]
    fn the_line_ends_with_the_newest_month_and_is_never_longer_than_five_years() {
        let line = sparkline(&[month("1990-01", 1000), month("2026-01", 1000)]);
        assert_eq!((line.chars().count(), line.chars().last()), (60, Some('█')));
    }
}
