//! `agent-otp bench`: what a request costs on this machine, measured beside the bare NATS operations below it.

mod bare;
mod figures;
mod life;
mod mail;
mod memory;
mod open;
mod stage;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use agent_otp_broker::find_or_install;
use serde::Serialize;

use crate::args::Bench;
use crate::bench::bare::Bare;
use crate::bench::figures::{Rate, Spread, Tally};
use crate::bench::memory::Memory;
use crate::bench::open::Crowd;
use crate::bench::stage::Stage;
use crate::{print, scratch};

/// How many requests are under way at a time.
const IN_FLIGHT: [usize; 2] = [1, 64];
/// Into how many parts each measurement is cut: real and bare take turns, so that what else the machine does meanwhile
/// hits both.
const TURNS: u32 = 4;
/// How long both run unmeasured first.
const WARM_UP: Duration = Duration::from_millis(500);

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    nats_server: String,
    sync_interval: &'static str,
    lives: Vec<Rate>,
    bare: Vec<Rate>,
    ratio: Vec<Ratio>,
    /// From the end of a mail's `DATA` to the code in the agent's hands, in milliseconds.
    data_to_code_ms: Spread,
    open: Vec<Crowd>,
    /// The highest median of `open` over the lowest.
    open_ratio: f64,
    memory_mib: Memory,
}

/// How many real lives there were for a bare one.
#[derive(Debug, Serialize)]
struct Ratio {
    in_flight: usize,
    ratio: f64,
}

pub(crate) async fn run(options: Bench) -> anyhow::Result<ExitCode> {
    let report = scratch::within("agent-otp-bench-", async |dir| measure(&options, dir).await).await?;
    if options.json {
        print::out(&print::json(&report)?);
    } else {
        print::out(report.to_string().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(options: &Bench, dir: &Path) -> anyhow::Result<Report> {
    let found = find_or_install(options.nats_server.as_deref(), &mut |line| print::say(line)).await?;
    print::say(&format!(
        "Measuring on brokers of our own (sync_interval: always), in {}, which is deleted at the end.",
        dir.display()
    ));
    let stage = Stage::start(&found.path, &dir.join("real")).await?;
    let bare = Bare::start(&found.path, &dir.join("bare")).await?;
    let idle = memory::of(&stage);
    let (mut lives, mut floor) = (Vec::new(), Vec::new());
    for in_flight in IN_FLIGHT {
        let (real, below) = in_turns(&stage, &bare, in_flight, options.seconds).await?;
        lives.push(real);
        floor.push(below);
    }
    let load = memory::of(&stage);
    bare.stop().await?;
    print::say(&format!("{} mails, from the end of DATA to the code", options.mails));
    let data_to_code_ms = mail::data_to_code(&stage, options.mails).await?;
    stage.stop().await?;
    let open = open::commands(&found.path, &dir.join("open"), &options.open).await?;
    Ok(Report {
        nats_server: found.version.to_string(),
        sync_interval: "always",
        ratio: ratios(&lives, &floor),
        lives,
        bare: floor,
        data_to_code_ms,
        open_ratio: open::ratio(&open),
        open,
        memory_mib: Memory { idle, load },
    })
}

/// Measures real lives and bare ones.
async fn in_turns(
    stage: &Stage,
    bare: &Bare,
    in_flight: usize,
    seconds: u64,
) -> anyhow::Result<(Rate, Rate)> {
    print::say(&format!("lives of requests, {in_flight} in flight, and the same operations bare"));
    life::during(stage, in_flight, WARM_UP).await?;
    bare.during(in_flight, WARM_UP).await?;
    let turn = Duration::from_secs(seconds) / TURNS;
    let (mut real_tally, mut bare_tally) = (Tally::default(), Tally::default());
    for _ in 0..TURNS {
        real_tally.add(life::during(stage, in_flight, turn).await?);
        bare_tally.add(bare.during(in_flight, turn).await?);
    }
    Ok((real_tally.rate(in_flight), bare_tally.rate(in_flight)))
}

fn ratios(lives: &[Rate], bare: &[Rate]) -> Vec<Ratio> {
    let ratio = |(real, bare): (&Rate, &Rate)| Ratio {
        in_flight: real.in_flight,
        ratio: figures::rounded(real.per_second / bare.per_second),
    };
    lives.iter().zip(bare).map(ratio).collect()
}
