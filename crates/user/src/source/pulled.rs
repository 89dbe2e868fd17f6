//! Mail that a source has fetched: handed in beside one another, and again as long as that may help.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::intake::{Fetched, Intake, Refused};
use crate::mail::authentication::NotAuthentic;

/// How many mails are handed in at a time: one whose sender's DNS does not answer takes long, and the next is not to
/// wait for it.
const HANDING_MAX: usize = 8;
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
    handing: JoinSet<()>,
}

impl Pulled {
    pub(super) fn new(source: &'static str, intake: Intake) -> Self {
        Self { source, intake, handing: JoinSet::new() }
    }

    /// Hands a mail in; waits only if too many are being handed in already.
    pub(super) async fn hand_in(&mut self, fetched: Fetched) {
        while self.handing.try_join_next().is_some() {}
        while self.handing.len() >= HANDING_MAX {
            self.handing.join_next().await;
        }
        self.handing.spawn(hand_in(self.source, self.intake.clone(), fetched));
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
