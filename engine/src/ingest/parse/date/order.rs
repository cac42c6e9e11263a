//! Which of the first two numbers of `03/04/2025` is the month, decided by the dates that exist one way only.
//! Promise: each column has the order that its own dates prove; one without proof has the file's; a file without proof, CBP's.
//! Never: where a column proves both orders, no date that could be either is read.

/// How one column is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateOrder {
    /// CBP's.
    #[default]
    MonthFirst,
    /// What a spreadsheet in most other countries writes.
    DayFirst,
    /// Both, in one column: only a date that exists one way is read.
    Undecided,
}

/// The order of each column: by its place in the table, month first where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DateOrders(Vec<(usize, DateOrder)>);

impl DateOrders {
    pub fn of(&self, column: usize) -> DateOrder {
        self.0.iter().find(|(at, _)| *at == column).map_or(DateOrder::MonthFirst, |(_, order)| *order)
    }

    fn is_the_same(&self, other: &DateOrders) -> bool {
        self.0.iter().chain(&other.0).all(|(column, _)| self.of(*column) == other.of(*column))
    }
}

impl FromIterator<(usize, DateOrder)> for DateOrders {
    fn from_iter<I: IntoIterator<Item = (usize, DateOrder)>>(orders: I) -> Self {
        Self(orders.into_iter().collect())
    }
}

/// What dates show of their order, by those that exist one way only. The same for every way of reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Shown {
    pub month_first: u64,
    pub day_first: u64,
}

/// So many dates against all others of a column or file are slips of a hand: they prove nothing.
const SLIPS_MAX: u64 = 1;
/// Nor do fewer than one in so many.
const SLIPS_ONE_IN: u64 = 100;

impl Shown {
    pub fn count(&mut self, shown: Option<DateOrder>) {
        self.month_first += u64::from(shown == Some(DateOrder::MonthFirst));
        self.day_first += u64::from(shown == Some(DateOrder::DayFirst));
    }

    fn more(self) -> u64 {
        self.month_first.max(self.day_first)
    }

    fn order(self) -> DateOrder {
        let (fewer, more) = (self.month_first.min(self.day_first), self.more());
        match () {
            () if fewer > SLIPS_MAX && fewer * SLIPS_ONE_IN >= more => DateOrder::Undecided,
            () if self.day_first > self.month_first => DateOrder::DayFirst,
            () => DateOrder::MonthFirst,
        }
    }

    fn describe(self, order: DateOrder) -> String {
        let (agree, contrary) = match order {
            DateOrder::Undecided => {
                let Shown { month_first, day_first } = self;
                return format!(
                    "both orders: {month_first} dates show the month first, {day_first} the day; what could be either is kept as text"
                );
            }
            DateOrder::DayFirst => (self.day_first, self.month_first),
            DateOrder::MonthFirst => (self.month_first, self.day_first),
        };
        let read = if order == DateOrder::DayFirst { "day before month" } else { "month before day" };
        match (agree, contrary) {
            (0, 0) if order == DateOrder::MonthFirst => format!("{read}, as CBP writes; no date shows it"),
            (0, 0) => format!("{read}, as the other columns show"),
            (agree, 0) => format!("{read}, as {agree} dates show"),
            (agree, contrary) => format!("{read}, as {agree} dates show; {contrary} show the contrary"),
        }
    }
}

/// What the date columns of a file show, and the orders in which they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DateEvidence {
    /// By place in the table.
    pub(in super::super) columns: Vec<(usize, Shown)>,
    pub(in super::super) read_as: DateOrders,
}

impl DateEvidence {
    fn file(&self) -> Shown {
        self.columns.iter().fold(Shown::default(), |sum, (_, shown)| Shown {
            month_first: sum.month_first + shown.month_first,
            day_first: sum.day_first + shown.day_first,
        })
    }

    /// The order of each column: its own proof before the file's, and a single date is none against the file.
    pub fn orders(&self) -> DateOrders {
        let file = self.file().order();
        let order = |shown: &Shown| if shown.more() > SLIPS_MAX { shown.order() } else { file };
        self.columns.iter().map(|(column, shown)| (*column, order(shown))).collect()
    }

    /// The orders in which the file must be read again, if it was read in others.
    pub fn contradicted(&self) -> Option<DateOrders> {
        Some(self.orders()).filter(|orders| !orders.is_the_same(&self.read_as))
    }

    /// For the receipt; `name` tells a column's. `None` without a date column.
    pub fn describe<'a>(&self, name: impl Fn(usize) -> &'a str) -> Option<String> {
        let orders = self.orders();
        let (first, _) = self.columns.first()?;
        let alike = self.columns.iter().all(|(column, _)| orders.of(*column) == orders.of(*first));
        if alike {
            return Some(self.file().describe(orders.of(*first)));
        }
        let each =
            self.columns.iter().map(|(column, shown)| format!("{}: {}", name(*column), shown.describe(orders.of(*column))));
        Some(each.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests;
