//! The vault: sealed codes in memory, until they are consumed or their request ends, and then erased for good.

use std::time::Duration;

use agent_otp_domain::{Digest, RequestKey, SealedCode, codec};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::error::StoreError;
use crate::message::Sealed;
use crate::subject;

/// The vault.
#[derive(Debug, Clone)]
pub struct Vault {
    connection: Connection,
}

/// Where a sealed code lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u64);

/// What is kept under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "sealed.v1")]
pub struct Kept {
    /// The sealed code, `enc ‖ ct`.
    pub sealed: Sealed,
}

impl Kept {
    /// What the message is called.
    pub const TYPE: &'static str = "sealed.v1";
}

impl Vault {
    /// The vault on this connection.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Keeps a sealed code for at most `ttl`; one that is there stays as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the broker did not confirm; the code may be there.
    pub async fn put(
        &self,
        key: &RequestKey,
        digest: &Digest,
        sealed: &SealedCode,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let message = PublishMessage::build()
            .payload(codec::encode(&Kept { sealed: Sealed(sealed.clone()) }).into())
            .header("Content-Type", "application/msgpack")
            .expected_last_subject_sequence(0)
            .ttl(ttl.max(Duration::from_secs(1)));
        let publish = self.connection.jetstream.send_publish(subject::vault(key, digest), message);
        let outcome = match publish.await {
            Ok(acknowledgement) => acknowledgement.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(_) => Ok(()),
            // The key bears the digest of the content, so what is there is the same.
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(()),
            Err(error) => Err(StoreError::unreachable("put of a sealed code")(error.into())),
        }
    }

    /// Reads a sealed code from the stream's leader, without erasing it; erasing follows once `consumed` is stored.
    ///
    /// Returns `None` if it was erased before, if its TTL has run out, or if the broker lost its memory.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the leader did not answer; the code may still be there.
    pub async fn read(&self, key: &RequestKey, digest: &Digest) -> Result<Option<SealedCode>, StoreError> {
        Ok(self.find(key, digest).await?.map(|(sealed, _)| sealed))
    }

    /// Reads a sealed code as [`Vault::read`] does, and says where it lies.
    ///
    /// # Errors
    ///
    /// As [`Vault::read`].
    pub async fn find(
        &self,
        key: &RequestKey,
        digest: &Digest,
    ) -> Result<Option<(SealedCode, Place)>, StoreError> {
        let found = self.last(&subject::vault(key, digest)).await?;
        Ok(found
            .and_then(|(sequence, bytes)| {
                Some((codec::decode::<Kept>(&bytes).ok()?.sealed.0, Place(sequence)))
            })
            .filter(|(sealed, _)| Digest::of(&[sealed.as_bytes()]) == *digest))
    }

    /// Erases the sealed code that was found at this place: one call, where [`Vault::erase`] has to look first.
    ///
    /// # Errors
    ///
    /// As [`Vault::erase`]; also if it was erased before.
    pub async fn erase_at(&self, place: Place) -> Result<(), StoreError> {
        let doing = "erasure of a sealed code";
        let erased = self.stream(doing).await?.delete_message(place.0).await;
        erased.map(drop).map_err(|error| StoreError::unreachable(doing)(error.into()))
    }

    /// Erases every sealed code of a request: the bytes are overwritten, not only hidden.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the broker did not confirm; erasing again is harmless.
    pub async fn erase(&self, key: &RequestKey) -> Result<(), StoreError> {
        self.erase_all(&subject::vault_of(key)).await
    }

    /// Erases one sealed code whose capture was refused.
    ///
    /// # Errors
    ///
    /// As [`Vault::erase`].
    pub async fn erase_one(&self, key: &RequestKey, digest: &Digest) -> Result<(), StoreError> {
        self.erase_all(&subject::vault(key, digest)).await
    }

    async fn erase_all(&self, subject: &str) -> Result<(), StoreError> {
        let doing = "erasure of a sealed code";
        while let Some((sequence, _)) = self.last(subject).await? {
            let stream = self.stream(doing).await?;
            // STREAM.MSG.DELETE without `no_erase`: purging or deleting the key would leave the bytes.
            match stream.delete_message(sequence).await {
                Ok(_) => {}
                // Another relay may have been first; the next look tells.
                Err(error) => {
                    if self.last(subject).await?.is_some_and(|(still, _)| still == sequence) {
                        return Err(StoreError::unreachable(doing)(error.into()));
                    }
                }
            }
        }
        Ok(())
    }

    async fn last(&self, subject: &str) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let doing = "read of a sealed code";
        match self.stream(doing).await?.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some((message.sequence, message.payload.to_vec()))),
            Err(error) => match error.kind() {
                LastRawMessageErrorKind::NoMessageFound => Ok(None),
                // A single server forgets a memory stream when it restarts: what it held is gone.
                LastRawMessageErrorKind::JetStream(cause) if cause.code() == 404 => Ok(None),
                LastRawMessageErrorKind::JetStream(_)
                | LastRawMessageErrorKind::InvalidSubject
                | LastRawMessageErrorKind::Other => Err(StoreError::unreachable(doing)(error.into())),
            },
        }
    }

    async fn stream(&self, doing: &'static str) -> Result<Stream<()>, StoreError> {
        self.connection
            .jetstream
            .get_stream_no_info(subject::VAULT_STREAM)
            .await
            .map_err(|error| StoreError::unreachable(doing)(error.into()))
    }
}
