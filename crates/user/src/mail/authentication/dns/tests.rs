//! A machine that moves from one network to another.

use std::sync::atomic::{AtomicUsize, Ordering};

use agent_otp_jetstream::clock;
use agent_otp_trust::SenderCheck;
use tokio::time::advance;

use super::super::{Authenticator, Envelope, Handover, WAIT_MAX};
use super::*;

#[path = "../../../../tests/dns/mod.rs"]
mod dns;

#[tokio::test]
async fn a_machine_that_has_come_to_another_network_asks_its_servers() {
    let zone = r#"{"txt": {
        "acme.example": "v=spf1 ip4:198.51.100.7 -all",
        "_dmarc.acme.example": "v=DMARC1; p=reject"
    }}"#;
    let address = dns::serve(dns::zone(zone).unwrap());
    let reads = AtomicUsize::new(0);
    let read = move || {
        let first = reads.fetch_add(1, Ordering::Relaxed) == 0;
        if first { Dns::None.configuration() } else { Dns::Server(address).configuration() }
    };
    let servers = Servers::reading(Box::new(read)).unwrap();
    let authenticator = Authenticator { servers, trusted: None, wait_max: WAIT_MAX };
    let envelope = Envelope {
        peer: "198.51.100.7".parse().unwrap(),
        handover: Handover::Relay,
        helo: "mx.acme.example".to_owned(),
        sender: "bounce@acme.example".to_owned(),
    };
    let mail = b"From: no-reply@acme.example\r\n\r\nYour code is 482913.\r\n";
    let authentic = authenticator.verify(mail, &envelope, clock::now()).await;
    assert_eq!(authentic.map(|authentic| authentic.check), Ok(SenderCheck::Spf));
}

#[tokio::test(start_paused = true)]
async fn the_configuration_is_read_now_and_then_and_what_is_cached_stays_while_it_is_the_same() {
    let servers = Servers::new(Dns::None).unwrap();
    let verifier = servers.verifier();
    advance(READ_EVERY).await;
    servers.read_again();
    assert!(Arc::ptr_eq(&verifier, &servers.verifier()));
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = reads.clone();
    let read = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Dns::None.configuration()
    };
    let servers = Servers::reading(Box::new(read)).unwrap();
    for (pause, expected) in [(Duration::ZERO, 1), (READ_EVERY, 2), (READ_EVERY / 2, 2), (READ_EVERY, 3)] {
        advance(pause).await;
        servers.read_again();
        assert_eq!(reads.load(Ordering::Relaxed), expected);
    }
}
