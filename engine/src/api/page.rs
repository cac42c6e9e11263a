//! Lists by the page: so many at a time, and where to go on.
//! Promise: going on from a cursor neither skips nor repeats what was there when the first page was read.

use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::{Answer, Problem};
use crate::error::Result;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;
const CURSOR_BYTES_MAX: usize = 512;

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// How many at most; 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// `next` of the page before.
    #[param(max_length = 512)]
    pub cursor: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` for what follows; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Paging {
    /// The page of a list whose items are in the order of their keys.
    pub fn of<T>(&self, items: impl IntoIterator<Item = T>, key: impl Fn(&T) -> String) -> Answer<Page<T>> {
        let limit = self.limit()?;
        let after = self.after()?;
        let mut rest = items.into_iter().filter(|item| after.as_ref().is_none_or(|after| key(item) > *after));
        let items: Vec<T> = rest.by_ref().take(limit).collect();
        let more = rest.next().is_some();
        let next = items.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(key(last)));
        Ok(Page { items, next })
    }

    /// The page of a list that the store keeps, the newest first: `read(before, limit)`.
    pub async fn from<T, K: FromStr>(
        &self,
        read: impl AsyncFnOnce(Option<K>, usize) -> Result<Vec<T>>,
        key: impl Fn(&T) -> String,
    ) -> Answer<Page<T>> {
        let limit = self.limit()?;
        let before = self.after()?.map(|key| key.parse()).transpose().map_err(|_| not_ours())?;
        let mut items = read(before, limit + 1).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(key(last)));
        Ok(Page { items, next })
    }

    fn limit(&self) -> Answer<usize> {
        let limit = self.limit.unwrap_or(LIMIT);
        match (1..=LIMIT_MAX).contains(&limit) {
            true => Ok(limit),
            false => Err(Problem::invalid(format!("limit must be 1 to {LIMIT_MAX}"))),
        }
    }

    fn after(&self) -> Answer<Option<String>> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        if cursor.len() > CURSOR_BYTES_MAX {
            return Err(not_ours());
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| not_ours())?;
        String::from_utf8(bytes).map(Some).map_err(|_| not_ours())
    }
}

fn not_ours() -> Problem {
    Problem::invalid("the cursor is not one of ours; begin without it")
}

impl<T> Page<T> {
    /// The same page of other items.
    pub fn try_map<U>(self, make: impl FnMut(T) -> Answer<U>) -> Answer<Page<U>> {
        let items = self.items.into_iter().map(make).collect::<Answer<_>>()?;
        Ok(Page { items, next: self.next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: usize, cursor: Option<String>) -> Page<u32> {
        let items = (10..=30).chain(std::iter::empty());
        Paging { limit: Some(limit), cursor }.of(items, |n| format!("{n}")).expect("a page")
    }

    #[test]
    fn pages_follow_one_another_without_a_gap_and_the_last_says_so() {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page = page(4, cursor);
            all.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(all, (10..=30).collect::<Vec<_>>());
    }

    #[test]
    fn a_cursor_or_a_limit_of_nobodys_is_refused() {
        for paging in [
            Paging { limit: Some(0), cursor: None },
            Paging { limit: Some(1001), cursor: None },
            Paging { limit: None, cursor: Some("%%%".into()) },
            Paging { limit: None, cursor: Some(URL_SAFE_NO_PAD.encode([0xff, 0xfe])) },
            Paging { limit: None, cursor: Some("A".repeat(513)) },
        ] {
            assert_eq!(paging.of([1], |n: &i32| n.to_string()).expect_err("refused").status(), 422, "{paging:?}");
        }
    }
}
