//! The role `watch`: a round over all tenants at the start, at each interval, and when the next window is due to be told of.
//! Promise: what passed its time while nobody watched is told of in the first round; a round that fails is made again, and
//! each that was made is a beat, for `alerts.heartbeat_needs`.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{Shop, Stopped, pause};
use crate::watch::Watch;

/// A deadline that is at hand is not waited for in circles.
const WAIT_MIN: Duration = Duration::from_millis(200);
/// Whose beat it is.
const NAME: &str = "watch";

pub(super) async fn run(shop: Arc<Shop>, mut stop: watch::Receiver<bool>) -> Stopped {
    let every = shop.house.settings.watch.every();
    let mut watch = Watch::with_gauges(shop.gauges.clone());
    let asked = stop.clone();
    let is_stopping = move || *asked.borrow();
    loop {
        let wait = match watch.round(&shop.house, shop.scope_of.as_ref(), &is_stopping).await {
            Ok(done) => {
                if let Err(error) = shop.house.control().beat(NAME, shop.house.clock.now().timestamp_millis()).await {
                    tracing::warn!(target: "serve.watch", %error, "the beat could not be noted");
                }
                if done.told > 0 {
                    tracing::info!(target: "serve.watch", told = done.told, "windows told of");
                }
                let until = done.next_at.and_then(|next| (next - shop.house.clock.now()).to_std().ok());
                until.map_or(every, |until| until.clamp(WAIT_MIN, every))
            }
            Err(error) => {
                tracing::warn!(target: "serve.watch", %error, "a round failed");
                every
            }
        };
        if !pause(wait, &mut stop).await {
            return Stopped::default();
        }
    }
}
