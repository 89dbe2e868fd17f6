//! A member of an owner's roster as it acts: its way to the relay, and its own check of what comes back.

use std::error::Error;

use agent_otp_domain::{Alarm, KeyId, MemberId, OwnerId, RequestId, RequestKey, Role};
use agent_otp_trust::{Heading, RosterRef, Seen};

use crate::bus::Bus;
use crate::clock;
use crate::connection::{ConnectError, Connection, Who};
use crate::login::Login;
use crate::verifier::Verifier;

/// A connected member.
#[derive(Debug)]
pub struct Member {
    /// Its way to the relay.
    pub bus: Bus,
    /// Its own check of what the relay serves.
    pub verifier: Verifier,
    /// What the owner calls it.
    pub name: MemberId,
}

impl Member {
    /// Connects as a member of the owner whose key has the fingerprint `pin`; `seen` is the highest roster ever seen.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if the broker cannot be reached, or refuses the NATS user.
    pub async fn connect(
        login: &Login,
        role: Role,
        name: MemberId,
        pin: KeyId,
        seen: Option<Seen>,
    ) -> Result<Self, ConnectError> {
        let owner = OwnerId::of(&pin);
        let who = Who::Member { owner: owner.clone(), role, name: name.clone() };
        let connection = Connection::open(login, &who).await?;
        let bus = Bus::new(connection, owner, role, name.clone());
        Ok(Self { verifier: Verifier::new(bus.clone(), pin, seen), bus, name })
    }

    /// What is to be kept of something wrong that it noticed now.
    #[must_use]
    pub fn alarm(&self, request: Option<RequestId>, wrong: &(dyn Error + 'static)) -> Alarm {
        Alarm::new(&self.bus.actor(), request, wrong, clock::now())
    }

    /// What a statement about a request begins with, made now.
    #[must_use]
    pub fn heading(&self, key: &RequestKey, signer: KeyId, roster: RosterRef) -> Heading {
        Heading {
            owner: key.owner.clone(),
            agent: key.agent.clone(),
            request: key.request,
            signer,
            roster,
            made_at: clock::now(),
            checkpoint: None,
        }
    }
}
