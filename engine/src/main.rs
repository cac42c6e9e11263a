//! The `bonded` binary: arguments in, exit code out. Everything it does is in the library beside it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    bonded::console::run().await
}
