//! What is answered: RFC 5321's codes with those of RFC 3463, each text once.
//! Never: an answer says why a recipient is none, what runs here, or what went wrong within.

pub(super) const OK: &str = "250 2.0.0 ok";
pub(super) const SENDER_OK: &str = "250 2.1.0 sender ok";
pub(super) const RECIPIENT_OK: &str = "250 2.1.5 recipient ok";
pub(super) const CHUNK_OK: &str = "250 2.0.0 go on";
pub(super) const KEPT: &str = "250 2.0.0 kept";
pub(super) const GO_AHEAD: &str = "354 end with a dot on a line of its own";
pub(super) const BYE: &str = "221 2.0.0 bye";
pub(super) const HELP: &str = "214 2.0.0 this server takes reports for its own recipients";
/// To whoever asks whether somebody is here.
pub(super) const CANNOT_VERIFY: &str = "252 2.5.0 send it, and see";
pub(super) const READY_FOR_TLS: &str = "220 2.0.0 ready for TLS";

/// The same for every recipient that is none.
pub(super) const NO_RECIPIENT: &str = "550 5.1.1 no such recipient here";
pub(super) const RECIPIENT_LATER: &str = "451 4.3.0 cannot look now, try again later";
pub(super) const RECIPIENTS_MAX: &str = "452 4.5.3 too many recipients, send it to the rest apart";
pub(super) const TOO_LARGE: &str = "552 5.3.4 the message is larger than is taken here";
pub(super) const NOT_KEPT: &str = "451 4.3.0 not kept, try again later";
pub(super) const BUSY: &str = "451 4.3.2 busy, try again later";

pub(super) const UNKNOWN: &str = "500 5.5.2 no such command";
pub(super) const LINE_TOO_LONG: &str = "500 5.5.6 the line is too long";
pub(super) const BARE_NEWLINE: &str = "500 5.5.2 a command ends with CR LF";
pub(super) const SYNTAX: &str = "501 5.5.4 this cannot be read";
pub(super) const NOT_SERVED: &str = "502 5.5.1 not served here";
pub(super) const HELLO_FIRST: &str = "503 5.5.1 say hello first";
pub(super) const SENDER_FIRST: &str = "503 5.5.1 MAIL comes first";
pub(super) const SENDER_TWICE: &str = "503 5.5.1 there is a sender already";
pub(super) const RECIPIENT_FIRST: &str = "503 5.5.1 there is no recipient";
pub(super) const CHUNKS_BEGAN: &str = "503 5.5.1 only BDAT or RSET may follow BDAT";
pub(super) const DATA_NOT_LAST: &str = "554 5.5.0 nothing may follow DATA before its answer";
pub(super) const TLS_TWICE: &str = "503 5.5.1 TLS is there already";
pub(super) const TLS_FIRST: &str = "530 5.7.0 STARTTLS comes first";
pub(super) const PARAMETER: &str = "555 5.5.4 this parameter is not served";

pub(super) const STOPPING: &str = "421 4.3.2 going down, come again later";
pub(super) const TOO_MANY_CONNECTIONS: &str = "421 4.7.0 too many connections";
pub(super) const TOO_SLOW: &str = "421 4.4.2 too slow";
pub(super) const TOO_MANY_ERRORS: &str = "421 4.7.0 too many errors";
pub(super) const TOO_MANY_COMMANDS: &str = "421 4.7.0 too many commands";
