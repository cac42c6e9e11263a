//! Discrepancies that the reports carry in themselves: rows that stand twice, fees off the rate, tariff numbers out of order,
//! claims and codes that do not fit.
//! Promise: each makes its check fire once; where a wrong figure makes the tie-out fire too, those findings are named with it.

use chrono::Datelike;

use super::{
    super::{
        entry::{Entry, Line},
        fees,
        goods::{self, Tariff},
        number::check_digit,
        random::Random,
    },
    Crowds, Discrepancy, Expected, decimal, off_by,
};

/// Beyond it a line was not allowed to hold tariff numbers (CSMS 65464464).
const ROWS_MAX_UNTIL: (i32, usize, usize) = (20250628, 8, 32);
/// Additional duties with their days: the one that was not charged on an entry's date can be planted on it.
const DATED: [(&str, i32, i32, &str); 2] = [
    ("99030124", 20250204, 20260224, "2025-02-04 until 2026-02-24"),
    ("99030301", 20260224, 20260724, "2026-02-24 until 2026-07-24"),
];
/// An exemption: neither value nor duty.
const EXEMPTION: &str = "99030132";
/// No country of the corpus's programs.
const PROGRAM_OF_NOBODY: goods::Program = ("E", "Caribbean Basin Initiative");
/// No entry type there is.
const UNKNOWN_TYPE: &str = "99";

impl Discrepancy {
    /// The lines that can carry it.
    pub(super) fn carriers(self, entry: &Entry, crowds: &Crowds) -> Vec<usize> {
        let can = |line: &&Line| match self {
            Discrepancy::DuplicateInEs003 | Discrepancy::Chapter99Dates => line.tariffs.len() < 8,
            Discrepancy::LineMpf => line.mpf_cents > 0,
            Discrepancy::LineHmf => line.hmf_cents > 0,
            Discrepancy::Chapter99Value | Discrepancy::Chapter99Order => line.tariffs.iter().any(Tariff::is_additional),
            Discrepancy::SpiWithDuty => line.program.is_none() && line.goods().is_some_and(|row| row.duty_cents > 0),
            Discrepancy::RateOutlier => {
                line.program.is_none() && line.goods().is_some_and(|row| row.duty_cents > 0 && crowds.has_rate(line, row))
            }
            // At the median rate more than a dollar is due.
            Discrepancy::DutyFreeWithoutSpi => {
                line.program.is_none() && line.goods().is_some_and(|row| row.duty_cents > 500 && crowds.has_rate(line, row))
            }
            Discrepancy::ClassificationChanged => line.goods().is_some_and(|row| crowds.has_number(line, row)),
            _ => true,
        };
        (0..entry.lines.len()).filter(|at| can(&&entry.lines[*at])).collect()
    }

    pub(super) fn apply_in_review(self, entry: &mut Entry, crowds: &Crowds, random: &mut Random) {
        let carriers = self.carriers(entry, crowds);
        let at = *random.pick(&carriers);
        let on = entry.entry_date.year() * 10_000 + entry.entry_date.month() as i32 * 100 + entry.entry_date.day() as i32;
        let line = &mut entry.lines[at];
        match self {
            Discrepancy::DuplicateInEs001 => entry.stands_twice = true,
            Discrepancy::DuplicateInEs002 => line.stands_twice = true,
            Discrepancy::DuplicateInEs003 => {
                let row = random.below(line.tariffs.len() as u32) as usize;
                line.tariffs.insert(row, line.tariffs[row].clone());
            }
            Discrepancy::LineMpf => line.mpf_cents = off_by(line.mpf_cents, 99, random),
            Discrepancy::LineHmf => line.hmf_cents = off_by(line.hmf_cents, 99, random),
            Discrepancy::TariffOrdinals => {
                let from = random.below(line.tariffs.len() as u32) as usize;
                line.tariffs[from..].iter_mut().for_each(|row| row.ordinal += 1);
            }
            Discrepancy::TariffCount => {
                let (day, before, since) = ROWS_MAX_UNTIL;
                let wanted = if on < day { before } else { since } + 1;
                while line.tariffs.len() < wanted {
                    line.tariffs.insert(0, additional(EXEMPTION, 0));
                }
                line.number_tariffs();
            }
            Discrepancy::Chapter99Value => {
                let value = line.tariffs.last().map_or(0, |row| row.value_cents);
                line.tariffs.last_mut().expect("a line has goods").value_cents = 0;
                line.tariffs.first_mut().expect("a line has goods").value_cents = value;
            }
            Discrepancy::Chapter99Order => {
                let first = line.tariffs.remove(0);
                line.tariffs.push(first);
                line.number_tariffs();
            }
            Discrepancy::Chapter99Dates => {
                let (hts, ..) = dated(on);
                let duty = 1 + i64::from(random.below(50_000));
                line.tariffs.insert(0, additional(hts, duty));
                line.number_tariffs();
                line.duty_cents += duty;
            }
            Discrepancy::RateOutlier => {
                // A tenth of the value and two dollars more than was due.
                let row = line.tariffs.last_mut().expect("a line has goods");
                let more = row.value_cents / 10 + 200;
                row.duty_cents += more;
                line.duty_cents += more;
            }
            Discrepancy::SpiWithDuty => line.program = Some(PROGRAM_OF_NOBODY),
            Discrepancy::DutyFreeWithoutSpi => {
                let row = line.tariffs.last_mut().expect("a line has goods");
                line.duty_cents -= std::mem::take(&mut row.duty_cents);
            }
            Discrepancy::ClassificationChanged => {
                let row = line.tariffs.last_mut().expect("a line has goods");
                row.hts = goods::sibling(row.hts);
            }
            Discrepancy::EntryCheckDigit => {
                let wrong = (check_digit(&entry.number[..10]).expect("made by us") + 1 + random.below(9) as u8) % 10;
                entry.number.replace_range(10.., &wrong.to_string());
            }
            Discrepancy::EntryTypeUnknown => {
                // What was paid stays as it is: of an unknown type nothing is judged.
                entry.entry_type = UNKNOWN_TYPE;
                return;
            }
            _ => return,
        }
        entry.planted_line = (!self.is_of_entry()).then_some(at);
        entry.add_up();
    }

    fn is_of_entry(self) -> bool {
        matches!(self, Discrepancy::DuplicateInEs001 | Discrepancy::EntryCheckDigit | Discrepancy::EntryTypeUnknown)
    }

    /// The findings on an entry to which this was applied.
    pub(super) fn expected_in_review(self, entry: &Entry) -> Vec<Expected> {
        let on = entry.entry_date.year() * 10_000 + entry.entry_date.month() as i32 * 100 + entry.entry_date.day() as i32;
        let line = entry.planted_line.map(|at| &entry.lines[at]);
        let rows = line.map_or(&[][..], |line| &line.tariffs);
        let text = |text: String| Some(text);
        let (expected, actual) = match self {
            Discrepancy::DuplicateInEs001 | Discrepancy::DuplicateInEs002 => (text("1".into()), text("2".into())),
            Discrepancy::DuplicateInEs003 => {
                (text("each ordinal once".into()), text(format!("{} rows, ordinals 1 to {}", rows.len(), rows.len() - 1)))
            }
            Discrepancy::LineMpf => {
                (line.map(|line| decimal(fees::line_mpf_cents(line.value_cents / 100))), line.map(|line| decimal(line.mpf_cents)))
            }
            Discrepancy::LineHmf => {
                (line.map(|line| decimal(fees::line_hmf_cents(line.value_cents / 100))), line.map(|line| decimal(line.hmf_cents)))
            }
            Discrepancy::TariffOrdinals => {
                let ends = (rows.first().map_or(0, |row| row.ordinal), rows.last().map_or(0, |row| row.ordinal));
                (text(format!("1 to {}", rows.len())), text(format!("{} to {}", ends.0, ends.1)))
            }
            Discrepancy::TariffCount => (text((rows.len() - 1).to_string()), text(rows.len().to_string())),
            Discrepancy::Chapter99Value => {
                let sum = rows.iter().filter(|row| row.is_additional()).map(|row| row.value_cents).sum();
                (text(decimal(0)), text(decimal(sum)))
            }
            Discrepancy::Chapter99Order => {
                let goods = rows.iter().find(|row| !row.is_additional()).map_or(0, |row| row.ordinal);
                (text(format!("chapter 99 before ordinal {goods}")), text(format!("chapter 99 at ordinal {}", rows.len())))
            }
            Discrepancy::Chapter99Dates => (text(dated(on).1.to_owned()), text(entry.entry_date.to_string())),
            Discrepancy::SpiWithDuty => {
                let duty = rows.iter().filter(|row| !row.is_additional()).map(|row| row.duty_cents).sum();
                (text(decimal(0)), text(decimal(duty)))
            }
            Discrepancy::ClassificationChanged => {
                let number = rows.last().map_or("", |row| row.hts);
                (text(goods::sibling(number).to_owned()), text(number.to_owned()))
            }
            Discrepancy::EntryCheckDigit => {
                (check_digit(&entry.number[..10]).map(|digit| digit.to_string()), text(entry.number[10..].to_owned()))
            }
            Discrepancy::EntryTypeUnknown => (None, text(UNKNOWN_TYPE.to_owned())),
            // Told by all rows of the product together.
            _ => (None, None),
        };
        let number = line.filter(|_| !self.is_of_entry()).map(|line| line.number as i32);
        let mut all = vec![Expected::new(self.check(), entry, number, expected, actual)];
        all.extend(self.tie_out_of(entry, line));
        all
    }

    /// What no longer adds up where rows stand twice.
    fn tie_out_of(self, entry: &Entry, line: Option<&Line>) -> Vec<Expected> {
        let sum = |amount: fn(&Line) -> i64| entry.lines.iter().map(amount).sum::<i64>();
        let (value, duty, fee) = (sum(|line| line.value_cents), sum(|line| line.duty_cents), entry.sum_mpf_cents());
        let mut told = Vec::new();
        let mut tell = |check, line: Option<&Line>, expected: i64, actual: i64| {
            if expected != actual {
                let number = line.map(|line| line.number as i32);
                told.push(Expected::new(check, entry, number, Some(decimal(expected)), Some(decimal(actual))));
            }
        };
        let is_judged = fees::mpf_is_bounded(entry.entry_type) && fees::mpf_bounds_cents(entry.entry_date).is_some();
        let mut tell_fee = |sum: i64, paid: i64| {
            if is_judged {
                tell("entry_mpf_clamp", None, fees::entry_mpf_cents(entry.entry_type, entry.entry_date, sum), paid);
            }
        };
        let totals = entry.totals;
        match (self, line) {
            (Discrepancy::DuplicateInEs001, _) => {
                tell_fee(fee, totals.paid_mpf * 2);
                tell("entry_value", None, value, totals.value * 2);
                tell("entry_duty", None, duty, totals.duty * 2);
            }
            (Discrepancy::DuplicateInEs002, Some(line)) => {
                tell_fee(fee + line.mpf_cents, totals.paid_mpf);
                tell("entry_value", None, value + line.value_cents, totals.value);
                tell("entry_duty", None, duty + line.duty_cents, totals.duty);
                tell("line_value", Some(line), line.value_cents, line.value_cents * 2);
                tell("line_duty", Some(line), line.duty_cents, line.duty_cents * 2);
            }
            (Discrepancy::DuplicateInEs003, Some(line)) => {
                let sum = |amount: fn(&Tariff) -> i64| line.tariffs.iter().map(amount).sum::<i64>();
                tell("line_value", Some(line), sum(|row| row.value_cents), line.value_cents);
                tell("line_duty", Some(line), sum(|row| row.duty_cents), line.duty_cents);
            }
            _ => {}
        }
        told
    }
}

/// A number of chapter 99 whose family was not charged on this day, and the days on which it was.
fn dated(on: i32) -> (&'static str, &'static str) {
    let (hts, .., days) = if (DATED[0].1..DATED[0].2).contains(&on) { DATED[1] } else { DATED[0] };
    (hts, days)
}

fn additional(hts: &'static str, duty_cents: i64) -> Tariff {
    Tariff { ordinal: 1, hts, quantities: [None, None], value_cents: 0, duty_cents }
}
