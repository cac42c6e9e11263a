//! libFuzzer's way into `unpack::Dock` with messages.

#![no_main]

use std::sync::LazyLock;

use bonded_fuzz::unpack::Dock;

static DOCK: LazyLock<Dock> = LazyLock::new(Dock::new);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| DOCK.deliver_mail(bytes));
