//! The editions compiled in, and which report a header belongs to.
//! Promise: a file is recognised by its header, never by its name; grain that is not there is never assumed.
//! Never: no position counts, and a look at values only ever turns a file away, never lets one in.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::LazyLock,
};

use chrono::NaiveDate;

use crate::{
    drift::Mapping,
    edition::{Column, Edition, Required, fold},
    entry_number,
    error::{Error, Result},
    report::Report,
};

mod reading;

use reading::{ENTRY_NUMBER, Match, Reading, TARIFF_ORDINAL, impostor_reason, level};

/// All known editions.
#[derive(Clone, Debug)]
pub struct Registry {
    /// By report, then by effective date.
    editions: Vec<Edition>,
    /// Folded name or alias -> the columns it may stand for, in the latest edition of each report.
    names: HashMap<String, Vec<Match>>,
}

/// What a header row says about the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// All grain columns are there.
    Known(Report),
    /// Clearly this report, without these grain columns (CBP names).
    GrainMissing(Report, Vec<String>),
    /// Resembles the report, but ACE does not export this; the text says why.
    Impostor(Report, String),
    /// Not a header of ours; the nearest report if at least one column matched.
    Unknown(Option<Report>),
}

impl Registry {
    /// The editions of this build.
    pub fn builtin() -> &'static Registry {
        static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
            let texts = [
                include_str!("../es-001/2019-04-18.toml"),
                include_str!("../es-002/2019-04-18.toml"),
                include_str!("../es-003/2019-04-18.toml"),
                include_str!("../cape-claims/2026-04-20.toml"),
            ];
            Registry::parse(&texts).expect("compiled in, and a test proves that they parse")
        });
        &REGISTRY
    }

    /// Reads editions. Fails (set-up) unless each report has one and no edition contradicts itself.
    pub fn parse(texts: &[&str]) -> Result<Registry> {
        let mut editions = texts.iter().map(|text| parse_edition(text)).collect::<Result<Vec<_>>>()?;
        editions.sort_by_key(|edition| (edition.report, edition.effective));
        if let Some(report) = Report::ALL.into_iter().find(|report| editions.iter().all(|edition| edition.report != *report)) {
            return Err(Error::setup(format!("no edition of {report}; add one")));
        }
        let mut registry = Registry { editions, names: HashMap::new() };
        // The claim details are told by their own words (`is_claim_details`): `Status` and the like vote for nothing else.
        for report in Report::ENTRY_SUMMARIES {
            for column in registry.edition(report).columns.clone() {
                for (place, name) in std::iter::once(&column.name).chain(&column.aliases).enumerate() {
                    let found = Match { report, column: column.name.clone(), level: level(&column.name), named: place == 0 };
                    registry.names.entry(fold(name)).or_default().push(found);
                }
            }
        }
        Ok(registry)
    }

    pub fn editions(&self) -> &[Edition] {
        &self.editions
    }

    /// The latest edition.
    pub fn edition(&self, report: Report) -> &Edition {
        self.of(report).next_back().expect("parse refuses a registry without an edition of each report")
    }

    /// The edition that held on a day; the first one for days before it, since nothing older is known.
    pub fn edition_at(&self, report: Report, day: NaiveDate) -> &Edition {
        let held = self.of(report).rfind(|edition| edition.effective <= day);
        held.or_else(|| self.of(report).next()).expect("parse refuses a registry without an edition of each report")
    }

    fn of(&self, report: Report) -> impl DoubleEndedIterator<Item = &Edition> {
        self.editions.iter().filter(move |edition| edition.report == report)
    }

    /// Which report the header belongs to. Case, spaces and punctuation do not count; order does not either.
    ///
    /// The finest level that the names speak of decides, since Web Intelligence merges rows that agree in all
    /// chosen columns: a file with tariff columns and no ordinal is not at the grain of ES-003, nor of ES-002.
    pub fn recognise(&self, header: &[String]) -> Recognition {
        if self.is_claim_details(header) {
            return Recognition::Known(Report::CapeClaims);
        }
        let reading = Reading::new(self, header);
        let report = reading.finest();
        let missing = reading.missing_grain(self.edition(report));
        let (matched, named) = reading.score(report);
        if missing.is_empty() {
            // Any report of entries carries an entry number; only ES-001's own columns tell it from the rest.
            let is_ours = report != Report::Es001 || matched * 3 >= reading.distinct;
            let is_known = is_ours && (named >= 2 || matched >= 4);
            return if is_known { Recognition::Known(report) } else { Recognition::Unknown(reading.nearest()) };
        }
        if named < 3 && !(reading.has(ENTRY_NUMBER) && matched >= 4) {
            return Recognition::Unknown(reading.nearest());
        }
        match reading.impostor(header) {
            Some(reason) if report == Report::Es003 => Recognition::Impostor(report, reason),
            _ => Recognition::GrainMissing(report, missing),
        }
    }

    /// The claim details of CAPE: entry, claim and status are there, and most of the header is theirs. (Brokers lay a claim
    /// number beside the columns of an ES-003; that is an ES-003.)
    fn is_claim_details(&self, header: &[String]) -> bool {
        let names: HashSet<String> = header.iter().map(|name| fold(name)).filter(|name| !name.is_empty()).collect();
        let (mut there, mut complete) = (0, true);
        for column in &self.edition(Report::CapeClaims).columns {
            let is_there = std::iter::once(&column.name).chain(&column.aliases).any(|name| names.contains(&fold(name)));
            there += usize::from(is_there);
            complete &= is_there || column.required == Required::Optional;
        }
        complete && there * 2 >= names.len()
    }

    /// As [`Registry::recognise`], after what a tenant has accepted: a file without a grain column can be read once
    /// its own name for it is mapped. Mappings are by report; a mapping never turns a good file into another report.
    pub fn recognise_with(&self, header: &[String], mappings: &BTreeMap<Report, Mapping>) -> Recognition {
        let plain = self.recognise(header);
        if matches!(plain, Recognition::Known(_)) {
            return plain;
        }
        let mapped =
            mappings.iter().find(|(report, mapping)| self.recognise(&mapping.translate(header)) == Recognition::Known(**report));
        mapped.map_or(plain, |(report, _)| Recognition::Known(*report))
    }

    /// A second witness, for what only values show: an ES-003 that ACE did not export.
    ///
    /// It speaks only when all three signs are there: no tariff ordinal, every entry number in the printed form
    /// with dashes, and a column of percentages. `None` means nothing against the file, not that it is right.
    pub fn recognise_values(&self, report: Report, header: &[String], rows: &[Vec<String>]) -> Option<Recognition> {
        let reading = Reading::new(self, header);
        if report != Report::Es003 || reading.has(TARIFF_ORDINAL) {
            return None;
        }
        let entry = header.iter().position(|name| self.stands_for(name, ENTRY_NUMBER))?;
        let every = |place: usize, test: fn(&str) -> bool| {
            let mut cells =
                rows.iter().filter_map(|row| row.get(place)).map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).peekable();
            cells.peek().is_some() && cells.all(test)
        };
        let percentages = (0..header.len()).filter(|place| every(*place, is_percentage)).count();
        (every(entry, entry_number::is_dashed) && percentages > 0).then(|| {
            let seen = format!("dashes in every entry number, {percentages} columns of percentages and no `{TARIFF_ORDINAL}`");
            Recognition::Impostor(report, impostor_reason(&seen))
        })
    }

    fn stands_for(&self, header_name: &str, column: &str) -> bool {
        self.names.get(&fold(header_name)).is_some_and(|matches| matches.iter().any(|found| found.column == column))
    }
}

fn is_percentage(cell: &str) -> bool {
    cell.strip_suffix('%').is_some_and(|number| number.trim().parse::<f64>().is_ok_and(f64::is_finite))
}

fn parse_edition(text: &str) -> Result<Edition> {
    let edition: Edition = toml::from_str(text).map_err(|e| Error::setup(format!("edition cannot be read: {}", e.message())))?;
    let fault = |what: String| Err(Error::setup(format!("edition of {} from {}: {what}", edition.report, edition.effective)));
    let (mut names, mut fields) = (HashMap::new(), HashSet::new());
    for column in &edition.columns {
        for name in std::iter::once(&column.name).chain(&column.aliases) {
            let folded = fold(name);
            if folded.is_empty() {
                return fault(format!("`{name}` has no letter or digit"));
            }
            if let Some(other) = names.insert(folded, &column.name) {
                return fault(format!("`{name}` of `{}` is also a name of `{other}`; drop one", column.name));
            }
        }
        if !fields.insert(column.field()) {
            return fault(format!("two columns would be called `{}` in tables", column.field()));
        }
    }
    let mut ordinals: Vec<u16> = edition.columns.iter().filter_map(|column: &Column| column.ordinal).collect();
    ordinals.sort_unstable();
    if ordinals.iter().zip(1..).any(|(ordinal, place)| *ordinal != place) {
        return fault("ordinals must run from 1 without gap or repeat".to_owned());
    }
    if !edition.columns.iter().any(|column| column.required == Required::Grain) {
        return fault("no column is required as grain".to_owned());
    }
    Ok(edition)
}

#[cfg(test)]
pub(crate) mod tests;
