//! The owner's side: from the token to a candidate whose words a person compares. Each step takes the one before, and an
//! error leaves none: there is one guess.

use agent_otp_domain::{Digest, SignedStatement, UserId, codec};

use super::proof::{self, Prover, Transcript};
use super::{Answer, Invitation, Possession, Said, Token, Void, Words};
use crate::{Member, Nonce, PublicKey};

/// Nobody has come yet.
#[derive(Debug)]
pub struct Invited {
    invitation: Invitation,
    prover: Prover,
    transcript: Transcript,
}

/// Somebody is bound to a key that is to be shown.
#[derive(Debug)]
pub struct Committed {
    invitation: Invitation,
    commitment: Digest,
    prover: Prover,
    transcript: Transcript,
}

/// Somebody has shown a key, and holds it; whether it is the right one, the words tell a person.
#[derive(Debug)]
#[must_use = "a candidate is welcomed, or the token is void"]
pub struct Candidate {
    /// What the roster would say of it.
    pub member: Member,
    /// How its NATS user is known.
    pub user: UserId,
    /// The words to show.
    pub words: Words,
    prover: Prover,
    transcript: Transcript,
}

/// A candidate that was told of the roster that names it.
#[derive(Debug)]
pub struct Admitted {
    prover: Prover,
    transcript: Transcript,
}

impl Invited {
    /// Waits for whoever has this token.
    #[must_use]
    pub fn new(token: &Token) -> Self {
        let (prover, transcript) = (token.prover(), token.transcript());
        Self { invitation: token.invitation().clone(), prover, transcript }
    }

    /// Takes a commitment. `nonce` must be fresh from the system's generator, and `roster` is the latest.
    ///
    /// # Errors
    ///
    /// [`Void`] says why the token is worth nothing any more.
    pub fn committed(
        self,
        said: &Said,
        nonce: Nonce,
        roster: SignedStatement,
    ) -> Result<(Committed, Answer), Void> {
        let (commitment, mac) = match said {
            Said::Commit { commitment, mac } => (commitment, mac),
            Said::Leave {} => return Err(Void::Left),
            Said::Reveal { .. } | Said::Kept { .. } | Said::Waiting {} => return Err(Void::Twice),
        };
        let transcript = self.transcript.committed(commitment);
        if !self.prover.proves(transcript, mac) {
            return Err(Void::Proof);
        }
        let transcript = transcript.challenged(&nonce, &roster);
        let Self { invitation, prover, .. } = self;
        let answer = Answer::Challenge { nonce, roster, mac: prover.mac(transcript) };
        Ok((Committed { invitation, commitment: *commitment, prover, transcript }, answer))
    }
}

impl Committed {
    /// Takes the key that was committed to.
    ///
    /// # Errors
    ///
    /// [`Void`] says why the token is worth nothing any more.
    pub fn revealed(self, said: &Said) -> Result<Candidate, Void> {
        let (nonce, public_key, user, possession, mac) = match said {
            Said::Reveal { nonce, public_key, user, possession, mac } => {
                (nonce, public_key, user, possession, mac)
            }
            Said::Leave {} => return Err(Void::Left),
            Said::Commit { .. } | Said::Kept { .. } | Said::Waiting {} => return Err(Void::Twice),
        };
        let transcript = self.transcript.revealed(nonce, public_key, user);
        let is_proven = self.prover.proves(transcript, mac)
            && proof::commitment(nonce, public_key, user) == self.commitment
            && holds(public_key, possession, &Possession::of(&self.invitation, transcript));
        if !is_proven {
            return Err(Void::Proof);
        }
        let Invitation { role, name, .. } = self.invitation;
        Ok(Candidate {
            member: Member::new(role, name, public_key.clone()),
            user: user.clone(),
            words: Words::of(&transcript.words()),
            prover: self.prover,
            transcript,
        })
    }
}

impl Candidate {
    /// Tells the candidate of the roster that names it.
    #[must_use]
    pub fn welcome(self, roster: SignedStatement) -> (Admitted, Answer) {
        let transcript = self.transcript.welcomed(&roster);
        let answer = Answer::Welcome { roster, mac: self.prover.mac(transcript) };
        (Admitted { prover: self.prover, transcript }, answer)
    }
}

impl Admitted {
    /// Whether this says, and proves, that the new member has kept its key.
    #[must_use]
    pub fn has_kept(&self, said: &Said) -> bool {
        match said {
            Said::Kept { mac } => self.prover.proves(self.transcript.kept(), mac),
            Said::Commit { .. } | Said::Reveal { .. } | Said::Waiting {} | Said::Leave {} => false,
        }
    }
}

/// Whether the key has signed exactly this.
fn holds(public_key: &PublicKey, signed: &SignedStatement, possession: &Possession) -> bool {
    signed.payload_type == Possession::TYPE
        && signed.payload == codec::encode(possession)
        && signed.key == public_key.id()
        && public_key.has_signed(signed)
}
