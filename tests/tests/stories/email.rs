//! One code by e-mail, the whole way.

use agent_otp_tests::{Place, strings};
use serde_json::json;

const FROM: &str = "GitHub <noreply@github.com>";
const TEXT: &str = "Your GitHub verification code is 482913.\r\n\r\nIt expires in ten minutes.\r\n";
const HTML: &str = "<html><body><p>Your GitHub verification code is</p><h1>482913</h1></body></html>";
const LIFE: [&str; 4] = ["requested", "approved", "captured", "consumed"];

#[tokio::test]
async fn a_code_that_comes_after_the_approval_is_all_that_the_agent_prints() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&["--purpose", "login", "--shape", "digits:6"]).await;

    let pending = place.pending().await;
    let shown = pending.first().unwrap();
    let expected = [
        ("id", json!(asked.id)),
        ("state", json!("requested")),
        ("agent", json!("shopper")),
        ("reason", json!("Sign in to GitHub")),
        ("sender", json!("github.com")),
        ("channel", json!("email")),
        ("releases", json!("code")),
        ("shape", json!("digits:6")),
        ("purpose", json!("login")),
        ("notice", json!(null)),
    ];
    for (field, value) in expected {
        assert_eq!(shown[field], value, "{field}");
    }
    assert_eq!(pending.len(), 1);

    let approved = place.approve(&asked.id).await;
    assert_eq!(approved.stdout, format!("approved {}\n", asked.id));
    assert!(approved.stderr.contains("It says   “Sign in to GitHub”"), "{approved:?}");
    assert_eq!(place.pending_one(&asked.id).await.unwrap()["state"], "approved");
    place.mail(FROM, TEXT).await;

    let ended = asked.ended().await.well();
    assert_eq!(ended.stdout, "482913\n");
    let told = ["requested  ", "approved  "]
        .map(|begin| ended.stderr.lines().position(|line| line.starts_with(begin)));
    assert!(told[0].is_some() && told[0] < told[1], "{}", ended.stderr);
    assert_eq!(place.history(&asked.id).await, strings(LIFE));
    assert!(place.pending().await.is_empty());

    let shown = place.agent_otp(&["audit", "show", &asked.id, "--json"]).await.well().json();
    assert_eq!(shown["events"][2]["data"]["statement"]["evidence"]["sender"], "unverified");
    let listed = place.agent_otp(&["audit", "list", "--json"]).await.well().json();
    assert_eq!((&listed[0]["request"], &listed[0]["state"]), (&json!(asked.id), &json!("consumed")));
}

#[tokio::test]
async fn a_code_that_came_before_the_approval_is_there_at_once() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&["--json"]).await;
    place.html_mail(FROM, "This mail is best read as HTML.", HTML).await;
    assert_eq!(place.history(&asked.id).await, strings(["requested"]));
    place.approve(&asked.id).await;
    let ended = asked.ended().await.well();
    assert_eq!(ended.json(), json!({ "id": asked.id, "state": "consumed", "code": "482913" }));
    assert_eq!(place.history(&asked.id).await, strings(LIFE));
}

#[tokio::test]
async fn mail_from_another_sender_or_without_the_pattern_answers_nothing() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&["--matching", "ticket [0-9]+"]).await;
    place.approve(&asked.id).await;
    place.mail("Eve <noreply@github.com.evil.example>", "ticket 7: your verification code is 111111").await;
    place.mail(FROM, "Your GitHub verification code is 222222.").await;
    place.mail(FROM, "Ticket 7: your GitHub verification code is 482913.").await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
}

#[tokio::test]
async fn a_copy_of_a_mail_that_was_answered_answers_nothing_more() {
    let place = Place::new();
    let _up = place.up().await;
    let mut first = place.request(&[]).await;
    place.approve(&first.id).await;
    place.mail_named("<1@github.com>", FROM, TEXT).await;
    assert_eq!(first.ended().await.well().stdout, "482913\n");

    let mut second = place.request(&[]).await;
    place.approve(&second.id).await;
    place.mail_named("<1@github.com>", FROM, TEXT).await;
    place.mail(FROM, "Your GitHub verification code is 550127.").await;
    assert_eq!(second.ended().await.well().stdout, "550127\n");
}
