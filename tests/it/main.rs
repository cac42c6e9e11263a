//! The one integration binary: the built `bonded` on real lakes in temporary folders.
//! Promise: each file shows one thing that README or ARCHITECTURE claims, on the real program.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its house should stop there")]

mod alerts;
mod api;
mod attest;
mod audit;
mod aws;
mod aws_keys;
mod bad_input;
mod cape;
mod chaos;
mod checks;
mod console;
mod containers;
mod crash;
mod damage;
mod deadlines;
mod dialects;
mod doctor;
mod drift;
mod drill;
mod drill_bucket;
mod end_to_end;
mod faults;
mod findings;
mod fuzz_entry;
mod glue;
mod history;
mod isolation;
mod kill;
mod leaks;
mod mail;
mod mail_in;
mod maintain;
mod masking;
mod oidc;
mod people;
mod pollock;
mod postgres;
mod push;
mod queries_encrypted;
mod rebuild;
mod serve;
mod ses;
mod shred;
mod spine;
mod tidy;
mod tie_out;
mod verify;
mod watch;
mod world;
mod year;
