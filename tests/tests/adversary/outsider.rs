//! Agents against each other, on a real relay: another's request does not exist, whatever has become of it.
//!
//! What NATS itself refuses to each party stands in `crates/jetstream/tests/jetstream/permissions.rs`, row by row.

use std::collections::BTreeMap;

use agent_otp_agent::{Asking, Pending};
use agent_otp_domain::EventType::{Captured, Consumed, Denied, Expired};
use agent_otp_domain::{Digest, RequestId, RequestKey, codec};
use agent_otp_jetstream::clock;
use agent_otp_jetstream::message::Ask;
use agent_otp_trust::{Cancel, Consume, Nonce, RosterRef};
use async_nats::Client;

use crate::stage::{BOOKER, SHOPPER, Stage, asking, heading, key, name, owner};
use crate::world::within;

/// What comes of a question: every byte of the answer.
type Answer = (BTreeMap<String, String>, Vec<u8>);

#[tokio::test]
async fn to_another_agent_every_request_is_one_that_never_was() {
    let stage = Box::pin(Stage::with_relay()).await;
    let booker = Outsider::of(&stage).await;
    let requests = requests(&stage).await;
    for question in [Outsider::get, Outsider::consume, Outsider::cancel] {
        let never_was = booker.ask(&question(&booker, clock::request_id())).await;
        for (state, request) in &requests {
            let answer = booker.ask(&question(&booker, *request)).await;
            assert_eq!(answer, never_was, "{state}");
        }
    }
}

/// A request of another agent's in each state.
async fn requests(stage: &Stage) -> Vec<(&'static str, RequestId)> {
    let open = stage.ask().await;
    let denied = stage.ask().await;
    stage.deny(denied.key()).await;
    let brief = within(stage.agent.request(Asking { ttl: "1s".parse().unwrap(), ..asking() })).await.unwrap();
    stage.until(brief.key(), Expired).await;
    let captured = captured(stage, "captured.example").await;
    let consumed = self::captured(stage, "consumed.example").await;
    let states = [("open", &open), ("denied", &denied), ("expired", &brief), ("captured", &captured)];
    let mut requests: Vec<_> = states.map(|(state, pending)| (state, pending.key().request)).to_vec();
    requests.push(("consumed", consumed.key().request));
    let key = consumed.key().clone();
    within(consumed.wait()).await.unwrap();
    stage.until(&key, Consumed).await;
    stage.until(denied.key(), Denied).await;
    requests
}

async fn captured(stage: &Stage, shop: &str) -> Pending {
    let asked = Asking::code_by_email("Sign in to the shop", shop).unwrap();
    let pending = within(stage.agent.request(asked)).await.unwrap();
    stage.approve(pending.key()).await;
    stage.mail(&format!("a@{shop}"), "482913").await;
    stage.until(pending.key(), Captured).await;
    pending
}

/// An agent that asks about what is not its own.
struct Outsider {
    client: Client,
    roster: RosterRef,
}

impl Outsider {
    async fn of(stage: &Stage) -> Self {
        let client = stage.bus(BOOKER).await.connection().client().clone();
        let signed = stage.double.store.rosters.read(&owner(), None).await.unwrap().unwrap();
        Self { client, roster: RosterRef { number: 1, digest: signed.digest() } }
    }

    fn get(_: &Self, request: RequestId) -> Ask {
        Ask::Get { agent: name(SHOPPER), request }
    }

    fn consume(&self, request: RequestId) -> Ask {
        let nonce = [7; 16];
        let heading = heading(&of_shopper(request), BOOKER, self.roster);
        let consume = Consume { heading, capture: Digest::of(&[]), claim: Nonce::new(nonce).digest() };
        Ask::Consume { statement: key(BOOKER).sign(&consume), nonce }
    }

    fn cancel(&self, request: RequestId) -> Ask {
        let heading = heading(&of_shopper(request), BOOKER, self.roster);
        let cancel = Cancel { heading, request: Digest::of(&[]) };
        Ask::Cancel { statement: key(BOOKER).sign(&cancel) }
    }

    async fn ask(&self, ask: &Ask) -> Answer {
        let subject = format!("otp.v1.cmd.{}.agent.booker.{}", owner(), ask.verb().as_str());
        let answer = within(self.client.request(subject, codec::encode(ask).into())).await.unwrap();
        // Which of them comes first, chance decides each time.
        let headers = answer.headers.unwrap();
        let headers =
            headers.iter().map(|(name, values)| (name.to_string(), format!("{values:?}"))).collect();
        (headers, answer.payload.to_vec())
    }
}

fn of_shopper(request: RequestId) -> RequestKey {
    RequestKey { owner: owner(), agent: name(SHOPPER), request }
}
