//! A code by the user's own hands: for one approved request, read and sealed on this machine.

use agent_otp_domain::{
    Channel, ClockSkew, Code, CodeShape, Digest, Filter, MemberId, RequestId, RequestKey, Wanted,
};
use agent_otp_jetstream::message::RefusalCode;
use agent_otp_jetstream::{CallError, Login, VerifyError, clock};
use agent_otp_keyring::{Home, KeyringError};
use agent_otp_trust::{Evidence, SenderCheck, Verdict, VerifiedRequest};

use crate::capturer::CapturerError;
use crate::desk::Release;
use crate::extract::{self, Extraction, Text};
use crate::obstacle::{self, Obstacle, Stored};
use crate::sealer::{CaptureError, Sealer};
use crate::spent::SpendError;

/// What the evidence names as the source.
const SOURCE: &str = "terminal";

/// A capturer that takes what the user pastes. It shares its home, its keys and its records with the one of `up`.
#[derive(Debug)]
pub struct Paste {
    sealer: Sealer,
}

/// An open request, verified.
#[derive(Debug)]
pub struct Found {
    /// The request.
    pub request: VerifiedRequest,
    /// When it was stored, as far as is known.
    stored: Stored,
}

/// A request that a code may be captured for now.
#[derive(Debug)]
pub struct Awaited {
    found: Found,
    decision: Digest,
}

/// Why nothing was captured.
#[derive(Debug, thiserror::Error)]
pub enum PasteError {
    /// No open request has this id.
    #[error("no open request has the id {id}; `agent-otp pending` lists those that do")]
    Unknown {
        /// Which id.
        id: RequestId,
    },
    /// The relay cannot be asked, or what it serves is not believed.
    #[error("the request cannot be verified")]
    Verify(#[from] VerifyError),
    /// Its window would be wrong.
    #[error(transparent)]
    Clock(#[from] ClockSkew),
    /// It gets no code from this capturer.
    #[error(transparent)]
    Obstacle(#[from] Obstacle),
    /// The relay serves another request or approval than a moment ago.
    #[error("the request is another than the one that was shown; look at it again")]
    Changed,
    /// The records cannot be read.
    #[error("the capturer's records cannot be used")]
    Records(#[from] KeyringError),
    /// The code cannot be sealed, or that cannot be written down.
    #[error(transparent)]
    Capture(CaptureError),
    /// The code is sealed and written down, and the relay has not taken it yet.
    #[error(
        "the code is sealed and kept, and need not be pasted again: `agent-otp up` hands it over once the relay answers"
    )]
    Kept(#[source] CallError),
    /// The relay did not take it, and will not.
    #[error("the relay refuses the sealed code")]
    Refused(#[source] CallError),
}

/// Why a text is not the code that a request asks for. It says nothing of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is nothing.
    #[error("nothing was pasted")]
    Nothing,
    /// There is no code in it, or one of another shape.
    #[error("there is no code in it{}", shape.map(|shape| format!(" of the shape {shape}")).unwrap_or_default())]
    NoCode {
        /// The shape that was asked for.
        shape: Option<CodeShape>,
    },
    /// Several codes fit.
    #[error("more than one code may be meant; paste the code alone")]
    Ambiguous,
    /// The message contradicts itself, or is bound to another domain.
    #[error("the message contradicts itself, or says that its code is for another site")]
    Conflicting,
    /// There is no such link in it.
    #[error("there is no sign-in link of {sender} in it")]
    NoLink {
        /// Whose it should be.
        sender: String,
    },
}

impl Paste {
    /// Loads the capturer's key and records from its home, and connects.
    ///
    /// # Errors
    ///
    /// [`CapturerError`] says what is missing.
    pub async fn connect(login: &Login, home: Home, name: MemberId) -> Result<Self, CapturerError> {
        Ok(Self { sealer: Sealer::connect(login, home, name).await? })
    }

    /// Fetches the open request with this id, and verifies it.
    ///
    /// # Errors
    ///
    /// [`PasteError::Unknown`] if there is none, [`PasteError::Verify`] if it is not believed.
    pub async fn find(&self, id: RequestId) -> Result<Found, PasteError> {
        let found = self.look(id).await;
        found.inspect_err(|error| {
            if let PasteError::Verify(wrong) = error
                && wrong.is_alarm()
            {
                self.sealer.raise(Some(id), wrong);
            }
        })
    }

    async fn look(&self, id: RequestId) -> Result<Found, PasteError> {
        let member = &self.sealer.member;
        member.verifier.current(clock::now()).await?;
        let open = member.bus.open().await.map_err(VerifyError::from)?;
        let agents = open.into_iter().filter(|open| open.request == id).map(|open| open.agent);
        for agent in agents {
            let key = RequestKey { owner: member.bus.owner().clone(), agent, request: id };
            if let Some((request, at)) = member.verifier.request_dated(&key).await? {
                return Ok(Found { request, stored: Stored { at, after: None } });
            }
        }
        Err(PasteError::Unknown { id })
    }

    /// Takes the request if a code may be captured for it now.
    ///
    /// # Errors
    ///
    /// [`PasteError::Obstacle`] or [`PasteError::Clock`] says why not, and what to do.
    pub fn awaited(&mut self, found: Found) -> Result<Awaited, PasteError> {
        let now = clock::now();
        self.sealer.spent.read_again()?;
        let spent = &self.sealer.spent;
        let is_spent = |decision: &Digest| spent.holds(decision);
        let decision = obstacle::decision(&found.request, &self.sealer.key(), is_spent, now)?;
        match obstacle::skew(&found.request, found.stored, now) {
            Some(skew) => Err(skew.into()),
            None => Ok(Awaited { found, decision }),
        }
    }

    /// Seals the code, writes that down, sends it, and waits until the relay has it.
    ///
    /// # Errors
    ///
    /// [`PasteError::Kept`] if the code is on its way all the same; otherwise nothing was captured.
    pub async fn capture(&mut self, awaited: Awaited, code: Code) -> Result<(), PasteError> {
        let received_at = clock::now();
        let Awaited { found: shown, decision: shown_decision } = awaited;
        let key = shown.request.key.clone();
        // Typing takes its time: what has happened meanwhile counts, a denial above all. A relay that does not answer
        // decides later about what is kept for it.
        let (found, answers) = match self.find(key.request).await {
            Err(PasteError::Verify(VerifyError::Call(error))) if is_away(&error) => (shown, false),
            found => (found?, true),
        };
        let Awaited { found: Found { request, .. }, decision } = self.awaited(found)?;
        if (&request.key, decision) != (&key, shown_decision) {
            return Err(PasteError::Changed);
        }
        let roster = self.sealer.member.verifier.standing(received_at).map_err(VerifyError::from)?;
        self.sealer.remember_roster();
        let evidence = Evidence {
            channel: Channel::Pasted,
            source: SOURCE.to_owned(),
            sender: SenderCheck::Unverified,
            received_at,
            purpose: None,
        };
        let release = Release { request, decision, code, evidence, message: None };
        let offer = self.sealer.seal(release, roster).map_err(|error| match error {
            CaptureError::Spend(SpendError::Twice) => Obstacle::Spent.into(),
            error @ (CaptureError::Untrusted(_)
            | CaptureError::Recipient(_)
            | CaptureError::Seal(_)
            | CaptureError::Spend(SpendError::Unwritten(_))) => PasteError::Capture(error),
        })?;
        let (bus, ask) = (&self.sealer.member.bus, offer.ask());
        match if answers { bus.call(&ask).await } else { bus.call_once(&ask).await } {
            Ok(_) => Ok(()),
            Err(error @ CallError::Refused { code: RefusalCode::OutOfTurn | RefusalCode::Expired, .. }) => {
                self.sealer.end(&decision);
                Err(PasteError::Refused(error))
            }
            Err(error) if is_away(&error) => Err(PasteError::Kept(error)),
            Err(error) => Err(PasteError::Refused(error)),
        }
    }
}

/// Whether the relay may answer later.
fn is_away(error: &CallError) -> bool {
    match error {
        CallError::Unreachable(_) => true,
        CallError::Refused { code, .. } => *code == RefusalCode::Unavailable,
        CallError::Unreadable(_) => false,
    }
}

impl Awaited {
    /// Takes the code out of what the user pasted: the bare code or link, or the message that it stands in.
    ///
    /// The filters' sender and content are not looked at: that it is the right message, the user says.
    ///
    /// # Errors
    ///
    /// [`Unfit`] if it is not what the request asks for. Nothing is spent by that.
    pub fn read(&self, pasted: &str) -> Result<Code, Unfit> {
        let request = &self.found.request;
        let narrowing = request.approval().and_then(|(_, decision, _)| match &decision.verdict {
            Verdict::Approve { narrowing, .. } => narrowing.as_ref(),
            Verdict::Deny {} => None,
        });
        read(pasted, &request.request.filter, narrowing)
    }
}

fn read(pasted: &str, asked: &Filter, narrowing: Option<&Filter>) -> Result<Code, Unfit> {
    let pasted = pasted.trim();
    if pasted.is_empty() {
        return Err(Unfit::Nothing);
    }
    let domains = || asked.sender.domains();
    let shapes: Vec<CodeShape> =
        narrowing.into_iter().chain([asked]).filter_map(|filter| filter.shape).collect();
    let fits = |code: &Code| shapes.iter().all(|shape| shape.fits(code.expose()));
    let alone = match asked.wanted {
        Wanted::Code => extract::alone(pasted).filter(fits),
        Wanted::Link => domains().find_map(|domain| extract::link_alone(pasted, domain)),
    };
    if let Some(code) = alone {
        return Ok(code);
    }
    let message = Text::plain(pasted);
    let (found, unfit) = match asked.wanted {
        Wanted::Code => {
            (extract::code_for(&message, shapes.first(), domains()), Unfit::NoCode { shape: asked.shape })
        }
        Wanted::Link => {
            (extract::link_for(&message, domains()), Unfit::NoLink { sender: asked.sender.to_string() })
        }
    };
    match found {
        Extraction::Code(code, _) if fits(&code) => Ok(code),
        Extraction::Code(..) | Extraction::None => Err(unfit),
        Extraction::Ambiguous => Err(Unfit::Ambiguous),
        Extraction::Conflicting => Err(Unfit::Conflicting),
    }
}

#[cfg(test)]
mod tests {
    use agent_otp_domain::Channels;

    use super::*;

    #[test]
    fn a_code_is_taken_bare_or_out_of_its_message() {
        for (pasted, shape, code) in [
            ("719204\n", None, Ok("719204")),
            ("719 204", Some("digits:6"), Ok("719204")),
            ("123-456", Some("digits:6"), Ok("123456")),
            ("719204 is your GitHub code", Some("digits:6"), Ok("719204")),
            ("719204 is your GitHub code", None, Ok("719204")),
            ("R7K-2M", Some("alnum:6"), Ok("R7K-2M")),
            ("7192041", Some("digits:6"), Err("there is no code in it of the shape digits:6")),
            ("it comes tomorrow", None, Err("there is no code in it")),
            (" \r\n", None, Err("nothing was pasted")),
            (
                "Code 1: 482913\nCode 2: 550192",
                None,
                Err("more than one code may be meant; paste the code alone"),
            ),
            (
                "Your code is 482913.\n\n@acme.example #482913",
                None,
                Err("the message contradicts itself, or says that its code is for another site"),
            ),
        ] {
            assert_eq!(
                taken(pasted, &filter(Wanted::Code, shape), None),
                code.map(str::to_owned).map_err(str::to_owned),
                "{pasted}"
            );
        }
    }

    #[test]
    fn a_link_is_taken_on_the_domain_that_was_asked_for() {
        let magic = "https://github.com/login/verify?token=aa11bb22cc33dd44";
        let none = "there is no sign-in link of github.com in it";
        for (pasted, link) in [
            (magic, Ok(magic)),
            ("https://github.com/x", Ok("https://github.com/x")),
            (&format!("Sign in: {magic} and be happy"), Ok(magic)),
            ("https://evil.test/login?token=aa11bb22cc33dd44", Err(none)),
            ("719204", Err(none)),
        ] {
            assert_eq!(
                taken(pasted, &filter(Wanted::Link, None), None),
                link.map(str::to_owned).map_err(str::to_owned),
                "{pasted}"
            );
        }
    }

    #[test]
    fn a_code_fits_the_users_narrowing_too() {
        let (asked, narrowing) =
            (filter(Wanted::Code, Some("digits:4-8")), filter(Wanted::Code, Some("digits:6")));
        assert_eq!(taken("719204", &asked, Some(&narrowing)), Ok("719204".to_owned()));
        assert!(taken("71920", &asked, Some(&narrowing)).is_err());
    }

    fn taken(pasted: &str, asked: &Filter, narrowing: Option<&Filter>) -> Result<String, String> {
        read(pasted, asked, narrowing).map(|code| code.expose().to_owned()).map_err(|unfit| unfit.to_string())
    }

    fn filter(wanted: Wanted, shape: Option<&str>) -> Filter {
        Filter {
            channels: Channels::Email,
            sender: "github.com".parse().unwrap(),
            content: None,
            shape: shape.map(|shape| shape.parse().unwrap()),
            wanted,
            purpose: None,
        }
    }
}
