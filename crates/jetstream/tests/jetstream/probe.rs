//! A client that tries what it may do, and hears what the broker refuses.

use agent_otp_jetstream::Login;
use async_nats::{Client, Event, ServerError};
use tokio::sync::mpsc;

use crate::world::within;

/// A client that hears what the broker refuses.
pub(crate) struct Probe {
    client: Client,
    refusals: mpsc::UnboundedReceiver<String>,
}

impl Probe {
    pub(crate) async fn connect(login: &Login) -> Self {
        let (heard, refusals) = mpsc::unbounded_channel();
        let client = login
            .options()
            .unwrap()
            .event_callback(move |event| {
                if let Event::ServerError(ServerError::Other(said)) = event {
                    heard.send(said).unwrap();
                }
                std::future::ready(())
            })
            .connect(&login.server.url)
            .await
            .unwrap();
        Self { client, refusals }
    }

    /// Tries, and then does what nobody may: the broker answers in order, so that whatever it has to say was said.
    pub(crate) async fn is_allowed(&mut self, how: &str, subject: &str) -> bool {
        match how {
            "pub" => self.client.publish(subject.to_owned(), "".into()).await.unwrap(),
            _ => drop(self.client.subscribe(subject.to_owned()).await.unwrap()),
        }
        self.client.publish("nobody.may.this", "".into()).await.unwrap();
        let mut is_allowed = true;
        loop {
            let said = within(self.refusals.recv()).await.unwrap();
            if said.contains("nobody.may.this") {
                return is_allowed;
            }
            assert!(said.contains(subject), "{said}");
            is_allowed = false;
        }
    }
}
