//! Mail that is received: what lies in a message, and what proves who sent it.
//! Promise: any bytes give an answer, within limits that hold before memory is taken.
//! Never: nothing here knows a tenant, a report or a table; no name of a part is used as a path.

pub mod message;
pub mod proof;
