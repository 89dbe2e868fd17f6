//! Mail that a source has fetched: handed in beside one another, and again as long as that may help.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

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
        let handing = tokio::spawn(hand_in(self.source, self.intake.clone(), fetched));
        self.handing.push_back(AbortOnDropHandle::new(handing));
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
