use super::{DateEvidence, DateOrder, DateOrders, Shown};

const MONTH: DateOrder = DateOrder::MonthFirst;
const DAY: DateOrder = DateOrder::DayFirst;
const BOTH: DateOrder = DateOrder::Undecided;

fn evidence(columns: &[(u64, u64)]) -> DateEvidence {
    let shown =
        |(at, (month_first, day_first)): (usize, &(u64, u64))| (at, Shown { month_first: *month_first, day_first: *day_first });
    DateEvidence { columns: columns.iter().enumerate().map(shown).collect(), read_as: DateOrders::default() }
}

fn orders(columns: &[(u64, u64)]) -> Vec<DateOrder> {
    let orders = evidence(columns).orders();
    (0..columns.len()).map(|column| orders.of(column)).collect()
}

#[test]
fn without_proof_the_order_is_cbps() {
    assert_eq!(orders(&[(0, 0), (0, 0)]), [MONTH, MONTH]);
    assert_eq!(DateOrders::default().of(7), MONTH);
}

#[test]
fn one_proven_column_speaks_for_those_without_proof() {
    assert_eq!(orders(&[(0, 3), (0, 0)]), [DAY, DAY]);
    assert_eq!(orders(&[(0, 1), (0, 0)]), [DAY, DAY]);
    assert_eq!(orders(&[(3, 0), (0, 0)]), [MONTH, MONTH]);
}

#[test]
fn each_column_has_the_order_that_its_own_dates_prove() {
    assert_eq!(orders(&[(0, 300), (200, 0)]), [DAY, MONTH]);
    // Where the proven ones differ, nobody knows of the others.
    assert_eq!(orders(&[(0, 300), (200, 0), (0, 0)]), [DAY, MONTH, BOTH]);
}

#[test]
fn a_single_date_against_all_others_is_a_slip() {
    assert_eq!(orders(&[(300, 1)]), [MONTH]);
    assert_eq!(orders(&[(1, 300)]), [DAY]);
    assert_eq!(orders(&[(1, 1)]), [MONTH]);
    // Fewer than one in a hundred are, too; more are not.
    assert_eq!(orders(&[(3, 900)]), [DAY]);
    assert_eq!(orders(&[(9, 900)]), [BOTH]);
    assert_eq!(orders(&[(2, 2)]), [BOTH]);
    // One date proves nothing of its column against the rest of the file.
    assert_eq!(orders(&[(0, 1), (500, 0)]), [MONTH, MONTH]);
}

#[test]
fn what_is_asked_for_is_final() {
    for columns in [&[(0, 0)][..], &[(0, 2)], &[(3, 3)], &[(0, 300), (200, 0), (0, 0)]] {
        let mut evidence = evidence(columns);
        if let Some(orders) = evidence.contradicted() {
            assert_ne!(orders, evidence.read_as);
            evidence.read_as = orders;
        }
        assert_eq!(evidence.contradicted(), None, "{columns:?}");
    }
    assert_eq!(evidence(&[(3, 0), (0, 0)]).contradicted(), None);
}

#[test]
fn the_receipt_says_what_the_order_stands_on() {
    let says = |columns: &[(u64, u64)]| evidence(columns).describe(|column| ["Entry Date", "Release Date"][column]).unwrap();
    assert_eq!(says(&[(0, 0), (0, 0)]), "month before day, as CBP writes; no date shows it");
    assert_eq!(says(&[(0, 7), (0, 0)]), "day before month, as 7 dates show");
    assert_eq!(says(&[(3, 1), (4, 0)]), "month before day, as 7 dates show; 1 show the contrary");
    assert_eq!(
        says(&[(0, 5), (5, 0)]),
        "Entry Date: day before month, as 5 dates show; Release Date: month before day, as 5 dates show"
    );
    assert_eq!(says(&[(5, 4)]), "both orders: 5 dates show the month first, 4 the day; what could be either is kept as text");
    assert_eq!(DateEvidence::default().describe(|_| ""), None);
}
