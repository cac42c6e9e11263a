//! Mail by SES: whether its queue and its bucket can be read, what waits there, and what nobody tries any more.

use bonded_connectors::ses::Seen;

use super::Chart;
use crate::{error::Result, serve::reach_ses, settings::Settings};

const QUEUE: &str = "mail queue";
const DEAD: &str = "dead letters";

pub(super) async fn look(settings: &Settings, chart: &mut Chart) -> Result<()> {
    let Some((queue, place, bucket)) = reach_ses(settings).await? else {
        chart.not_asked("mail by SES", "no ses.queue_url is set");
        return Ok(());
    };
    match queue.redrive().await {
        Ok(redrive) => {
            let counts = queue.counts().await?;
            let tries = redrive.receives_max;
            chart.ok(QUEUE, format!("{} wait, {} are held; each is tried {tries} times", counts.waiting, counts.held));
        }
        Err(error) => chart.failed(QUEUE, &error.into()),
    }
    match queue.dead_letters().await {
        Ok(None) => chart.not_asked(DEAD, "no ses.dead_letter_url is set"),
        Ok(Some(dead)) if dead.waiting + dead.held == 0 => chart.ok(DEAD, "none"),
        Ok(Some(dead)) => chart.warn(
            DEAD,
            format!("{} mails, or what else was in the queue, could not be taken in", dead.waiting + dead.held),
            "`bonded audit --action mail.notification` tells why; mend it, then `aws sqs start-message-move-task`",
        ),
        Err(error) => chart.failed(DEAD, &error.into()),
    }
    let object = format!("mail bucket {}", place.bucket);
    match bucket.region().await {
        Ok(region) => {
            if let Err(error) = settings.aws.residency()?.region(&object, &region) {
                chart.failed(object.clone(), &error.into());
            }
        }
        Err(error) => chart.failed(object.clone(), &error.into()),
    }
    match bucket.look().await {
        Ok(Seen::Readable) => chart.ok(object, "its mails can be read"),
        Ok(Seen::Empty) => chart.ok(object, format!("no mail lies below `{}`", place.prefix)),
        Err(error) => chart.failed(object, &error.into()),
    }
    if !settings.mail_in.trusted_hops.iter().any(|hop| hop == bonded_connectors::mail::proof::SES) {
        chart.not_asked(
            "sender proof by SES",
            "mail_in.trusted_hops does not name amazonses.com, so its Authentication-Results prove nobody",
        );
    }
    Ok(())
}
