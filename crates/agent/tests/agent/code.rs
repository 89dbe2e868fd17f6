//! A code on its way from a mail to the agent.

use agent_otp_agent::{Asking, Progress};
use agent_otp_domain::EventType::{Approved, Captured, Consumed, Requested};
use agent_otp_domain::Filter;
use tokio::sync::mpsc;

use crate::home::{Home, asking};
use crate::world::{eventually, within};

const ACME: &str = "Acme <no-reply@acme.example>";

#[tokio::test]
async fn the_code_of_a_mail_that_comes_after_the_approval_reaches_the_agent() {
    let home = Box::pin(Home::start()).await;
    let pending = home.ask().await;
    let key = pending.key().clone();
    let (tell, mut told) = mpsc::unbounded_channel();
    let waiting = tokio::spawn(pending.wait_telling(move |progress| tell.send(progress).unwrap()));
    assert_eq!(within(told.recv()).await, Some(Progress::Requested));
    home.approve(&key).await;
    assert_eq!(within(told.recv()).await, Some(Progress::Approved));
    home.mail(ACME, "Your login code is 482913.").await;
    let code = within(waiting).await.unwrap().unwrap();
    assert_eq!(code.expose(), "482913");
    assert_eq!(home.history(&key).await, [Requested, Approved, Captured, Consumed]);
}

#[tokio::test]
async fn the_code_of_a_mail_that_came_before_the_approval_reaches_the_agent() {
    let home = Box::pin(Home::start()).await;
    let pending = home.ask().await;
    home.mail(ACME, "Your login code is 482913.").await;
    home.approve(pending.key()).await;
    assert_eq!(within(pending.wait()).await.unwrap().expose(), "482913");
}

#[tokio::test]
async fn mail_that_does_not_answer_stays_with_the_user() {
    let home = Box::pin(Home::start()).await;
    let shaped = Asking {
        filter: Filter { content: "login".parse().ok(), shape: "digits:6".parse().ok(), ..asking().filter },
        ..asking()
    };
    let pending = home.agent.request(shaped).await.unwrap();
    home.approve(pending.key()).await;
    home.mail("Acme <no-reply@acme.test>", "Your login code is 111111.").await;
    home.mail("\"no-reply@acme.example\" <a@evil.test>", "Your login code is 222222.").await;
    home.mail(ACME, "Your password reset code is 333333.").await;
    home.mail(ACME, "Your login code is 44444444.").await;
    home.mail(ACME, "Your login code is 482913.").await;
    assert_eq!(within(pending.wait()).await.unwrap().expose(), "482913");
}

#[tokio::test]
async fn each_of_many_requests_gets_its_own_code() {
    let home = Box::pin(Home::start()).await;
    for number in 0..5 {
        let pending = home.ask().await;
        home.approve(pending.key()).await;
        home.mail(ACME, &format!("Your login code is 48291{number}.")).await;
        assert_eq!(within(pending.wait()).await.unwrap().expose(), format!("48291{number}"));
    }
}

#[tokio::test]
async fn requests_for_two_senders_get_the_code_of_each() {
    let home = Box::pin(Home::start()).await;
    let one = home.ask().await;
    let filter = Filter { sender: "other.example".parse().unwrap(), ..asking().filter };
    let other = home.agent.request(Asking { filter, ..asking() }).await.unwrap();
    for pending in [&one, &other] {
        home.approve(pending.key()).await;
    }
    home.mail("Other <no-reply@other.example>", "Your login code is 550192.").await;
    home.mail(ACME, "Your login code is 482913.").await;
    assert_eq!(within(one.wait()).await.unwrap().expose(), "482913");
    assert_eq!(within(other.wait()).await.unwrap().expose(), "550192");
}

#[tokio::test]
async fn a_mail_for_two_requests_is_held_back_until_the_user_denies_one() {
    let home = Box::pin(Home::start()).await;
    let (one, other) = (home.ask().await, home.ask().await);
    for pending in [&one, &other] {
        home.approve(pending.key()).await;
    }
    home.learnt_of_all().await;
    home.mail(ACME, "Your login code is 482913.").await;
    for pending in [&one, &other] {
        let notice = home.notice(pending.key()).await;
        assert!(notice.starts_with("a message fits this request and another one ("), "{notice}");
        assert_eq!(home.history(pending.key()).await, [Requested, Approved]);
    }
    home.deny(one.key()).await;
    assert_eq!(within(other.wait()).await.unwrap().expose(), "482913");
}

#[tokio::test]
async fn a_code_that_was_consumed_is_gone_from_the_vault_and_from_the_users_disk() {
    let home = Box::pin(Home::start()).await;
    let pending = home.ask().await;
    let key = pending.key().clone();
    home.approve(&key).await;
    home.mail(ACME, "Your login code is 482913.").await;
    home.until(&key, Captured).await;
    let digest = home.seen(&key).await.capture.unwrap().1.sealed;
    let vault = home.vault().await;
    let sealed = vault.read(&key, &digest).await.unwrap().unwrap();
    assert!(home.is_recorded(sealed.as_bytes()));
    within(pending.wait()).await.unwrap();
    eventually(async || vault.read(&key, &digest).await.unwrap().is_none().then_some(())).await;
    eventually(async || (!home.is_recorded(sealed.as_bytes())).then_some(())).await;
    assert_eq!(home.history(&key).await.last(), Some(&Consumed));
}
