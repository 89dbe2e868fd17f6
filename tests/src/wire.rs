//! The broker as the parties see it: each with the NATS user and the keys that lie in the data directory.

use std::fs;
use std::path::Path;

use agent_otp_agent::Agent;
use agent_otp_domain::{Digest, Event, EventType, Recorded, RequestKey, Role, SealedCode};
use agent_otp_jetstream::{Bus, Connection, Credentials, Feed, Login, Replay, StoredEvent, Vault, Who};
use agent_otp_keyring::Home;
use agent_otp_user::Approver;
use async_nats::Client;
use rustix::process::Signal;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::asked::Asked;
use crate::place::Place;
use crate::wait::within;

impl Place {
    /// How a NATS user logs in: `relay`, `agent:shopper` …
    #[must_use]
    pub fn login(&self, user: &str) -> Login {
        let run = self.run();
        let seed = fs::read_to_string(run.creds.get(user).expect("run.json names the user")).unwrap();
        Login { server: run.server, credentials: Credentials::read(&seed) }
    }

    /// Who a NATS user is.
    #[must_use]
    pub fn who(&self, user: &str) -> Who {
        match user.split_once(':') {
            Some((role, name)) => Who::Member {
                owner: self.run().owner.parse().unwrap(),
                role: role.parse().unwrap(),
                name: name.parse().unwrap(),
            },
            None => Who::Operator(
                ["relay", "provision", "dashboard"].into_iter().find(|known| *known == user).unwrap(),
            ),
        }
    }

    /// A connection as this NATS user.
    pub async fn connection(&self, user: &str) -> Connection {
        Connection::open(&self.login(user), &self.who(user)).await.unwrap()
    }

    /// A member's way to the relay.
    pub async fn member(&self, user: &str) -> Bus {
        let Who::Member { owner, role, name } = self.who(user) else { panic!("{user} is no member") };
        Bus::new(self.connection(user).await, owner, role, name)
    }

    /// The home of a member.
    #[must_use]
    pub fn home(&self, role: Role, name: &str) -> Home {
        Home::at(self.dir().join("members").join(format!("{role}-{name}")))
    }

    /// The agent `shopper`, as a library.
    pub async fn agent(&self) -> Agent {
        let home = self.home(Role::Agent, "shopper");
        Agent::connect(&self.login("agent:shopper"), home, "shopper".parse().unwrap()).await.unwrap()
    }

    /// The user, as a library.
    pub async fn approver(&self) -> Approver {
        let home = self.home(Role::Approver, "local");
        Approver::connect(&self.login("approver:local"), home, "local".parse().unwrap()).await.unwrap()
    }

    /// Looks on as a dashboard does, from now on.
    pub async fn watch(&self) -> Watch {
        Watch { feed: Feed::of_all(&self.connection("dashboard").await).await.unwrap() }
    }

    /// Every event as the log holds it.
    pub async fn log(&self) -> Vec<StoredEvent> {
        Replay::new(self.connection("auditor:local").await).from(1).await.unwrap()
    }

    /// What the vault holds for a capture.
    pub async fn in_vault(&self, captured: &Recorded) -> Option<SealedCode> {
        let vault = Vault::new(self.connection("relay").await);
        vault.read(&captured.key(), &sealed(captured)).await.unwrap()
    }

    /// A request whose code is in the vault and stays there: its agent is held up until it is told to go on.
    pub async fn captured(&self, options: &[&str], from: &str, text: &str) -> (Asked, Recorded, SealedCode) {
        let mut watch = self.watch().await;
        let asked = self.request(options).await;
        asked.signal(Signal::STOP);
        self.approve(&asked.id).await;
        self.mail(from, text).await;
        let captured = watch.until(&asked.id, EventType::Captured).await;
        let sealed = self.in_vault(&captured).await.expect("the sealed code is in the vault");
        (asked, captured, sealed)
    }

    /// A bare connection, which also tells what the broker refuses.
    pub async fn wire(&self, user: &str) -> Wire {
        self.wire_of(&self.login(user), &self.who(user)).await
    }

    /// The same of any NATS user.
    pub async fn wire_of(&self, login: &Login, who: &Who) -> Wire {
        Wire::connect(login, who.inbox()).await.unwrap()
    }

    /// The same with the NATS user of a file; none if the broker does not admit it.
    pub async fn wire_with(&self, file: &Path) -> Option<Wire> {
        let credentials = Credentials::read(&fs::read_to_string(file).unwrap());
        Wire::connect(&Login { server: self.run().server, credentials }, "_INBOX.nobody".to_owned())
            .await
            .ok()
    }
}

/// SHA-256 of the sealed code that an event `captured` names.
fn sealed(captured: &Recorded) -> Digest {
    let Event::Captured { sealed, .. } = captured.event else { panic!("{captured:?} is no capture") };
    sealed
}

/// The live events.
#[derive(Debug)]
pub struct Watch {
    feed: Feed,
}

impl Watch {
    /// Waits until this happens to the request; what comes before it is passed over.
    pub async fn until(&mut self, id: &str, kind: EventType) -> Recorded {
        let coming = async {
            loop {
                let recorded = self.feed.next().await.expect("the connection stays").recorded;
                if recorded.request.to_string() == id && recorded.event.kind() == kind {
                    return recorded;
                }
            }
        };
        within(format!("`{kind}` of {id}"), coming).await
    }

    /// Waits until this happens to a request made by hand.
    pub async fn until_key(&mut self, key: &RequestKey, kind: EventType) -> Recorded {
        self.until(&key.request.to_string(), kind).await
    }
}

/// A bare connection to the broker.
#[derive(Debug)]
pub struct Wire {
    /// The client itself.
    pub client: Client,
    refusals: UnboundedReceiver<String>,
}

impl Wire {
    /// Connects as a NATS user.
    ///
    /// # Errors
    ///
    /// If the broker does not admit it.
    pub async fn connect(login: &Login, inbox: String) -> Result<Self, async_nats::ConnectError> {
        let (tell, refusals) = unbounded_channel();
        let client = login
            .options()
            .unwrap()
            .custom_inbox_prefix(inbox)
            .event_callback(move |event| {
                if let async_nats::Event::ServerError(error) = event {
                    tell.send(error.to_string()).ok();
                }
                std::future::ready(())
            })
            .connect(&login.server.url)
            .await?;
        Ok(Self { client, refusals })
    }

    /// Whether the broker lets this NATS user publish to the subject.
    pub async fn may_publish(&mut self, subject: &str) -> bool {
        self.client.publish(subject.to_owned(), "".into()).await.unwrap();
        self.is_let(subject).await
    }

    /// Whether the broker lets this NATS user subscribe to the subject.
    pub async fn may_subscribe(&mut self, subject: &str) -> bool {
        let subscribed = self.client.subscribe(subject.to_owned()).await.unwrap();
        let is_let = self.is_let(subject).await;
        drop(subscribed);
        is_let
    }

    /// Does what nobody may: the broker judges in order, so by then it has said whatever it had to say.
    async fn is_let(&mut self, subject: &str) -> bool {
        self.client.publish("nobody.may.this", "".into()).await.unwrap();
        let mut is_let = true;
        loop {
            let said = within("a refusal", self.refusals.recv()).await.expect("the connection stays");
            if said.contains("nobody.may.this") {
                return is_let;
            }
            assert!(said.contains(subject), "{said}");
            is_let = false;
        }
    }
}
