//! The one integration binary: the built `bonded` on real lakes in temporary folders.
//! Promise: each file shows one thing that README or ARCHITECTURE claims, on the real program.

mod bad_input;
mod console;
mod drift;
mod isolation;
mod leaks;
mod postgres;
mod queries_encrypted;
mod spine;
mod tidy;
mod tie_out;
mod world;
