//! The joiner's side: from the token to a roster that names its key. Each step takes the one before.

use agent_otp_domain::{Timestamp, UserId, codec};

use super::proof::{self, Prover, Transcript};
use super::{Answer, Invitation, Possession, Said, Token, Void, Words};
use crate::{Book, IdentityKey, Nonce, PublicKey, RosterError, Seen};

/// Has said that it has a key, and not which.
#[derive(Debug)]
#[must_use = "whoever is bound to a key has to show it"]
pub struct Joining {
    invitation: Invitation,
    identity: IdentityKey,
    user: UserId,
    nonce: Nonce,
    prover: Prover,
    transcript: Transcript,
}

/// Has shown its key, and waits for the owner to confirm the words.
#[derive(Debug)]
#[must_use = "whoever has shown its key waits for its roster"]
pub struct Revealed {
    words: Words,
    invitation: Invitation,
    public_key: PublicKey,
    prover: Prover,
    transcript: Transcript,
    book: Book,
}

/// Is a member, by a roster that it has verified.
#[derive(Debug)]
pub struct Enrolled {
    /// The roster that names it: to be remembered, so that none goes backwards.
    pub seen: Option<Seen>,
    /// To be said once the key is kept.
    pub kept: Said,
}

/// Why a joiner is no member.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// The owner's side says so, or somebody between.
    #[error("the token is void: {0}")]
    Void(#[source] Void),
    /// The answer is by someone who has not the token, or is about something else.
    #[error("the answer does not prove the token: somebody stands between this machine and the owner's")]
    Proof,
    /// The owner's roster is not believed, or cannot be relied on.
    #[error("the owner's roster cannot be relied on")]
    Roster(#[from] RosterError),
    /// The roster does not say what was agreed.
    #[error("roster {number} of the owner does not name this machine's key")]
    NotNamed {
        /// Which roster.
        number: u64,
    },
}

impl Joining {
    /// Begins; `nonce` must be fresh from the system's generator, and `identity` made for this.
    pub fn begin(token: &Token, identity: IdentityKey, user: UserId, nonce: Nonce) -> (Self, Said) {
        let commitment = proof::commitment(&nonce, &identity.public(), &user);
        let (prover, transcript) = (token.prover(), token.transcript().committed(&commitment));
        let said = Said::Commit { commitment, mac: prover.mac(transcript) };
        (Self { invitation: token.invitation().clone(), identity, user, nonce, prover, transcript }, said)
    }

    /// Takes the owner's challenge, and shows the key.
    ///
    /// # Errors
    ///
    /// [`EnrolmentError`]: nothing was shown, and the token is spent.
    pub fn challenged(self, answer: &Answer, now: Timestamp) -> Result<(Revealed, Said), EnrolmentError> {
        let (nonce, roster, mac) = match answer {
            Answer::Challenge { nonce, roster, mac } => (nonce, roster, mac),
            Answer::Void { why } => return Err(EnrolmentError::Void(*why)),
            Answer::Welcome { .. } | Answer::Closed {} | Answer::Wait {} => {
                return Err(EnrolmentError::Proof);
            }
        };
        let transcript = self.transcript.challenged(nonce, roster);
        if !self.prover.proves(transcript, mac) {
            return Err(EnrolmentError::Proof);
        }
        let mut book = Book::new(self.invitation.owner.clone(), None);
        book.admit_latest(roster)?;
        book.current(now)?;

        let public_key = self.identity.public();
        let transcript = transcript.revealed(&self.nonce, &public_key, &self.user);
        let possession = Possession::of(&self.invitation, transcript);
        let said = Said::Reveal {
            nonce: self.nonce,
            public_key: public_key.clone(),
            user: self.user,
            possession: self.identity.sign_payload(Possession::TYPE, codec::encode(&possession)),
            mac: self.prover.mac(transcript),
        };
        let words = Words::of(&transcript.words());
        let Self { invitation, prover, .. } = self;
        Ok((Revealed { words, invitation, public_key, prover, transcript, book }, said))
    }
}

impl Revealed {
    /// The words to show.
    #[must_use]
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// Takes the roster that names the new member.
    ///
    /// # Errors
    ///
    /// [`EnrolmentError`]: it is no member, and keeps nothing.
    pub fn welcomed(mut self, answer: &Answer) -> Result<Enrolled, EnrolmentError> {
        let (roster, mac) = match answer {
            Answer::Welcome { roster, mac } => (roster, mac),
            Answer::Void { why } => return Err(EnrolmentError::Void(*why)),
            Answer::Challenge { .. } | Answer::Closed {} | Answer::Wait {} => {
                return Err(EnrolmentError::Proof);
            }
        };
        let transcript = self.transcript.welcomed(roster);
        if !self.prover.proves(transcript, mac) {
            return Err(EnrolmentError::Proof);
        }
        let reference = self.book.admit_latest(roster)?;
        let Invitation { role, name, .. } = &self.invitation;
        let is_named = self.book.roster(&reference).is_some_and(|roster| {
            let member = roster.member(&self.public_key.id());
            member.is_some_and(|member| member.role == *role && member.name == *name)
                && roster.revoked_at(&self.public_key.id()).is_none()
        });
        if !is_named {
            return Err(EnrolmentError::NotNamed { number: reference.number });
        }
        let kept = Said::Kept { mac: self.prover.mac(transcript.kept()) };
        Ok(Enrolled { seen: self.book.seen(), kept })
    }
}

impl Possession {
    /// What is to be signed of a key that is shown at this point.
    pub(super) fn of(invitation: &Invitation, transcript: Transcript) -> Self {
        Self {
            owner: invitation.owner_id(),
            role: invitation.role,
            name: invitation.name.clone(),
            transcript: transcript.digest(),
        }
    }
}
