//! A source that runs, and what comes out of it.

use std::path::Path;
use std::time::Duration;

use agent_otp_domain::Timestamp;
use agent_otp_jetstream::clock;
use agent_otp_user::mail::authentication::{Authenticator, Dns};
use agent_otp_user::source::{Source, SourceError, config};
use agent_otp_user::{Intake, Message, Received, Unverified};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long anything may take that is to happen.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A running source.
pub(crate) struct Running {
    received: mpsc::Receiver<Received>,
    open_until: watch::Sender<Option<Timestamp>>,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), SourceError>>,
}

impl Running {
    /// Runs a source, with no request open.
    pub(crate) fn of(source: Box<dyn Source>) -> Self {
        Self::with(source, Unverified::Accept)
    }

    fn with(source: Box<dyn Source>, unverified: Unverified) -> Self {
        let authenticator = Authenticator::new(Dns::None, None).unwrap();
        let (intake, received) = Intake::new(unverified, authenticator);
        let open_until = watch::Sender::new(None);
        let (stop, intake) = (CancellationToken::new(), intake.while_open(open_until.subscribe()));
        let ended = tokio::spawn(source.run(intake, stop.clone()));
        Self { received, open_until, stop, ended }
    }

    /// Runs the one source of a configuration.
    pub(crate) async fn configured(text: &str) -> Self {
        Self::of(open(text).await)
    }

    /// The same where nothing is taken on its word, and nobody can prove anything.
    pub(crate) async fn strict(text: &str) -> Self {
        Self::with(open(text).await, Unverified::Refuse)
    }

    /// Whether the next thing is that a mail was rejected.
    pub(crate) async fn is_rejected(&mut self) -> bool {
        within("a rejection", self.received.recv()).await.unwrap().message().is_none()
    }

    /// Has a request be open from now on.
    pub(crate) fn open_request(&self) {
        self.open_until.send_replace(Some(clock::now().after(Duration::from_hours(1))));
    }

    /// Has none be open from now on.
    pub(crate) fn close_request(&self) {
        self.open_until.send_replace(None);
    }

    /// The next message.
    pub(crate) async fn message(&mut self) -> Message {
        let received = within("a message", self.received.recv()).await.unwrap();
        received.message().expect("nothing is rejected")
    }

    /// Stops the source, which ends soon, and gives what came and was not looked at.
    pub(crate) async fn stop(mut self) -> Vec<Message> {
        self.stop.cancel();
        timeout(Duration::from_secs(6), self.ended).await.expect("it ends in time").unwrap().unwrap();
        std::iter::from_fn(|| self.received.try_recv().ok()).filter_map(Received::message).collect()
    }
}

/// Opens the one source of a configuration.
pub(crate) async fn open(text: &str) -> Box<dyn Source> {
    let mut configured = config::parse(Path::new("sources.toml"), text.as_bytes()).unwrap();
    assert_eq!(configured.len(), 1);
    configured.remove(0).open().await.unwrap()
}

/// Waits for something that has to happen.
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(WAIT_MAX, work).await.unwrap_or_else(|_| panic!("{what} did not come within {WAIT_MAX:?}"))
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}
