//! Tariff numbers of a line: chapter 99 first with duty and no value, the commodity last with the value.
//! Promise: the order on a line is that of CSMS 18-000624, validity dates of chapter 99 families are the public ones.
//! Never the tariff schedule: rates are illustrative, and no duty here says what was owed.

use chrono::{Datelike, NaiveDate};

use super::random::Random;

/// An additional duty or an exemption of chapter 99.
struct Measure {
    hts: &'static str,
    /// First and last-but-one day as yyyymmdd.
    from: i32,
    until: i32,
    /// Hundredths of a percent; 0 for an exemption: holding an IEEPA number is not having paid.
    rate: i64,
    /// Countries of origin; empty: every one. A line with a special program escapes all of them here.
    origins: &'static [&'static str],
    steel_only: bool,
    percent_of_lines: u32,
}

/// Section 301, then IEEPA, then sections 122 and 232.
const MEASURES: [Measure; 7] = [
    Measure {
        hts: "99038803",
        from: 20180924,
        until: 99991231,
        rate: 2500,
        origins: &["CN"],
        steel_only: false,
        percent_of_lines: 60,
    },
    Measure {
        hts: "99038815",
        from: 20200214,
        until: 99991231,
        rate: 750,
        origins: &["CN"],
        steel_only: false,
        percent_of_lines: 20,
    },
    Measure {
        hts: "99030124",
        from: 20250204,
        until: 20260224,
        rate: 2000,
        origins: &["CN", "HK"],
        steel_only: false,
        percent_of_lines: 95,
    },
    Measure {
        hts: "99030125",
        from: 20250405,
        until: 20260224,
        rate: 1000,
        origins: &[],
        steel_only: false,
        percent_of_lines: 80,
    },
    Measure { hts: "99030132", from: 20250405, until: 20260224, rate: 0, origins: &[], steel_only: false, percent_of_lines: 10 },
    Measure {
        hts: "99030301",
        from: 20260224,
        until: 20260724,
        rate: 1000,
        origins: &[],
        steel_only: false,
        percent_of_lines: 85,
    },
    Measure {
        hts: "99038187",
        from: 20180323,
        until: 99991231,
        rate: 2500,
        origins: &[],
        steel_only: true,
        percent_of_lines: 90,
    },
];

/// (number, rate in hundredths of a percent, first unit, second unit). Leading zeros are meant: readers lose them.
type Commodity = (&'static str, i64, &'static str, Option<&'static str>);
const COMMODITIES: [Commodity; 12] = [
    ("3923900080", 300, "KG", None),
    ("6109100012", 1650, "DOZ", Some("KG")),
    ("6403999065", 1000, "PRS", None),
    ("7318152095", 850, "KG", None),
    ("7326908688", 290, "NO", Some("KG")),
    ("8481805090", 200, "NO", Some("KG")),
    ("8504409570", 0, "NO", None),
    ("8541430010", 0, "NO", Some("W")),
    ("8708998180", 250, "KG", None),
    ("9403200050", 0, "NO", None),
    ("0902101015", 640, "KG", None),
    ("0406907200", 1120, "KG", None),
];

/// Duty-free programs: (country, SPI code, what ACE might call it).
const PROGRAMS: [(&str, &str, &str); 3] = [
    ("MX", "S", "United States-Mexico-Canada Agreement"),
    ("CA", "S", "United States-Mexico-Canada Agreement"),
    ("KR", "KR", "US-Korea Free Trade Agreement"),
];

/// A special program claimed on a line: no commodity duty and no MPF.
pub type Program = (&'static str, &'static str);

#[derive(Clone, Debug)]
pub struct Tariff {
    /// 1-based on its line.
    pub ordinal: u32,
    pub hts: &'static str,
    /// (hundredths, unit); chapter 99 rows have none.
    pub quantities: [Option<(i64, &'static str)>; 2],
    pub value_cents: i64,
    pub duty_cents: i64,
}

impl Tariff {
    /// Of chapter 99.
    pub fn is_additional(&self) -> bool {
        self.hts.starts_with("99")
    }
}

/// Another number of the same eight digits for each commodity, as invented as the rates.
const SIBLINGS: [(&str, &str); COMMODITIES.len()] = [
    ("3923900080", "3923900012"),
    ("6109100012", "6109100040"),
    ("6403999065", "6403999031"),
    ("7318152095", "7318152041"),
    ("7326908688", "7326908610"),
    ("8481805090", "8481805060"),
    ("8504409570", "8504409510"),
    ("8541430010", "8541430080"),
    ("8708998180", "8708998105"),
    ("9403200050", "9403200011"),
    ("0902101015", "0902101050"),
    ("0406907200", "0406907210"),
];

/// The other of two numbers of one product.
pub fn sibling(hts: &'static str) -> &'static str {
    SIBLINGS
        .iter()
        .find_map(|(one, other)| if *one == hts { Some(*other) } else { (*other == hts).then_some(*one) })
        .unwrap_or(hts)
}

/// A claim on about seven in ten lines that can make one.
pub fn program(origin: &str, random: &mut Random) -> Option<Program> {
    let claimed = random.chance(70);
    PROGRAMS.iter().find(|(country, ..)| claimed && *country == origin).map(|(_, code, name)| (*code, *name))
}

/// The tariff rows of one line whose whole-dollar value is given, at most `rows_max` of them and at least one.
pub fn tariffs(
    origin: &str,
    program: Option<Program>,
    on: NaiveDate,
    value_dollars: i64,
    rows_max: u32,
    random: &mut Random,
) -> Vec<Tariff> {
    let commodity = random.pick(&COMMODITIES);
    let mut rows = measures(origin, program, on, value_dollars, commodity, rows_max - 1, random);
    let is_set = random.below(50) == 0 && value_dollars > 1 && rows.len() as u32 + 2 <= rows_max;
    let first_part = if is_set { 1 + i64::from(random.below(value_dollars as u32 - 1)) } else { value_dollars };
    rows.push(commodity_row(rows.len(), commodity, program, first_part, random));
    if is_set {
        let second = random.pick(&COMMODITIES);
        rows.push(commodity_row(rows.len(), second, program, value_dollars - first_part, random));
    }
    rows
}

fn measures(
    origin: &str,
    program: Option<Program>,
    on: NaiveDate,
    value_dollars: i64,
    commodity: &Commodity,
    rows_max: u32,
    random: &mut Random,
) -> Vec<Tariff> {
    let today = on.year() * 10_000 + on.month() as i32 * 100 + on.day() as i32;
    let mut rows = Vec::with_capacity(6);
    for measure in &MEASURES {
        let drawn = random.chance(measure.percent_of_lines);
        let applies = (measure.origins.is_empty() || measure.origins.contains(&origin))
            && (measure.from..measure.until).contains(&today)
            && (!measure.steel_only || commodity.0.starts_with("73"))
            && program.is_none();
        if drawn && applies && (rows.len() as u32) < rows_max {
            rows.push(Tariff {
                ordinal: rows.len() as u32 + 1,
                hts: measure.hts,
                quantities: [None, None],
                value_cents: 0,
                duty_cents: duty_cents(value_dollars, measure.rate),
            });
        }
    }
    rows
}

fn commodity_row(
    before: usize,
    commodity: &Commodity,
    program: Option<Program>,
    value_dollars: i64,
    random: &mut Random,
) -> Tariff {
    let (hts, rate, unit, second_unit) = commodity;
    let rate = if program.is_some() { 0 } else { *rate };
    let pieces = 1 + i64::from(random.below(40_000));
    let weight = 100 + i64::from(random.below(4_000_000));
    let first = if *unit == "NO" { pieces * 100 } else { weight };
    Tariff {
        ordinal: before as u32 + 1,
        hts,
        quantities: [Some((first, *unit)), second_unit.map(|unit| (weight, unit))],
        value_cents: value_dollars * 100,
        duty_cents: duty_cents(value_dollars, rate),
    }
}

/// Rate in hundredths of a percent on whole dollars, rounded half up to the cent.
fn duty_cents(value_dollars: i64, rate: i64) -> i64 {
    (value_dollars * rate + 50) / 100
}
