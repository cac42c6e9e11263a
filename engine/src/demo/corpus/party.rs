//! Fictional manufacturers and exporters of a corpus, with identifiers built the way a MID is built.
//! Promise: names say that they are made up, some hold commas, and one country is Namibia, whose code `NA` readers lose.

use super::random::{PARTIES, Random};

#[derive(Clone, Debug)]
pub struct Party {
    pub country: &'static str,
    /// At most 15 characters: country, two words of the name, street number, city (19 CFR 102 appendix).
    pub id: String,
    /// Upper case, at most 48 characters.
    pub name: String,
}

/// (country, city). China is there four times: real exports are that lopsided.
const PLACES: [(&str, &str); 14] = [
    ("CN", "NINGBO"),
    ("CN", "SHENZHEN"),
    ("CN", "XIAMEN"),
    ("CN", "QINGDAO"),
    ("HK", "KOWLOON"),
    ("VN", "HAIPHONG"),
    ("MX", "MONTERREY"),
    ("CA", "WINDSOR"),
    ("KR", "BUSAN"),
    ("DE", "HAMBURG"),
    ("IN", "CHENNAI"),
    ("TW", "TAICHUNG"),
    ("TH", "RAYONG"),
    ("NA", "WALVIS BAY"),
];
const WORDS: [&str; 12] = [
    "LANTERN",
    "HARBOUR",
    "PAPER MOON",
    "BLUE HERON",
    "COPPER",
    "QUIET RIVER",
    "NORTHWIND",
    "THIMBLE",
    "MARBLE",
    "SPARROW",
    "OLD MILL",
    "CLOVER",
];
const TRADES: [&str; 8] = [
    "EXAMPLE FITTINGS",
    "SAMPLE TEXTILES",
    "FICTION LIGHTING",
    "PRETEND TOOLS",
    "MADE UP MOULDINGS",
    "INVENTED VALVES",
    "NOWHERE FOODS",
    "SPECIMEN SHOES",
];

/// Two for each place; all different within a corpus.
pub fn parties(seed: u64) -> Vec<Party> {
    let mut random = Random::stream(seed, PARTIES, 0);
    let first = random.below(WORDS.len() as u32) as usize;
    (0..PLACES.len() * 2).map(|turn| party(&mut random, turn, WORDS[(first + turn) % WORDS.len()])).collect()
}

fn party(random: &mut Random, turn: usize, word: &str) -> Party {
    let (country, city) = PLACES[turn % PLACES.len()];
    let trade = TRADES[(turn / 2 + turn / WORDS.len()) % TRADES.len()];
    let street = 1 + random.below(9998);
    let form = random.pick(forms(country));
    Party { country, id: format!("{country}{:.3}{:.3}{street}{:.3}", word, trade, city), name: format!("{word} {trade} {form}") }
}

fn forms(country: &str) -> &'static [&'static str] {
    match country {
        "MX" => &["S.A. DE C.V."],
        "DE" => &["GMBH", "GMBH & CO. KG"],
        "CA" | "NA" => &["INC.", "LTD"],
        "IN" => &["PVT., LTD.", "LIMITED"],
        _ => &["CO., LTD.", "CO., LTD", "CO LIMITED"],
    }
}
