//! The agent `shopper` by hand: every statement that it could make, sent byte by byte as the story wants it.

use std::time::Duration;

use agent_otp_domain::{Channels, Filter, Recorded, RequestKey, Role, SignedStatement, Wanted};
use agent_otp_jetstream::message::Ask;
use agent_otp_jetstream::{Bus, Member, clock};
use agent_otp_seal::AgentSecret;
use agent_otp_trust::{Cancel, Consume, Heading, IdentityKey, Nonce, Recipient, Request};

use crate::place::Place;

/// The agent's own keys, without its program.
#[derive(Debug)]
pub struct Shopper {
    member: Member,
    identity: IdentityKey,
}

impl Shopper {
    /// The agent that `up` has made.
    pub async fn of(place: &Place) -> Self {
        let home = place.home(Role::Agent, "shopper");
        let pin = home.pin().unwrap();
        let login = place.login("agent:shopper");
        let name = "shopper".parse().unwrap();
        let member = Member::connect(&login, Role::Agent, name, pin.owner_key, pin.roster).await.unwrap();
        Self { member, identity: home.identity().unwrap() }
    }

    /// Its way to the relay.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.member.bus
    }

    /// A signed request for a code that github.com sends by e-mail, and what it is about.
    pub async fn request(&self) -> (RequestKey, SignedStatement) {
        let key = RequestKey {
            owner: self.bus().owner().clone(),
            agent: self.member.name.clone(),
            request: clock::request_id(),
        };
        let secret = AgentSecret::generate();
        let heading = self.heading(&key).await;
        let request = Request {
            reason: "Sign in to GitHub".parse().unwrap(),
            filter: Filter {
                channels: Channels::Email,
                sender: "github.com".parse().unwrap(),
                content: None,
                shape: None,
                wanted: Wanted::Code,
                purpose: None,
            },
            recipient: Recipient { suite: secret.suite().into(), public_key: secret.public_key().to_vec() },
            expires_at: heading.made_at.after(Duration::from_mins(5)),
            heading,
        };
        (key, self.identity.sign(&request))
    }

    /// A claim of what was captured, under this nonce.
    pub async fn consume(&self, captured: &Recorded, nonce: [u8; 16]) -> Ask {
        let consume = Consume {
            heading: self.heading(&captured.key()).await,
            capture: captured.event.statement().unwrap().digest(),
            claim: Nonce::new(nonce).digest(),
        };
        Ask::Consume { statement: self.identity.sign(&consume), nonce }
    }

    /// A cancellation of what was requested.
    pub async fn cancel(&self, requested: &Recorded) -> Ask {
        let request = requested.event.statement().unwrap().digest();
        let cancel = Cancel { heading: self.heading(&requested.key()).await, request };
        Ask::Cancel { statement: self.identity.sign(&cancel) }
    }

    async fn heading(&self, key: &RequestKey) -> Heading {
        let (roster, _) = self.member.verifier.current(clock::now()).await.unwrap();
        self.member.heading(key, self.identity.id(), roster)
    }
}
