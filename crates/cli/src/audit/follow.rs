//! `agent-otp audit follow`: every event once and in order, from the past into the future.
//!
//! It reads the trail and not the log: what it prints was verified and committed, the position of the last line is all
//! that it has to remember, and neither a broker that restarts nor a rebuild is in its way. The price is that it sees
//! an event a tenth of a second later, and that somebody has to keep the trail: `agent-otp up`, or `agent-otp serve audit`.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use agent_otp_audit::{Filter, Trail};
use agent_otp_domain::visible;
use agent_otp_jetstream::clock;
use clap::Args;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::audit::only::Only;
use crate::audit::{self, PAGE};
use crate::place::Place;
use crate::{interrupt, print};

/// How often it looks whether somebody has written.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct Follow {
    /// Begins with this event of the log; 1 is the first [default: what comes from now on, or --since].
    #[arg(long, value_name = "POSITION", conflicts_with = "since", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    #[command(flatten)]
    only: Only,
    /// Ends after so many events.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Where it is.
struct Follower {
    trail: Trail,
    filter: Filter,
    as_json: bool,
    /// How many events are still wanted.
    wanted: u32,
    /// The position behind which it goes on.
    after: u64,
    /// How far the trail has come.
    come_to: u64,
    alarms: BTreeSet<(Option<u64>, String)>,
}

pub(crate) async fn run(place: &Place, follow: Follow) -> anyhow::Result<ExitCode> {
    let mut trail = Trail::open(&place.audit()).await?;
    audit::catch_up(place, &mut trail).await;
    let come_to = trail.position().await?;
    let after = match (follow.from, follow.only.since) {
        (Some(from), _) => from.saturating_sub(1),
        (None, Some(_)) => 0,
        (None, None) => come_to,
    };
    audit::point_at_alarms(&mut trail).await?;
    let alarms = trail.alarms().await?.into_iter().map(|alarm| (alarm.position, alarm.what)).collect();
    let filter = follow.only.filter()?;
    let wanted = follow.limit.unwrap_or(u32::MAX);
    let mut follower = Follower { trail, filter, as_json: follow.json, wanted, after, come_to, alarms };
    print::say(&format!("following the trail, which has come to event {come_to}; Ctrl-C ends it"));
    interrupt::until(async |stop| follower.run(stop).await).await??;
    Ok(ExitCode::SUCCESS)
}

impl Follower {
    async fn run(&mut self, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            let is_over = self.filter.until.is_some_and(|until| until <= clock::now());
            if self.trail.has_changed().await? && !self.go_on().await? {
                return Ok(());
            }
            if is_over || !print::is_heard() {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Prints what is new; whether there is more to come, and somebody to read it.
    async fn go_on(&mut self) -> anyhow::Result<bool> {
        let come_to = self.trail.position().await?;
        if come_to < self.come_to {
            print::say(&format!(
                "the trail was made anew from another log; going on behind its event {come_to}"
            ));
            self.after = come_to;
        }
        self.come_to = come_to;
        loop {
            let page = self.trail.events(&self.filter, self.after, PAGE).await?;
            for entry in &page {
                if print::line(&audit::entry(entry, self.as_json)?).is_err() {
                    return Ok(false);
                }
                self.after = entry.position;
                self.wanted = self.wanted.saturating_sub(1);
                if self.wanted == 0 {
                    return Ok(false);
                }
            }
            if page.is_empty() {
                break;
            }
        }
        self.after = self.after.max(come_to);
        self.tell_alarms().await?;
        Ok(true)
    }

    async fn tell_alarms(&mut self) -> anyhow::Result<()> {
        for alarm in self.trail.alarms().await? {
            let line =
                format!("ALARM at event {}: {}", alarm.position.unwrap_or_default(), visible(&alarm.what));
            if self.alarms.insert((alarm.position, alarm.what)) {
                print::say(&line);
            }
        }
        Ok(())
    }
}
