//! What a request brings: path, query, JSON body, a stream of bytes. Each says what is wrong with it as a problem.
//! Never: what does not fit is guessed at; an unknown field is refused by its name.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, header, request::Parts},
};
use futures::Stream;
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Sleep, sleep},
};

use super::problem::Problem;

/// Parts of the path. What does not read as an id names nothing.
#[derive(Debug)]
pub struct Named<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(named) = Path::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        Ok(Self(named))
    }
}

/// The query of the address.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(asked) =
            Query::from_request_parts(parts, state).await.map_err(|rejection| Problem::malformed(rejection.body_text()))?;
        Ok(Self(asked))
    }
}

/// A JSON body.
#[derive(Debug)]
pub struct Sent<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| Problem::of_status(rejection.status()))?;
        let sent = serde_json::from_slice(&bytes).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Problem::invalid(format!("the body does not fit: {error}")),
            _ => Problem::malformed(format!("the body is not JSON: {error}")),
        })?;
        Ok(Self(sent))
    }
}

/// A body as it comes in, read like a file.
pub struct Upload {
    stream: BodyDataStream,
    piece: Bytes,
    pause_max: Duration,
    pause: Pin<Box<Sleep>>,
}

impl Upload {
    /// A sender that brings nothing for `pause_max` is given up.
    pub fn new(body: Body, pause_max: Duration) -> Self {
        Self { stream: body.into_data_stream(), piece: Bytes::new(), pause_max, pause: Box::pin(sleep(pause_max)) }
    }
}

impl AsyncRead for Upload {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.piece.is_empty() {
            match Pin::new(&mut this.stream).poll_next(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(io::Error::other(error))),
                Poll::Ready(Some(Ok(piece))) => {
                    this.piece = piece;
                    this.pause.set(sleep(this.pause_max));
                }
                Poll::Pending => {
                    ready!(this.pause.as_mut().poll(cx));
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the sender went silent")));
                }
            }
        }
        let take = this.piece.len().min(buffer.remaining());
        buffer.put_slice(&this.piece.split_to(take));
        Poll::Ready(Ok(()))
    }
}
