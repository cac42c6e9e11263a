//! What makes the audit trail proof: how events are chained and bound to their sealed text, signed checkpoints, and segments.
//! Promise: whoever holds an export and a public key can tell every change, removal and reorder without any key of ours.
//! Never: the plain text of an event is kept anywhere; what lies in the clear beside it is a salted digest.

pub mod chain;
pub mod checkpoint;
pub mod segments;

pub use chain::AuditRow;
pub use checkpoint::{Checkpoint, Signed};
pub use segments::{Segment, SegmentPlace, Segments};
