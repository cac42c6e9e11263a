//! Pieces of an upload, sealed in staging until all are there; and the whole, read from them piece by piece.
//! Promise: a piece opens only for its tenant, its upload and its place in it; the whole ends only if it is, to the byte, what
//! was announced.
//! Never: a piece lies in the clear, or anywhere but in staging: what becomes of the whole is landed like any other file.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bonded_schemas::{TenantId, TenantScope};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use ring::digest;
use tokio::io::{AsyncRead, ReadBuf};

use super::{DIGEST_OF, RawZone, folder, publish::remove_staging};
use crate::{
    error::{Error, ErrorKind, Result},
    seal::{DocumentKey, NameKey, cipher},
    store::uploads::PieceRow,
};

const PIECE_CONTEXT: &str = "bonded-upload-piece-v1";

impl RawZone {
    /// The name that bytes of this SHA-256 (lower-case hex) have in the zone, landed or not.
    ///
    /// # Errors
    /// `Input` when it is no SHA-256.
    pub fn name_of(names: &NameKey, sha256: &str) -> Result<String> {
        let digits = sha256.bytes().map(|digit| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        });
        let digits: Option<Vec<u8>> = digits.collect();
        let digits = digits.filter(|digits| digits.len() == 2 * digest::SHA256_OUTPUT_LEN);
        let digits = digits.ok_or_else(|| Error::new(ErrorKind::Input, "a SHA-256 is 64 digits 0-9 and a-f"))?;
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        Ok(names.keyed_digest(DIGEST_OF, &bytes))
    }

    /// Seals a piece into staging, durably, under a name that is answered. Nobody knows of it yet.
    pub async fn stage_piece(
        &self,
        scope: &TenantScope,
        documents: &DocumentKey,
        upload: &str,
        offset_bytes: u64,
        plain: &[u8],
    ) -> Result<PieceRow> {
        let name = uuid::Uuid::new_v4().to_string();
        let at = offset_bytes.to_string();
        let sealed = documents.seal(&context(scope.tenant(), upload, &at), plain);
        self.store.put(&staged(scope.tenant(), &name)?, PutPayload::from(sealed)).await?;
        Ok(PieceRow { offset_bytes, size_bytes: plain.len() as u64, name })
    }

    /// Removes pieces that no upload needs; what stays behind is swept from staging.
    pub async fn unstage_pieces(&self, scope: &TenantScope, pieces: &[PieceRow]) {
        for piece in pieces {
            if let Ok(staging) = staged(scope.tenant(), &piece.name) {
                remove_staging(self.store.as_ref(), &staging).await;
            }
        }
    }

    /// The whole of these pieces, which must have this SHA-256 (lower-case hex). Where they are not what was announced, or one
    /// is gone or altered, reading fails with [`io::ErrorKind::InvalidData`].
    pub fn pieced(
        &self,
        scope: &TenantScope,
        documents: &DocumentKey,
        upload: &str,
        pieces: Vec<PieceRow>,
        sha256: &str,
    ) -> Pieced {
        let whole = Whole {
            store: self.store.clone(),
            tenant: scope.tenant().clone(),
            documents: documents.clone(),
            upload: upload.to_owned(),
            pieces: pieces.into_iter(),
            sha256: sha256.to_owned(),
            digest: digest::Context::new(&digest::SHA256),
        };
        Pieced { stream: stream::try_unfold(whole, Whole::next).boxed(), piece: Bytes::new() }
    }
}

fn context<'a>(tenant: &'a TenantId, upload: &'a str, offset: &'a str) -> [&'a str; 4] {
    [PIECE_CONTEXT, tenant.as_str(), upload, offset]
}

/// Only a name that was given here is a place in staging.
fn staged(tenant: &TenantId, name: &str) -> Result<Path> {
    let name = uuid::Uuid::parse_str(name)
        .map_err(|error| Error::new(ErrorKind::Damaged, "the name of a staged piece is none").with_source(error))?;
    Ok(Path::from(format!("{}/staging/{name}", folder(tenant))))
}

struct Whole {
    store: Arc<dyn ObjectStore>,
    tenant: TenantId,
    documents: DocumentKey,
    upload: String,
    pieces: std::vec::IntoIter<PieceRow>,
    sha256: String,
    digest: digest::Context,
}

impl Whole {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let Some(piece) = self.pieces.next() else {
            let digest = cipher::hex(self.digest.finish().as_ref());
            return match digest == self.sha256 {
                true => Ok(None),
                false => Err(io::Error::new(io::ErrorKind::InvalidData, "the pieces do not make up what was announced")),
            };
        };
        let plain = self.open(&piece).await?;
        self.digest.update(&plain);
        Ok(Some((plain, self)))
    }

    async fn open(&self, piece: &PieceRow) -> io::Result<Bytes> {
        let lost = |error: Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let place = staged(&self.tenant, &piece.name).map_err(lost)?;
        let sealed = match self.store.get(&place).await {
            Ok(found) => found.bytes().await.map_err(io::Error::other)?,
            Err(error @ object_store::Error::NotFound { .. }) => return Err(lost(error.into())),
            Err(error) => return Err(io::Error::other(error)),
        };
        let at = piece.offset_bytes.to_string();
        let plain = self.documents.open(&context(&self.tenant, &self.upload, &at), &sealed).map_err(lost)?;
        if plain.len() as u64 != piece.size_bytes {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a staged piece has another length than was told"));
        }
        Ok(Bytes::from_owner(plain))
    }
}

/// The whole of an upload, read like a file.
pub struct Pieced {
    stream: BoxStream<'static, io::Result<Bytes>>,
    piece: Bytes,
}

impl AsyncRead for Pieced {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.piece.is_empty() {
            match ready!(Pin::new(&mut this.stream).poll_next(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(piece) => this.piece = piece?,
            }
        }
        let take = this.piece.len().min(buffer.remaining());
        buffer.put_slice(&this.piece.split_to(take));
        Poll::Ready(Ok(()))
    }
}

impl std::fmt::Debug for Pieced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieced").finish_non_exhaustive()
    }
}
