//! Letters: those that wait, and those that were given up.

use chrono::TimeDelta;

use super::{Chart, trails::events_since};
use crate::{error::Result, lakehouse::Lakehouse};

/// From so many tries on it is no passing trouble.
const TRIES_WORTH_A_LOOK: u64 = 3;
const LOOKED_BACK: TimeDelta = TimeDelta::days(1);

pub(super) async fn look(house: &Lakehouse, chart: &mut Chart) -> Result<()> {
    let post = house.control().post().await?;
    match post.tries_max {
        tries if tries >= TRIES_WORTH_A_LOOK => chart.warn(
            "letters",
            format!("{} wait, one was tried {tries} times", post.letters),
            "see what `bonded serve` says of desk.post; check mail.smtp and its server",
        ),
        _ => chart.ok("letters", format!("{} wait", post.letters)),
    }
    let given_up = events_since(house, house.clock.now() - LOOKED_BACK).await?.into_iter();
    let given_up = given_up.filter(|event| event.action == "letter.send" && event.result.starts_with("given up")).count();
    if given_up > 0 {
        chart.warn(
            "letters given up",
            format!("{given_up} since yesterday"),
            "`bonded audit --action letter` tells why; whoever waits for one asks for it again",
        );
    }
    Ok(())
}
