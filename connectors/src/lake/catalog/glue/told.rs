//! What Glue said, in this room's kinds; above all whether a write that was not confirmed may have been done.
//! Promise: a write is `Ambiguous` unless Glue itself said that it refused it.

use std::error::Error as StdError;

use aws_sdk_glue::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::{
    aws::NO_CREDENTIALS,
    error::{Again, Error, ErrorKind},
};

/// What policies call the request, and whether it may be asked again.
#[derive(Clone, Copy)]
pub(super) enum Asked {
    Read(&'static str),
    Write(&'static str),
}

impl Asked {
    fn operation(self) -> &'static str {
        match self {
            Asked::Read(operation) | Asked::Write(operation) => operation,
        }
    }

    /// Without a word of the service.
    fn unanswered(self, name: &str) -> (ErrorKind, String) {
        match self {
            Asked::Read(_) => (ErrorKind::Retry, format!("Glue cannot be reached for {name}: try again")),
            Asked::Write(_) => (ErrorKind::Ambiguous, format!("Glue did not answer whether {name} was changed")),
        }
    }
}

pub(super) fn told<E>(asked: Asked, name: &str, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let mut again = None;
    let (kind, message) = match &error {
        // Nothing to sign with. A connection that broke after the request went out is `other`, too: only what says so is this.
        SdkError::DispatchFailure(failure) if failure.is_other() && names_credentials(&error) => {
            (ErrorKind::Setup, NO_CREDENTIALS.to_owned())
        }
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) | SdkError::ResponseError(_) => asked.unanswered(name),
        SdkError::ServiceError(refused) => {
            let (code, status) = (refused.err().code().unwrap_or_default(), refused.raw().status().as_u16());
            again = why_again(code, status);
            answered(asked, name, code, status)
        }
        _ => (ErrorKind::Internal, format!("{} of {name} could not be asked for", asked.operation())),
    };
    match error.into_source() {
        Ok(source) => Error::new(kind, message).with_again(again).with_source(source),
        Err(error) => Error::new(kind, message).with_again(again).with_source(error),
    }
}

fn why_again(code: &str, status: u16) -> Option<Again> {
    match code {
        "ConcurrentModificationException" | "VersionMismatchException" => Some(Again::Overtaken),
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "ResourceNotReadyException" => Some(Again::Throttled),
        _ if status == 429 => Some(Again::Throttled),
        _ => None,
    }
}

/// By its words: the type is of a crate that the SDK does not hand on.
fn names_credentials(error: &(dyn StdError + 'static)) -> bool {
    let mut at = Some(error);
    while let Some(error) = at {
        if error.to_string().to_ascii_lowercase().contains("credential") {
            return true;
        }
        at = error.source();
    }
    false
}

pub(super) fn answered(asked: Asked, name: &str, code: &str, status: u16) -> (ErrorKind, String) {
    let operation = asked.operation();
    match code {
        "ConcurrentModificationException" | "VersionMismatchException" => {
            (ErrorKind::Retry, format!("another commit to {name} came first"))
        }
        "EntityNotFoundException" => (ErrorKind::Retry, format!("Glue has no {name} any more: try again")),
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "ResourceNotReadyException" => {
            (ErrorKind::Retry, format!("Glue is asked too often ({operation}): try again, or raise the account's quota"))
        }
        "AccessDeniedException" => (ErrorKind::Refused, not_allowed(operation, name)),
        "ResourceNumberLimitExceededException" => {
            (ErrorKind::Setup, format!("the account's quota does not allow {operation} of {name}: raise it"))
        }
        "GlueEncryptionException" => {
            (ErrorKind::Setup, "the key that Glue encrypts its catalog with cannot be used: mend its policy".into())
        }
        "InvalidInputException" | "ValidationException" => (ErrorKind::Setup, format!("Glue takes no {operation} of {name}")),
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredTokenException"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => {
            (ErrorKind::Setup, "Glue does not take our credentials: renew them, or mend the machine's clock".into())
        }
        _ if status == 403 => (ErrorKind::Refused, not_allowed(operation, name)),
        _ if status == 429 => (ErrorKind::Retry, format!("Glue is asked too often ({operation}): try again")),
        // It failed half way, or says that it took too long: a write may have been done.
        "InternalServiceException" | "OperationTimeoutException" => asked.unanswered(name),
        _ if status >= 500 => asked.unanswered(name),
        // A word that we do not know, of the service or of something before it, is none that it refused.
        _ => match asked {
            Asked::Read(_) => (ErrorKind::Internal, format!("{operation} of {name} failed")),
            Asked::Write(_) => (ErrorKind::Ambiguous, format!("Glue said of {name} what tells not whether it was changed")),
        },
    }
}

fn not_allowed(operation: &str, name: &str) -> String {
    format!("this role may not glue:{operation} {name}: mend its policy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_of_unknown_end_unless_glue_says_that_it_refused() {
        let write = |code: &str, status| answered(Asked::Write("UpdateTable"), "db.es_003", code, status).0;
        for (code, status, kind) in [
            ("ConcurrentModificationException", 400, ErrorKind::Retry),
            ("VersionMismatchException", 400, ErrorKind::Retry),
            ("ThrottlingException", 400, ErrorKind::Retry),
            ("", 429, ErrorKind::Retry),
            ("AccessDeniedException", 400, ErrorKind::Refused),
            ("", 403, ErrorKind::Refused),
            ("ExpiredTokenException", 400, ErrorKind::Setup),
            ("InvalidInputException", 400, ErrorKind::Setup),
            ("InternalServiceException", 500, ErrorKind::Ambiguous),
            ("OperationTimeoutException", 400, ErrorKind::Ambiguous),
            ("", 502, ErrorKind::Ambiguous),
            ("SomethingNew", 400, ErrorKind::Ambiguous),
            ("", 404, ErrorKind::Ambiguous),
        ] {
            assert_eq!(write(code, status), kind, "{code} {status}");
        }
        let read = answered(Asked::Read("GetTable"), "db.es_003", "InternalServiceException", 500).0;
        assert_eq!(read, ErrorKind::Retry);
        assert_eq!(answered(Asked::Read("GetTable"), "db.es_003", "SomethingNew", 400).0, ErrorKind::Internal);
    }
}
