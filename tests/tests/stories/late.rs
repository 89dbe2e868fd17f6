//! An append that times out, is decided again, and arrives after all: stored once, and whoever asked gets an answer.

use agent_otp_agent::{Agent, Asking, Pending};
use agent_otp_domain::{EventType, RequestKey};
use agent_otp_jetstream::message::Ask;
use agent_otp_tests::{Parties, Place, Proxy, Shopper, eventually, within};
use agent_otp_user::Approver;
use futures_util::future::join_all;

/// How many appends of an event are held up: one, which is sent again; or so many that the command fails and is
/// decided anew, which takes its caller's whole patience.
const HELD: [usize; 2] = [1, 8];
/// Every event, and the life that it belongs to.
const LIVES: [(EventType, &[&str]); 7] = [
    (EventType::Requested, &["requested"]),
    (EventType::Approved, &["requested", "approved"]),
    (EventType::Captured, &["requested", "approved", "captured", "consumed"]),
    (EventType::Consumed, &["requested", "approved", "captured", "consumed"]),
    (EventType::Denied, &["requested", "denied"]),
    (EventType::Cancelled, &["requested", "cancelled"]),
    (EventType::Expired, &["requested", "expired"]),
];

#[tokio::test]
async fn an_append_that_arrives_late_is_stored_once_whatever_it_says() {
    let place = Place::new();
    let parties = Parties::of(&place, 1).await;
    let story = async {
        parties.ready().await;
        let story = Story::of(&place, &parties.relays[0].proxy).await;
        let table = HELD.into_iter().flat_map(|held| LIVES.map(|(kind, life)| (held, kind, life)));
        let lived = join_all(table.map(async |(held, kind, life)| {
            let key = story.live(held, kind).await;
            eventually(format!("{life:?}"), async || {
                (place.history(&key.request.to_string()).await == life).then_some(())
            })
            .await;
            (key, life)
        }))
        .await;
        let stored = place.log().await.len();
        assert_eq!(stored, lived.iter().map(|(_, life)| life.len()).sum::<usize>());

        assert_eq!(story.relay.late(), LIVES.len() * HELD.iter().sum::<usize>());
        story.relay.release().await;
        // What follows on the same connection is answered after what came late.
        let (_, statement) = story.shopper.request().await;
        story.shopper.bus().call(&Ask::Request { statement }).await.unwrap();
        assert_eq!(place.log().await.len(), stored + 1, "nothing that came late was stored");
        for (key, life) in lived {
            assert_eq!(place.history(&key.request.to_string()).await, life);
        }
    };
    Box::pin(parties.run(story)).await;
}

/// Everyone who takes part, and the network before the relay.
struct Story<'a> {
    place: &'a Place,
    relay: &'a Proxy,
    shopper: Shopper,
    agent: Agent,
    approver: Approver,
}

impl<'a> Story<'a> {
    async fn of(place: &'a Place, relay: &'a Proxy) -> Self {
        let (agent, approver) = (place.agent().await, place.approver().await);
        Self { place, relay, shopper: Shopper::of(place).await, agent, approver }
    }

    /// Lives up to this event, whose appends are held up.
    async fn live(&self, held: usize, kind: EventType) -> RequestKey {
        if kind == EventType::Requested {
            let (key, statement) = self.shopper.request().await;
            self.hold(&key, held, kind);
            self.shopper.bus().call(&Ask::Request { statement }).await.unwrap();
            return key;
        }
        let shop = format!("{kind}-{held}.example");
        let pending = self.ask(&shop, kind).await;
        let key = pending.key().clone();
        self.hold(&key, held, kind);
        match kind {
            EventType::Approved => self.approve(&key).await,
            EventType::Captured | EventType::Consumed => {
                self.approve(&key).await;
                self.place.mail(&format!("noreply@{shop}"), "Your verification code is 482913.").await;
                assert_eq!(within("a code", pending.wait()).await.unwrap().expose(), "482913");
            }
            EventType::Denied => {
                let request = self.approver.find(key.request).await.unwrap();
                self.approver.deny(&request).await.unwrap();
            }
            EventType::Cancelled => pending.canceller().cancel().await.unwrap(),
            EventType::Expired => drop(within("the end", pending.wait()).await.unwrap_err()),
            EventType::Requested => unreachable!("asked by hand above"),
        }
        key
    }

    async fn ask(&self, shop: &str, kind: EventType) -> Pending {
        let mut asking = Asking::code_by_email("Sign in to the shop", shop).unwrap();
        if kind == EventType::Expired {
            asking.ttl = "2s".parse().unwrap();
        }
        self.agent.request(asking).await.unwrap()
    }

    async fn approve(&self, key: &RequestKey) {
        let request = self.approver.find(key.request).await.unwrap();
        self.approver.approve(&request).await.unwrap();
    }

    fn hold(&self, key: &RequestKey, held: usize, kind: EventType) {
        self.relay.hold(&format!("otp.v1.log.{key}.{kind}"), held);
    }
}
