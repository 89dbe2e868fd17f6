//! What can be typed behind `audit`.

use clap::Subcommand;

use crate::audit::follow::Follow;
use crate::audit::only::Only;

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Lists the requests, the one that changed last first.
    List {
        #[command(flatten)]
        only: Only,
        /// How many.
        #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Prints a JSON array instead.
        #[arg(long)]
        json: bool,
    },
    /// Shows everything that happened to one request.
    Show {
        /// The request's id.
        id: String,
        /// Prints a JSON object instead.
        #[arg(long)]
        json: bool,
    },
    /// Prints every event in the order in which it was stored.
    Events {
        #[command(flatten)]
        only: Only,
        /// Only the last of them, so many.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Prints events as they are stored, until Ctrl-C; each once and in order, also when the broker restarts.
    Follow(Follow),
    /// Makes the trail anew from the log beside the one in use, compares the two, and puts it in its place.
    ///
    /// Everything may run meanwhile. If the trail was not what the log says, that is an alarm: the exit code is 16, and
    /// the trail of before is kept in a file beside it.
    Rebuild {
        /// Prints a JSON object instead.
        #[arg(long)]
        json: bool,
    },
}
