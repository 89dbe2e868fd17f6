//! A member of an owner's roster as it acts: its way to the relay, and its own check of what comes back.

use std::error::Error;
use std::sync::Arc;

use agent_otp_domain::{Alarm, KeyId, MemberId, OwnerId, RequestId, RequestKey, Role};
use agent_otp_trust::{Heading, RosterRef, Seen};
use tokio::task::JoinSet;
use tracing::debug;

use crate::bus::Bus;
use crate::clock;
use crate::connection::{ConnectError, Connection, Who};
use crate::feed::Statements;
use crate::login::Login;
use crate::verifier::Verifier;

/// A connected member.
#[derive(Debug)]
pub struct Member {
    /// Its way to the relay.
    pub bus: Bus,
    /// Its own check of what the relay serves.
    pub verifier: Arc<Verifier>,
    /// What the owner calls it.
    pub name: MemberId,
    /// Takes rosters as they are stored, as long as the member is there.
    _following: JoinSet<()>,
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
        let rosters = Statements::rosters_of(&connection, &owner).await;
        let bus = Bus::new(connection, owner, role, name.clone());
        let verifier = Arc::new(Verifier::new(bus.clone(), pin, seen));
        let mut following = JoinSet::new();
        match rosters {
            Ok(rosters) => drop(following.spawn(follow(rosters, verifier.clone()))),
            // Then it asks, as it does in any case from time to time.
            Err(error) => debug!(%error, "rosters are not followed"),
        }
        Ok(Self { verifier, bus, name, _following: following })
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

async fn follow(mut rosters: Statements, verifier: Arc<Verifier>) {
    while let Some(roster) = rosters.next().await {
        verifier.learn(&roster);
    }
}
