//! Secrets in AWS Secrets Manager.
//! Promise: the service is asked when a secret of it is first needed, a bounded number of times; credentials come of AWS's
//! standard chain; why a secret is not had is told by its reference and by what mends it.
//! Never: the service's own words about a secret's content, and none of the content, in an error.

use async_trait::async_trait;
use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use serde_json::Value;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::{BYTES_MAX, Backend, Reference, too_long};
use crate::{
    aws::{Account, Reach, Service},
    error::{Error, ErrorKind, Result},
};

/// The service, reached when it is first asked.
#[derive(Debug)]
pub struct Manager {
    reach: Reach,
    client: OnceCell<Client>,
}

impl Manager {
    pub fn new(reach: Reach) -> Self {
        Self { reach, client: OnceCell::new() }
    }

    #[cfg(test)]
    pub(super) fn of_tests(account: &Account) -> Self {
        let client = OnceCell::new_with(Some(Client::new(&account.config(Service::Secrets))));
        Self { reach: account.reach().clone(), client }
    }

    async fn client(&self) -> Result<&Client> {
        let connect = async || Ok(Client::new(&Account::open(self.reach.clone()).await?.config(Service::Secrets)));
        self.client.get_or_try_init(connect).await
    }
}

#[async_trait]
impl Backend for Manager {
    async fn read(&self, reference: &Reference) -> Result<Zeroizing<String>> {
        let Reference::Aws { name, field } = reference else {
            return Err(Error::new(ErrorKind::Internal, "no secret of AWS is named"));
        };
        let asked = self.client().await?.get_secret_value().secret_id(name).send().await;
        let answer = asked.map_err(|error| told(reference, &error))?;
        let kept = answer.secret_string.map(Zeroizing::new);
        let kept = kept.ok_or_else(|| setup(reference, "holds bytes and no text; put it in as text"))?;
        let text = match field {
            None => kept,
            Some(field) => within(&kept, field).ok_or_else(|| setup(reference, "is no JSON object with that field as text"))?,
        };
        if text.len() > BYTES_MAX { Err(too_long(reference)) } else { Ok(text) }
    }
}

/// A field of a JSON object: text, or a number as it is written.
pub(super) fn within(kept: &str, field: &str) -> Option<Zeroizing<String>> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(kept) else { return None };
    match fields.remove(field)? {
        Value::String(text) => Some(Zeroizing::new(text)),
        Value::Number(number) => Some(Zeroizing::new(number.to_string())),
        _ => None,
    }
}

fn setup(reference: &Reference, what: &str) -> Error {
    Error::new(ErrorKind::Setup, format!("the secret {reference} {what}"))
}

/// By the service's code; its message may name accounts and roles, so it is not handed on.
fn told<E: ProvideErrorMetadata, R>(reference: &Reference, error: &SdkError<E, R>) -> Error {
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    match (error, code) {
        (_, Some("ResourceNotFoundException")) => setup(reference, "is not in AWS Secrets Manager: make it, or name another"),
        (_, Some("InvalidRequestException")) => setup(reference, "is being deleted: restore it, or name another"),
        (_, Some("DecryptionFailure" | "DecryptionFailureException")) => {
            setup(reference, "is under a key that may not be used: allow kms:Decrypt, or enable the key")
        }
        (_, Some("AccessDeniedException" | "AccessDenied" | "UnrecognizedClientException" | "ExpiredTokenException")) => {
            setup(reference, "may not be read: allow this role secretsmanager:GetSecretValue on it")
        }
        (SdkError::ConstructionFailure(_), _) => {
            setup(reference, "cannot be asked for: set aws.region, and let AWS's standard chain find credentials")
        }
        (SdkError::DispatchFailure(failure), _) if failure.as_connector_error().is_none_or(|error| error.is_other()) => {
            setup(reference, "cannot be asked for: AWS's standard chain has no credentials or no region here")
        }
        (_, code) => {
            let code = code.unwrap_or("no answer");
            Error::new(ErrorKind::Retry, format!("AWS Secrets Manager did not give out {reference}: {code}"))
        }
    }
}
