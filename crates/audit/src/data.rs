//! What the columns of text hold: an event as JSON, an error in one line.

pub(crate) use agent_otp_jetstream::readable::event as readable;

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
