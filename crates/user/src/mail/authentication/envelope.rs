//! Who hands a mail over, and what follows from that: whether its results are believed, and whether SPF speaks of it.

use std::net::IpAddr;

/// Who handed a mail over, and what the peer said of itself (RFC 5321).
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The peer's address.
    pub peer: IpAddr,
    /// For whom it hands mail over.
    pub handover: Handover,
    /// What it called itself in EHLO, HELO or LHLO.
    pub helo: String,
    /// The address of MAIL; empty for a bounce.
    pub sender: String,
}

/// On which leg of its way a mail was handed over (RFC 5598).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// From one server to another, by SMTP: the peer may be the sender's.
    Relay,
    /// To its mailbox, by LMTP, or it was fetched from there: the peer is the user's.
    Delivery,
}

impl Envelope {
    /// One of a mail that this machine hands over, of which SPF says nothing.
    #[must_use]
    pub fn local() -> Self {
        Self {
            peer: IpAddr::from([127, 0, 0, 1]),
            handover: Handover::Delivery,
            helo: String::new(),
            sender: String::new(),
        }
    }

    /// Whether the peer is neither on this machine nor on its own network; by which protocol it speaks, anyone chooses.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        match self.peer.to_canonical() {
            IpAddr::V4(peer) => {
                !(peer.is_loopback() || peer.is_private() || peer.is_link_local() || peer.is_unspecified())
            }
            IpAddr::V6(peer) => {
                !(peer.is_loopback()
                    || peer.is_unique_local()
                    || peer.is_unicast_link_local()
                    || peer.is_unspecified())
            }
        }
    }

    /// Whether the peer may be a server of the sender's: of such a one SPF speaks, and it hears that a mail is refused.
    #[must_use]
    pub fn may_be_of_sender(&self) -> bool {
        self.handover == Handover::Relay && self.is_elsewhere() && !is_shared(self.peer.to_canonical())
    }
}

/// Whether an address is one of those that carriers and VPNs such as Tailscale give to their own (RFC 6598,
/// 100.64.0.0/10): no mail server of the internet has one. The user's own machine may, and so may a neighbour's.
fn is_shared(peer: IpAddr) -> bool {
    matches!(peer, IpAddr::V4(peer) if matches!(peer.octets(), [100, 64..=127, ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_shared_network_a_peer_is_not_the_senders_and_its_results_are_not_believed() {
        for (peer, may_be_of_sender, is_elsewhere) in [
            ("100.63.255.255", true, true),
            ("100.64.0.0", false, true),
            ("::ffff:100.100.1.2", false, true),
            ("100.127.255.255", false, true),
            ("100.128.0.0", true, true),
            ("2001:db8::9", true, true),
            ("192.168.1.2", false, false),
            ("::ffff:10.0.0.1", false, false),
            ("fd7a:115c:a1e0::9", false, false),
        ] {
            let peer = peer.parse().unwrap();
            let envelope = Envelope { peer, handover: Handover::Relay, ..Envelope::local() };
            assert_eq!(envelope.may_be_of_sender(), may_be_of_sender, "{peer}");
            assert_eq!(envelope.is_elsewhere(), is_elsewhere, "{peer}");
        }
    }
}
