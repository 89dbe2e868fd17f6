//! Mail that a source has fetched: handed in beside one another, and again as long as that may help.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use crate::intake::{Fetched, Intake, Refused};
use crate::mail::authentication::NotAuthentic;

/// How many mails are handed in at a time.
const HANDING_MAX: usize = 16;
/// How long the next one waits for the first of them, which then makes room: whoever sends mail from domains whose DNS
/// does not answer is not to keep the others out.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a mail waits where the capturer has no room.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// How long it waits where the DNS gave no answer.
const ANSWER_PAUSE: Duration = Duration::from_secs(5);
/// How long a mail is handed in again; afterwards it is too old to answer.
const TRIED_FOR: Duration = Duration::from_mins(10);

/// Mails of one source that are being handed in; dropped, they are given up.
#[derive(Debug)]
pub(super) struct Pulled {
    source: &'static str,
    intake: Intake,
    /// The first one has been handed in longest.
    handing: VecDeque<AbortOnDropHandle<()>>,
    dropped: u64,
}

impl Pulled {
    pub(super) fn new(source: &'static str, intake: Intake) -> Self {
        Self { source, intake, handing: VecDeque::new(), dropped: 0 }
    }

    /// Hands a mail in.
    pub(super) async fn hand_in(&mut self, fetched: Fetched) {
        self.handing.retain(|handing| !handing.is_finished());
        if self.handing.len() >= HANDING_MAX
            && let Some(first) = self.handing.pop_front()
            && timeout(PATIENCE, first).await.is_err()
        {
            self.dropped += 1;
            warn!(source = self.source, dropped = self.dropped, "mail given up: too many wait for the DNS");
        }
        let handing = hand_in(self.source, self.intake.clone(), fetched);
        self.handing.push_back(AbortOnDropHandle::new(tokio::spawn(survived(self.source, handing))));
    }
}

/// Tells of a mail that breaks down what judges it: nobody else would, and it does not come again.
async fn survived(source: &'static str, handing: impl Future<Output = ()>) {
    // What panicked may have quoted the mail, so that it is not told.
    if AssertUnwindSafe(handing).catch_unwind().await.is_err() {
        error!(source, "mail given up: what judges it broke down");
    }
}

async fn hand_in(source: &'static str, intake: Intake, fetched: Fetched) {
    let until = Instant::now() + TRIED_FOR;
    loop {
        let pause = match intake.fetched(source, &fetched).await {
            Ok(()) => return info!(source, "mail taken"),
            Err(Refused::Busy) => BUSY_PAUSE,
            Err(Refused::NotAuthentic(NotAuthentic::NoAnswer)) => ANSWER_PAUSE,
            Err(refused) => return info!(source, reason = %refused, "mail refused"),
        };
        if Instant::now() + pause >= until {
            return warn!(source, "mail given up");
        }
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Write as _};
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber, subscriber};

    use super::*;

    #[tokio::test]
    async fn a_mail_that_breaks_down_what_judges_it_is_told_of_and_not_a_word_of_it() {
        let log = Log::default();
        let _logging = subscriber::set_default(log.clone());
        survived("imap", async {}).await;
        survived("imap", async { panic!("Your code is 482913.") }).await;
        let told = log.0.lock().unwrap().clone();
        insta::assert_snapshot!(told, @"ERROR message=mail given up: what judges it broke down source=\"imap\"");
    }

    /// What was logged, a line for each event.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<String>>);

    impl Subscriber for Log {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.module_path() == Some("agent_otp_user::source::pulled")
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            writeln!(self.0.lock().unwrap(), "{}", line.0).unwrap();
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// What was logged at once.
    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}
