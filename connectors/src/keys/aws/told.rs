//! What the key service said, in this room's kinds: what may be tried again, what is refused, what the set-up lacks.
//! Promise: disabled, on its way to deletion, throttled, not allowed, unknown, unopened and unreachable are told apart.

use std::error::Error as StdError;

use aws_sdk_kms::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::{
    aws::NO_CREDENTIALS,
    error::{Error, ErrorKind},
    keys::KeyId,
};

/// The error of one call. `key` is whose use was asked for, `operation` what policies call it.
pub(super) fn told<E>(key: &KeyId, operation: &'static str, error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let unreachable = |error: SdkError<E, HttpResponse>| {
        Error::new(ErrorKind::Retry, format!("the key service cannot be reached for key `{key}`: try again"))
            .with_source(whole(error))
    };
    match error {
        // Not the network, and not the request: the signer found nothing to sign with.
        SdkError::DispatchFailure(ref failure) if failure.is_other() => {
            Error::new(ErrorKind::Setup, NO_CREDENTIALS).with_source(whole(error))
        }
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) | SdkError::ResponseError(_) => unreachable(error),
        SdkError::ServiceError(refused) => {
            let status = refused.raw().status().as_u16();
            let (kind, told) = answered(key, operation, refused.err().code().unwrap_or_default(), status);
            Error::new(kind, told).with_source(refused.into_err())
        }
        error => {
            Error::new(ErrorKind::Internal, format!("key `{key}`: {operation} could not be asked for")).with_source(whole(error))
        }
    }
}

/// The SDK's own text is one word; what it wraps says more.
fn whole<E>(error: SdkError<E, HttpResponse>) -> Box<dyn StdError + Send + Sync>
where
    E: StdError + Send + Sync + 'static,
{
    match error.into_source() {
        Ok(source) => source,
        Err(error) => Box::new(error),
    }
}

/// By the service's code; some proxies answer with a bare status.
pub(super) fn answered(key: &KeyId, operation: &str, code: &str, status: u16) -> (ErrorKind, String) {
    match code {
        "DisabledException" => (ErrorKind::Refused, format!("key `{key}` is disabled: enable it first")),
        "KMSInvalidStateException" => (
            ErrorKind::Refused,
            format!("key `{key}` is in no state for {operation}: look at it, and cancel its deletion or enable it first"),
        ),
        "AccessDeniedException" => (ErrorKind::Refused, not_allowed(key, operation)),
        "InvalidCiphertextException" | "IncorrectKeyException" | "InvalidKeyUsageException" => {
            (ErrorKind::Refused, does_not_open(key))
        }
        "NotFoundException" | "InvalidArnException" => {
            (ErrorKind::Setup, format!("the key service knows no key `{key}` in this account and region"))
        }
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" => (
            ErrorKind::Retry,
            format!("the key service is asked too often (key `{key}`): try again, or raise the account's quota"),
        ),
        "MalformedPolicyDocumentException" => (
            ErrorKind::Setup,
            "the key service does not take the policy that keys.policy names: see that the roles in it exist, and its form"
                .into(),
        ),
        "ConflictException" => (ErrorKind::Retry, format!("key `{key}` is being changed: try again")),
        "LimitExceededException" => (ErrorKind::Setup, format!("the account's quota does not allow {operation}: raise it")),
        "KMSInternalException" | "DependencyTimeoutException" | "KeyUnavailableException" => {
            (ErrorKind::Retry, format!("the key service failed for key `{key}`: try again"))
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredTokenException"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken" => {
            (ErrorKind::Setup, "the key service does not take our credentials: renew them, or mend the machine's clock".into())
        }
        "ValidationException" | "ValidationError" => {
            (ErrorKind::Setup, format!("the key service takes no {operation} of key `{key}`"))
        }
        _ if status == 403 => (ErrorKind::Refused, not_allowed(key, operation)),
        _ if status == 429 || status >= 500 => (ErrorKind::Retry, format!("the key service failed for key `{key}`: try again")),
        _ => (ErrorKind::Internal, format!("key `{key}`: {operation} failed")),
    }
}

fn not_allowed(key: &KeyId, operation: &str) -> String {
    format!("this role may not kms:{operation} with key `{key}`: mend its policy or the key's")
}

/// Says no more than that: which part was wrong helps only who should not know.
pub(super) fn does_not_open(key: &KeyId) -> String {
    format!("key `{key}` does not open this: wrapped by another key or context, or altered")
}

/// What an answer must hold and does not.
pub(super) fn incomplete(key: &KeyId, operation: &'static str) -> Error {
    Error::new(ErrorKind::Internal, format!("key `{key}`: the key service's answer to {operation} is not whole"))
}
