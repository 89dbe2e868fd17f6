//! What stands above the options of a kind in `--help`.

pub(crate) const DATA: &str = "Data directory";
pub(crate) const BROKER: &str = "Broker";
pub(crate) const EXISTING: &str = "Existing NATS server";
pub(crate) const TLS: &str = "TLS to the broker";
pub(crate) const MESSAGES: &str = "Messages";
