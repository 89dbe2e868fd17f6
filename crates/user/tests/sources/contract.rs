//! What every source keeps to, whatever it is made of.

use std::time::Duration;

use agent_otp_domain::{Channel, ContentPattern};
use agent_otp_jetstream::clock;
use agent_otp_user::Message;

use crate::running::Running;
use crate::worlds::{Android, DovecotImap, DovecotMaildir, LmtpSocket, LmtpTcp, SmtpTcp, World};

#[tokio::test]
async fn imap_keeps_the_contract() {
    keeps_the_contract(DovecotImap::new().await).await;
}

#[tokio::test]
async fn a_maildir_keeps_the_contract() {
    keeps_the_contract(DovecotMaildir::new().await).await;
}

#[tokio::test]
async fn smtp_keeps_the_contract() {
    keeps_the_contract(SmtpTcp::new()).await;
}

#[tokio::test]
async fn lmtp_keeps_the_contract_on_a_port() {
    keeps_the_contract(LmtpTcp::new()).await;
}

#[tokio::test]
async fn lmtp_keeps_the_contract_on_a_socket() {
    keeps_the_contract(LmtpSocket::new()).await;
}

#[tokio::test]
async fn a_webhook_keeps_the_contract() {
    keeps_the_contract(Android::new()).await;
}

async fn keeps_the_contract(mut world: impl World) {
    // A message arrives once and whole, with its channel, its source and the time at which it came.
    let mut source = Running::of(world.open().await);
    let before = clock::now();
    assert!(world.deliver("482913").await);
    let belongings = world.belongings();
    let first = source.message().await;
    let after = clock::now();
    is_whole(&first, "482913", &world);
    // A file's time is that of the kernel's last tick.
    let before = before.before(Duration::from_millis(20));
    assert!((before..=after).contains(&first.received_at), "{before} {} {after}", first.received_at);
    assert!(first.id.is_some());
    // So does one that comes while a request is open.
    source.open_request();
    assert!(world.deliver("550127").await);
    is_whole(&source.message().await, "550127", &world);
    // Nothing else comes, and it ends in time.
    let rest = source.stop().await;
    assert!(rest.is_empty(), "{rest:?}");
    // Nothing of the user's has changed.
    let now = world.belongings();
    assert!(
        belongings.iter().all(|(name, content)| now.get(name) == Some(content)),
        "{:?} {:?}",
        belongings.keys(),
        now.keys()
    );

    // What comes while it does not run is there afterwards, or its peer still has it.
    let is_kept = world.deliver("771204").await;
    let mut source = Running::of(world.open().await);
    if !is_kept {
        assert!(world.deliver("771204").await);
    }
    let third = loop {
        let message = source.message().await;
        // What came before comes again as the message that it is, or not at all: who has answered with it knows it.
        if message.id != first.id {
            if says(&message, "771204") {
                break message;
            }
            assert!(says(&message, "550127"));
            continue;
        }
        // A mailbox keeps the time in whole seconds.
        assert!(says(&message, "482913"));
        assert!(message.received_at < after.after(Duration::from_secs(1)), "{}", message.received_at);
    };
    is_whole(&third, "771204", &world);
    source.stop().await;
}

fn is_whole(message: &Message, code: &str, world: &impl World) {
    assert_eq!((message.channel, message.source), (world.channel(), world.name()));
    assert!(says(message, code));
    if message.channel == Channel::Email {
        assert_eq!(message.text.subject(), "Sign in");
        assert!(contains(message, r"Bücher: [0-9]{6}\s+\.\s+\.\.Ende"));
    }
}

fn says(message: &Message, code: &str) -> bool {
    contains(message, code)
}

/// Whether a message contains a pattern. Its text is shown to nobody, not even to a test.
pub(crate) fn contains(message: &Message, pattern: &str) -> bool {
    let pattern: ContentPattern = pattern.parse().unwrap();
    message.text.readings().any(|reading| pattern.is_in(reading))
}
