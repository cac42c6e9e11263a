//! The sums against the SQL that says what they are, on random reports: blank cells, lines that stand twice, lack, or have no
//! number, entries in any order.

use super::*;
use crate::{
    library::{SUMS, Work},
    reconcile::WORK,
    testing::{Reports, lines, session},
};

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }

    fn or_null(&mut self, text: String) -> String {
        if self.below(8) == 0 { "NULL".to_owned() } else { text }
    }

    fn amount(&mut self) -> String {
        let text = format!("'{}.{:02}'", self.below(3), self.below(2));
        self.or_null(text)
    }

    /// Rows of as many entries, shuffled unless `in_order`.
    fn rows(&mut self, in_order: bool, mut row: impl FnMut(&mut Self, String) -> String) -> String {
        let mut rows = Vec::new();
        for at in 0..12 {
            for _ in 0..self.below(4) {
                let entry = self.or_null(format!("'E{at}'"));
                rows.push(row(self, entry));
            }
        }
        if !in_order {
            for at in (1..rows.len()).rev() {
                let other = self.below(at as u64 + 1) as usize;
                rows.swap(at, other);
            }
        }
        rows.join(", ")
    }
}

const PULLED: &str = "'d1', '2026-02-01T00:00:00Z', 2";

fn reports(seed: u64) -> [String; 3] {
    let mut random = Random(seed);
    let in_order = seed.is_multiple_of(2);
    let es_001 = random.rows(in_order, |random, entry| {
        let (kind, day) = (format!("'0{}'", random.below(4)), format!("'2026-01-0{}'", 1 + random.below(9)));
        let (kind, day) = (random.or_null(kind), random.or_null(day));
        format!("({entry}, {kind}, {day}, {}, {}, {}, {PULLED})", random.amount(), random.amount(), random.amount())
    });
    let number = |random: &mut Random| {
        let number = format!("{}", 1 + random.below(3));
        random.or_null(number)
    };
    let es_002 = random.rows(in_order, |random, entry| {
        format!("({entry}, {}, {}, {}, {}, {PULLED})", number(random), random.amount(), random.amount(), random.amount())
    });
    let es_003 = random.rows(in_order, |random, entry| {
        format!("({entry}, '2026-01-05', {}, 1, {}, {}, {PULLED})", number(random), random.amount(), random.amount())
    });
    [es_001, es_002, es_003]
}

#[tokio::test]
async fn sums_and_lines_are_what_their_sql_says() {
    let (mut entries, mut differing) = (0, 0);
    for seed in 0..40 {
        let [es_001, es_002, es_003] = &reports(seed);
        let session = session(Reports { es_001, es_002, es_003 }).await;
        let tally = std::sync::Arc::new(Tally::of(&session).await.unwrap().expect("small"));
        let show = |name: &str, table| session.schema(WORK).unwrap().register_table(name.to_owned(), table).unwrap();
        show("native", std::sync::Arc::new(SumsTable::new(tally.clone())));
        let native = lines(&session, "SELECT * FROM work.native ORDER BY 1").await;
        assert_eq!(native, lines(&session, &format!("SELECT * FROM ({SUMS}) AS sums ORDER BY 1")).await, "seed {seed}");
        entries += native.len();

        let rows = lines_that_differ(&tally).unwrap();
        let table = datafusion::datasource::MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap();
        show("native_lines", std::sync::Arc::new(table));
        let native = lines(&session, "SELECT * FROM work.native_lines ORDER BY 1, 2").await;
        let wanted = "lines_repeated > 0 OR (rows_2 > 0 AND rows_3 > 0 AND lines_apart > 0)";
        let sql = format!(
            "SELECT * FROM ({}) AS lines WHERE entry_summary_number IN (SELECT entry_summary_number FROM ({SUMS}) AS sums WHERE {wanted})
            ORDER BY 1, 2",
            Work::Lines.sql()
        );
        assert_eq!(native, lines(&session, &sql).await, "seed {seed}");
        differing += native.len();
    }
    assert!(entries > 300 && differing > 300, "{entries} entries, {differing} lines");
}

#[tokio::test]
async fn what_does_not_fit_is_handed_back_and_the_checks_still_answer() {
    let long = "A number of more than fifteen bytes";
    let es_002 = format!("('{long}', 1, '1.00', '0.00', '0.00', {PULLED})");
    let es_003 = format!("('{long}', '2026-01-05', 1, 1, '2.00', '0.00', {PULLED})");
    let session = session(Reports { es_001: "", es_002: &es_002, es_003: &es_003 }).await;
    assert!(Tally::of(&session).await.unwrap().is_none());
    let results = session.reconcile(Some(&["line_value".to_owned()])).await.unwrap();
    let [finding] = results[0].findings() else { panic!("{results:?}") };
    assert_eq!((finding.expected.as_deref(), finding.actual.as_deref()), (Some("2.00"), Some("1.00")));
}

#[tokio::test]
async fn lines_in_any_order_cost_no_more_than_so_many_steps_a_row() {
    let session = session(Reports { es_001: "", es_002: "", es_003: "" }).await;
    let mut tally = Tally::of(&session).await.unwrap().unwrap();
    let rows = |numbers: Vec<i32>| {
        let count = numbers.len();
        let cents = || std::sync::Arc::new(PrimitiveArray::<Decimal128Type>::from(vec![1; count]).with_data_type(MONEY));
        RecordBatch::try_from_iter([
            ("entry", std::sync::Arc::new(StringArray::from(vec!["E"; count])) as datafusion::arrow::array::ArrayRef),
            ("line", std::sync::Arc::new(PrimitiveArray::<Int32Type>::from(numbers))),
            ("value", cents()),
            ("duty", cents()),
            ("fee", cents()),
        ])
        .unwrap()
    };
    tally.add_lines(&rows((0..20_000).collect()), Side::Lines).unwrap();
    tally.add_lines(&rows((0..20_000).collect()), Side::Tariffs).unwrap();
    assert!(tally.steps < 10, "{} steps in order", tally.steps);
    assert!(tally.add_lines(&rows((0..20_000).rev().collect()), Side::Tariffs).is_err());
}
