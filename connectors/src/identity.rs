//! What proves who somebody is: passwords, one-time codes, random tokens. Only arithmetic: who may what is the engine's.
//! Promise: a secret is kept as a digest that does not give it back, and compared in constant time.
//! Never: a password, a code or a token is printed; none has a `Display`, and `Debug` hides them.

pub mod password;
#[cfg(test)]
mod tests;
pub mod token;
pub mod totp;
