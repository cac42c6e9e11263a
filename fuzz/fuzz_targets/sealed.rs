//! libFuzzer's way into `sealed::Vault`.

#![no_main]

use std::sync::LazyLock;

use bonded_fuzz::sealed::Vault;

static VAULT: LazyLock<Vault> = LazyLock::new(Vault::new);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| VAULT.open(bytes));
