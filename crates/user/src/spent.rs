//! What the capturer has acted on: one synced record a decision, written before anything is sent. Never plaintext.
//!
//! It marks the decision as spent, and is what is offered again when the relay or its broker has lost the sealed code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agent_otp_domain::{
    Digest, MemberId, OwnerId, RequestId, RequestKey, SealedCode, SignedStatement, Timestamp, codec,
};
use agent_otp_jetstream::message::{Ask, Sealed};
use agent_otp_keyring::{KeyringError, private};
use serde::{Deserialize, Serialize};
use tracing::warn;

/// How long after its decision's end a record is kept: until no clock in the window could still act on it, and no source
/// brings the message again that it was answered by.
const KEPT_AFTER: Duration = Duration::from_mins(12);
const SUFFIX: &str = "spent";

/// The records, one file each. The files are written outside of the lock: many may be under way at once.
#[derive(Debug)]
pub struct Spent {
    dir: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    records: BTreeMap<Digest, Record>,
    /// The decisions whose records cannot be read: spent all the same.
    damaged: BTreeSet<Digest>,
}

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum SpendError {
    /// Another program of this home was first.
    #[error("the approval was acted on before")]
    Twice,
    /// It is not on the disk.
    #[error("the record cannot be written")]
    Unwritten(#[from] KeyringError),
}

/// What is known of one decision that was acted on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    decision: Digest,
    owner: OwnerId,
    agent: MemberId,
    request: RequestId,
    expires_at: Timestamp,
    /// What is offered again; nothing once the request has ended.
    offer: Option<Offer>,
    /// What names the message that the code stood in, as [`crate::Message::id`]: it answers nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<Digest>,
}

/// A capture as it is sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Offer {
    /// The signed capture.
    pub statement: SignedStatement,
    /// The sealed code.
    pub sealed: Sealed,
}

impl Offer {
    /// A capture to be sent.
    #[must_use]
    pub fn new(statement: SignedStatement, sealed: SealedCode) -> Self {
        Self { statement, sealed: Sealed(sealed) }
    }

    /// The command that hands it in.
    #[must_use]
    pub fn ask(self) -> Ask {
        Ask::Capture { statement: self.statement, sealed: self.sealed }
    }
}

impl Record {
    /// A record of a decision that is acted on now.
    #[must_use]
    pub fn new(decision: Digest, key: &RequestKey, expires_at: Timestamp, offer: Offer) -> Self {
        Self {
            decision,
            owner: key.owner.clone(),
            agent: key.agent.clone(),
            request: key.request,
            expires_at,
            offer: Some(offer),
            message: None,
        }
    }

    /// The same, where the code stood in a message of this name.
    #[must_use]
    pub fn answered_by(self, message: Option<Digest>) -> Self {
        Self { message, ..self }
    }

    /// Which request it answers.
    #[must_use]
    pub fn key(&self) -> RequestKey {
        RequestKey { owner: self.owner.clone(), agent: self.agent.clone(), request: self.request }
    }
}

impl Spent {
    /// Reads the records of a directory, and makes the directory if it is missing.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if it cannot be read or written.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, KeyringError> {
        let dir = dir.into();
        private::make_dir(&dir)?;
        let spent = Self { dir, known: Mutex::default() };
        spent.read_again()?;
        Ok(spent)
    }

    /// Reads the records that another program of this home has written meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Spent::open`].
    pub fn read_again(&self) -> Result<(), KeyringError> {
        for path in private::list(&self.dir, SUFFIX)? {
            if !decision_of(&path).is_some_and(|decision| self.holds(&decision)) {
                self.read(&path)?;
            }
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> Result<(), KeyringError> {
        let read = codec::decode::<Record>(&private::read(path)?);
        self.known(|known| match read {
            Ok(record) if decision_of(path) == Some(record.decision) => {
                drop(known.records.insert(record.decision, record));
            }
            Ok(_) => {
                warn!(path = %path.display(), "a record of another decision is passed over");
                known.damaged.extend(decision_of(path));
            }
            // Its name still says which decision was spent, but not until when: a person has to look.
            Err(error) => {
                warn!(path = %path.display(), %error, "a damaged record is passed over");
                known.damaged.extend(decision_of(path));
            }
        });
        Ok(())
    }

    /// Whether the decision was acted on.
    #[must_use]
    pub fn holds(&self, decision: &Digest) -> bool {
        self.known(|known| known.records.contains_key(decision) || known.damaged.contains(decision))
    }

    /// The decisions that were acted on.
    #[must_use]
    pub fn decisions(&self) -> Vec<Digest> {
        self.known(|known| known.records.keys().chain(&known.damaged).copied().collect())
    }

    /// The messages that were answered with.
    #[must_use]
    pub fn messages(&self) -> Vec<Digest> {
        self.known(|known| known.records.values().filter_map(|record| record.message).collect())
    }

    /// The requests that have an offer standing.
    #[must_use]
    pub fn standing(&self) -> Vec<RequestKey> {
        self.known(|known| known.standing().map(|(record, _)| record.key()).collect())
    }

    /// The offers that stand, each under its decision.
    #[must_use]
    pub fn offers(&self) -> Vec<(Digest, Offer)> {
        self.known(|known| known.standing().map(|(record, offer)| (record.decision, offer.clone())).collect())
    }

    /// Which request a decision is about that was acted on.
    #[must_use]
    pub fn key(&self, decision: &Digest) -> Option<RequestKey> {
        self.known(|known| known.records.get(decision).map(Record::key))
    }

    /// Writes a record down; only then may the capture be sent. Of several programs of one home, one can.
    ///
    /// # Errors
    ///
    /// [`SpendError::Twice`] if the decision has a record, [`SpendError::Unwritten`] if it is not on the disk.
    pub fn write(&self, record: Record) -> Result<(), SpendError> {
        match private::write_new(&self.path(&record.decision), &codec::encode(&record)) {
            Ok(()) => self.known(|known| drop(known.records.insert(record.decision, record))),
            Err(KeyringError::Exists { .. }) => return Err(SpendError::Twice),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// What stands to be offered for a decision, also if another program of this home has written it.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the record cannot be read.
    pub fn offer(&self, decision: &Digest) -> Result<Option<Offer>, KeyringError> {
        Ok(self.look(decision)?.and_then(|record| record.offer))
    }

    fn look(&self, decision: &Digest) -> Result<Option<Record>, KeyringError> {
        let path = self.path(decision);
        if !self.holds(decision) && path.exists() {
            self.read(&path)?;
        }
        Ok(self.known(|known| known.records.get(decision).cloned()))
    }

    /// The request has ended: its sealed code is taken out of the record, also of one that another program of this home
    /// has written. The decision stays spent.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if the record cannot be written.
    pub fn end(&self, decision: &Digest) -> Result<(), KeyringError> {
        if let Some(record) = self.look(decision)?
            && record.offer.is_some()
        {
            let ended = Record { offer: None, ..record };
            // Written over, so that the sealed code's bytes go. A record that is damaged by a crash meanwhile still says
            // by its name what was spent.
            private::overwrite(&self.path(decision), &codec::encode(&ended))?;
            self.known(|known| drop(known.records.insert(*decision, ended)));
        }
        Ok(())
    }

    /// Deletes the records whose decisions nobody could act on any more.
    ///
    /// # Errors
    ///
    /// [`KeyringError`] if a file cannot be deleted.
    pub fn forget(&self, now: Timestamp) -> Result<(), KeyringError> {
        let past: Vec<Digest> = self.known(|known| {
            let past = known.records.values().filter(|record| now >= record.expires_at.after(KEPT_AFTER));
            past.map(|record| record.decision).collect()
        });
        for decision in past {
            private::remove(&self.path(&decision))?;
            self.known(|known| drop(known.records.remove(&decision)));
        }
        Ok(())
    }

    fn path(&self, decision: &Digest) -> PathBuf {
        Path::new(&self.dir).join(format!("{decision}.{SUFFIX}"))
    }

    fn known<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn standing(&self) -> impl Iterator<Item = (&Record, &Offer)> {
        self.records.values().filter_map(|record| Some((record, record.offer.as_ref()?)))
    }
}

/// Which decision a record is named after.
fn decision_of(path: &Path) -> Option<Digest> {
    path.file_stem()?.to_str()?.parse().ok()
}
