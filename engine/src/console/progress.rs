//! A progress bar on reading, shown only on a terminal and only when the work lasts longer than a second.

use std::{
    io::IsTerminal,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::io::{AsyncRead, ReadBuf};

const QUIET: Duration = Duration::from_secs(1);

/// Runs the work; a spinner turns beside it once it lasts longer than a second, on a terminal.
pub async fn spinning<T>(name: &str, work: impl Future<Output = T>) -> T {
    if !std::io::stderr().is_terminal() {
        return work.await;
    }
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(QUIET, &mut work).await {
        return done;
    }
    let bar = ProgressBar::new_spinner().with_message(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    let done = work.await;
    bar.finish_and_clear();
    done
}

/// Counts the bytes that pass.
pub struct Progress<R> {
    inner: R,
    bar: ProgressBar,
    since: Instant,
    shown: bool,
}

impl<R> Progress<R> {
    pub fn new(inner: R, name: &str, size_bytes: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(size_bytes, ProgressDrawTarget::hidden()).with_message(name.to_owned());
        let style = match size_bytes {
            Some(_) => "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "{msg} {spinner} {bytes} {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self { inner, bar, since: Instant::now(), shown: !std::io::stderr().is_terminal() }
    }
}

impl<R> Drop for Progress<R> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Progress<R> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.bar.inc((buffer.filled().len() - before) as u64);
        if !self.shown && self.since.elapsed() > QUIET {
            self.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        polled
    }
}
