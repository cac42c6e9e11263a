//! One entry summary in memory: its header, its lines, their tariff rows.
//! Promise: made from (plan, index) alone; amounts add up to the cent from tariff row to line to entry.

use chrono::{Datelike, Duration, NaiveDate, Weekday};

use super::{
    fees,
    goods::{self, Program, Tariff},
    number::entry_summary_number,
    party::Party,
    plan::Plan,
    random::{ENTRY, Random},
};

use bonded_schemas::Report;

#[derive(Clone, Debug)]
pub struct Entry {
    pub number: String,
    pub entry_type: &'static str,
    pub port: &'static str,
    pub team: &'static str,
    pub entry_date: NaiveDate,
    pub summary_date: NaiveDate,
    pub create_date: NaiveDate,
    pub liquidation: (Option<NaiveDate>, &'static str),
    /// Numbered from 1 without a gap.
    pub lines: Vec<Line>,
    /// What ES-001 shows.
    pub totals: Totals,
    /// The report that lacks the whole entry.
    pub missing_in: Option<Report>,
    /// In ES-001.
    pub stands_twice: bool,
    /// Index of the line that carries the discrepancy.
    pub planted_line: Option<usize>,
}

/// The line as ES-002 shows it; `tariffs` as ES-003 does.
#[derive(Clone, Debug)]
pub struct Line {
    pub number: u32,
    pub manufacturer: usize,
    pub exporter: Option<usize>,
    pub origin: &'static str,
    pub export: &'static str,
    pub program: Option<Program>,
    pub by_ocean: bool,
    pub charges_mpf: bool,
    pub value_cents: i64,
    pub duty_cents: i64,
    pub mpf_cents: i64,
    pub hmf_cents: i64,
    pub tariffs: Vec<Tariff>,
    pub missing_in_es_003: bool,
    /// In ES-002.
    pub stands_twice: bool,
}

/// In cents.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub value: i64,
    pub duty: i64,
    pub paid_mpf: i64,
    pub hmf: i64,
}

const TEAMS: [&str; 8] = ["GBV", "GBV", "GBV", "GBV", "057", "057", "067", "037"];
const PORTS: [&str; 8] = ["2704", "2709", "4601", "1703", "5301", "3001", "0901", "0401"];
const LAND_PORTS: [&str; 2] = ["0901", "0401"];

pub fn make(plan: &Plan, parties: &[Party], index: u32) -> Entry {
    let mut random = Random::stream(plan.seed, ENTRY, index);
    let entry_type = entry_type(&mut random);
    let port = *random.pick(&PORTS);
    let entry_date = entry_date(plan, index, &mut random);
    let summary_date = entry_date + Duration::days(10 + i64::from(random.below(5)));
    let create_date = entry_date - Duration::days(i64::from(random.below(6)));
    let by_ocean = !LAND_PORTS.contains(&port) && random.chance(88);
    let team = *random.pick(&TEAMS);
    let liquidation = liquidation(plan, entry_date, &mut random);
    let lines_count = lines_count(plan, entry_type, &mut random);
    let lines =
        (1..=lines_count).map(|line| make_line(plan, parties, entry_type, entry_date, by_ocean, line, &mut random)).collect();
    let serial = plan.serial_first + index * plan.serial_step();
    let mut entry = Entry {
        number: entry_summary_number(&plan.filer_code, serial).expect("a checked plan has an alphanumeric filer code"),
        entry_type,
        port,
        team,
        entry_date,
        summary_date,
        create_date,
        liquidation,
        lines,
        totals: Totals::default(),
        missing_in: None,
        stands_twice: false,
        planted_line: None,
    };
    entry.add_up();
    entry
}

impl Entry {
    /// Sets the ES-001 totals to what the ES-002 lines add up to, MPF bounded by entry date.
    pub fn add_up(&mut self) {
        let sum = |amount: fn(&Line) -> i64| self.lines.iter().map(amount).sum::<i64>();
        self.totals = Totals {
            value: sum(|line| line.value_cents),
            duty: sum(|line| line.duty_cents),
            paid_mpf: fees::entry_mpf_cents(self.entry_type, self.entry_date, self.sum_mpf_cents()),
            hmf: sum(|line| line.hmf_cents),
        };
    }

    pub fn sum_mpf_cents(&self) -> i64 {
        self.lines.iter().map(|line| line.mpf_cents).sum()
    }
}

impl Line {
    /// The last row, which is of chapters 1-97 and has value, unless a plant says otherwise.
    pub fn goods(&self) -> Option<&Tariff> {
        self.tariffs.last()
    }

    /// Gives the tariff rows their ordinals as they stand.
    pub fn number_tariffs(&mut self) {
        (1..).zip(&mut self.tariffs).for_each(|(ordinal, row)| row.ordinal = ordinal);
    }

    /// Fees follow the value that ES-002 shows.
    pub fn set_value(&mut self, value_dollars: i64) {
        self.value_cents = value_dollars * 100;
        self.mpf_cents = if self.charges_mpf { fees::line_mpf_cents(value_dollars) } else { 0 };
        self.hmf_cents = if self.by_ocean { fees::line_hmf_cents(value_dollars) } else { 0 };
    }
}

fn make_line(
    plan: &Plan,
    parties: &[Party],
    entry_type: &'static str,
    on: NaiveDate,
    by_ocean: bool,
    number: u32,
    random: &mut Random,
) -> Line {
    let manufacturer = random.below(parties.len() as u32) as usize;
    let origin = parties[manufacturer].country;
    let exporter = random.below(parties.len() as u32) as usize;
    let exporter = if random.chance(80) { Some(if random.chance(70) { manufacturer } else { exporter }) } else { None };
    let program = goods::program(origin, random);
    let value_dollars = value_dollars(entry_type, random);
    let tariffs = goods::tariffs(origin, program, on, value_dollars, plan.tariffs_per_line_max, random);
    let mut line = Line {
        number,
        manufacturer,
        exporter,
        origin,
        export: exporter.map_or(origin, |exporter| parties[exporter].country),
        program,
        by_ocean,
        charges_mpf: program.is_none() && !matches!(entry_type, "06" | "11"),
        value_cents: 0,
        duty_cents: tariffs.iter().map(|tariff| tariff.duty_cents).sum(),
        mpf_cents: 0,
        hmf_cents: 0,
        tariffs,
        missing_in_es_003: false,
        stands_twice: false,
    };
    line.set_value(value_dollars);
    line
}

/// Mostly consumption entries; some antidumping, foreign trade zone and informal ones.
fn entry_type(random: &mut Random) -> &'static str {
    match random.below(100) {
        0..91 => "01",
        91..94 => "03",
        94..97 => "06",
        _ => "11",
    }
}

/// Whole dollars over four orders of magnitude, so that entries fall below, between and above the MPF bounds.
/// Informal entries stay below 2,500 dollars (19 CFR 143.21).
fn value_dollars(entry_type: &str, random: &mut Random) -> i64 {
    let mantissa = i64::from(10 + random.below(90));
    let scale = match random.below(100) {
        _ if entry_type == "11" => 20,
        0..15 => 1,
        15..40 => 10,
        40..90 => 100,
        _ => 2000,
    };
    mantissa * scale + i64::from(random.below(scale as u32))
}

/// Ascending with the entry number but for a few days, as filers number their entries.
fn entry_date(plan: &Plan, index: u32, random: &mut Random) -> NaiveDate {
    let in_order = u64::from(index) * u64::from(plan.days) / u64::from(plan.entries);
    let day = (in_order as i64 + i64::from(random.below(5)) - 2).clamp(0, i64::from(plan.days) - 1);
    plan.first_entry_date + Duration::days(day)
}

/// Nearly half of all entries, and every informal one, have a single line.
fn lines_count(plan: &Plan, entry_type: &str, random: &mut Random) -> u32 {
    match random.below(100) {
        _ if entry_type == "11" => 1,
        0..45 => 1,
        _ => 1 + random.below(plan.lines_per_entry_max).min(random.below(plan.lines_per_entry_max)),
    }
}

/// Entries liquidate on the first Friday 314 days or more after entry; a few are extended or suspended.
fn liquidation(plan: &Plan, entry_date: NaiveDate, random: &mut Random) -> (Option<NaiveDate>, &'static str) {
    let mut posted = entry_date + Duration::days(314);
    while posted.weekday() != Weekday::Fri {
        posted += Duration::days(1);
    }
    match random.below(50) {
        0 => (None, "Suspended"),
        1 | 2 => (None, "Extended"),
        _ if posted <= plan.report_date() => (Some(posted), "Liquidated"),
        _ => (None, "Unliquidated"),
    }
}
