//! Figures out of measurements, and how people read them.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::bench::Report;

/// How long each of a number of things took, and how long all of them together.
#[derive(Debug, Default)]
pub(super) struct Tally {
    taken: Vec<Duration>,
    elapsed: Duration,
}

/// How many a second, and how long each.
#[derive(Debug, Serialize)]
pub(super) struct Rate {
    pub(super) in_flight: usize,
    count: usize,
    pub(super) per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// How long each took.
#[derive(Debug, Serialize)]
pub(super) struct Spread {
    count: usize,
    pub(super) p50: f64,
    pub(super) p99: f64,
    max: f64,
}

impl Tally {
    pub(super) fn new(taken: Vec<Duration>, elapsed: Duration) -> Self {
        Self { taken, elapsed }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.taken.extend(other.taken);
        self.elapsed += other.elapsed;
    }

    pub(super) fn rate(self, in_flight: usize) -> Rate {
        let count = self.taken.len();
        let per_second = f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / self.elapsed.as_secs_f64();
        let Spread { p50, p99, .. } = self.spread();
        Rate { in_flight, count, per_second: rounded(per_second), p50_ms: p50, p99_ms: p99 }
    }

    /// In milliseconds.
    pub(super) fn spread(mut self) -> Spread {
        self.taken.sort_unstable();
        let at = |percent: usize| {
            let rank = (self.taken.len() * percent).div_ceil(100).saturating_sub(1);
            rounded(self.taken.get(rank).map_or(0.0, |taken| taken.as_secs_f64() * 1_000.0))
        };
        Spread { count: self.taken.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

/// Three decimals: more is noise.
pub(super) fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "nats-server {}, sync_interval: {}, one machine", self.nats_server, self.sync_interval)?;
        writeln!(f)?;
        writeln!(f, "                        in flight     lives/s      p50 ms      p99 ms")?;
        let pairs = self.lives.iter().zip(&self.bare).zip(&self.ratio);
        for ((real, bare), ratio) in pairs {
            row(f, "requested to consumed", real)?;
            row(f, "the same, bare NATS", bare)?;
            writeln!(f, "  ratio                 {:>9}  {:>10.2}", ratio.in_flight, ratio.ratio)?;
        }
        writeln!(f)?;
        let mail = &self.data_to_code_ms;
        writeln!(
            f,
            "end of DATA to code in the agent's hands: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms ({} mails)",
            mail.p50, mail.p99, mail.max, mail.count
        )?;
        writeln!(f)?;
        writeln!(f, "open requests   one command, p50 ms      p99 ms")?;
        for crowd in &self.open {
            writeln!(
                f,
                "{:>13}   {:>19.3}  {:>10.3}",
                crowd.open, crowd.command_ms.p50, crowd.command_ms.p99
            )?;
        }
        writeln!(f, "highest p50 over lowest: {:.2}", self.open_ratio)?;
        writeln!(f)?;
        writeln!(f, "{}", self.memory_mib)
    }
}

fn row(f: &mut fmt::Formatter<'_>, what: &str, rate: &Rate) -> fmt::Result {
    let Rate { in_flight, per_second, p50_ms, p99_ms, .. } = rate;
    writeln!(f, "{what:<22}  {in_flight:>9}  {per_second:>10.0}  {p50_ms:>10.2}  {p99_ms:>10.2}")
}
