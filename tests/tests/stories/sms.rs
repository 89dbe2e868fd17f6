//! One code by SMS, the whole way.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use agent_otp_tests::{Needle, Place, search, strings};
use serde_json::json;

const NUMBER: &str = "+15551234567";
const TEXT: &str = "482913 is your GitHub authentication code.\n\n@github.com #482913";
const BY_SMS: [&str; 4] = ["--channel", "sms", "--from", "id:GitHub"];
const LIFE: [&str; 4] = ["requested", "approved", "captured", "consumed"];

#[tokio::test]
async fn a_code_by_sms_is_all_that_the_agent_prints() {
    let place = Place::new();
    // What the user said of mail does not matter.
    let _up = place.up_with(&[]).await;
    let mut asked = place.request(&BY_SMS).await;
    let shown = place.pending_one(&asked.id).await.unwrap();
    assert_eq!((&shown["channel"], &shown["sender"]), (&json!("sms"), &json!("GitHub")));
    place.approve(&asked.id).await;
    place.sms("1", "GitHub", TEXT).await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    assert_eq!(place.history(&asked.id).await, strings(LIFE));

    let shown = place.agent_otp(&["audit", "show", &asked.id, "--json"]).await.well().json();
    let evidence = &shown["events"][2]["data"]["statement"]["evidence"];
    let fields = ["channel", "source", "sender"].map(|field| evidence[field].as_str().unwrap());
    assert_eq!(fields, ["sms", "sms-webhook", "unverified"]);
}

#[tokio::test]
async fn a_code_that_came_before_the_approval_is_there_at_once_and_from_a_number() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&["--channel", "sms", "--from", NUMBER]).await;
    place.sms("1", "GitHub", "Your code is 111111").await;
    place.sms("2", "+15551234568", "Your code is 222222").await;
    place.sms("3", NUMBER, "Your code is 482913").await;
    place.approve(&asked.id).await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
}

#[tokio::test]
async fn what_is_not_signed_or_not_read_releases_nothing() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&BY_SMS).await;
    place.approve(&asked.id).await;
    let whole = place.signed_sms("1", "GitHub", "Your code is 111111");
    let table = [
        (whole.replace("111111", "222222"), "401 Unauthorized"),
        (whole.replace("X-Signature", "X-Signed"), "401 Unauthorized"),
        (whole.replace("POST /sms ", "POST / "), "404 Not Found"),
        (whole.replace("POST /sms ", "PUT /sms "), "405 Method Not Allowed"),
        (place.signed_sms("2", "GitHub", &"Your code is 333333 ".repeat(10_000)), "413 Payload Too Large"),
        ("\0 garbage 444444\r\n\r\n".to_owned(), "400 Bad Request"),
    ];
    for (request, status) in table {
        let answer = place.deliver_sms(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{status}: {answer}");
    }
    assert_eq!(place.history(&asked.id).await, strings(["requested", "approved"]));
    place.sms("3", "GitHub", TEXT).await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
}

#[tokio::test]
async fn a_delivery_that_is_played_again_answers_nothing_more() {
    let place = Place::new();
    let up = place.up().await;
    let mut first = place.request(&BY_SMS).await;
    place.approve(&first.id).await;
    let delivery = place.signed_sms("1", "GitHub", TEXT);
    place.deliver_sms(&delivery).await;
    assert_eq!(first.ended().await.well().stdout, "482913\n");

    let mut second = place.request(&BY_SMS).await;
    place.approve(&second.id).await;
    let answer = place.deliver_sms(&delivery).await;
    assert!(answer.ends_with("\r\n\r\ntaken before\n"), "{answer}");
    place.sms("2", "GitHub", "Your code is 550127").await;
    assert_eq!(second.ended().await.well().stdout, "550127\n");
    up.stop().await.well();
}

#[tokio::test]
async fn a_request_is_answered_over_the_channels_that_it_names_alone() {
    let place = Place::new();
    let _up = place.up().await;
    let mut by_mail = place.request(&["--channel", "email"]).await;
    let mut by_sms = place.request(&BY_SMS).await;
    let mut any_mail = place.request(&["--channel", "any", "--from", "acme.example"]).await;
    let mut any_sms = place.request(&["--channel", "any", "--from", "id:ACME"]).await;
    for asked in [&by_mail, &by_sms, &any_mail, &any_sms] {
        place.approve(&asked.id).await;
    }
    place.sms("1", "GitHub", "Your code is 111111").await;
    place.mail("noreply@github.com", "Your code is 222222").await;
    place.sms("2", "acme", "Your code is 333333").await;
    place.mail("noreply@acme.example", "Your code is 444444").await;
    let expected = [
        (&mut by_sms, "111111\n"),
        (&mut by_mail, "222222\n"),
        (&mut any_sms, "333333\n"),
        (&mut any_mail, "444444\n"),
    ];
    for (asked, code) in expected {
        assert_eq!(asked.ended().await.well().stdout, code);
    }
}

#[tokio::test]
async fn no_word_of_a_text_message_is_written_down() {
    let place = Place::traced();
    let up = place.up().await;
    let text = "Dear Philippa, your code is QX7ZK94W, says the brachiosaurus";
    let secrets = ["QX7ZK94W", "Philippa", "brachiosaurus"].map(Needle::text);
    let mut asked = place.request(&[&BY_SMS[..], &["--shape", "alnum:8"]].concat()).await;
    place.approve(&asked.id).await;
    let signed = place.signed_sms("1", "GitHub", text);
    for refused in [signed.replace("Philippa", "Philippa!"), signed.replace("POST", "PUT")] {
        place.deliver_sms(&refused).await;
    }
    for sender in ["GitHub", "neither number nor id"] {
        place.deliver_sms(&place.signed_sms(sender, sender, text)).await;
    }
    assert_eq!(asked.ended().await.well().stdout, "QX7ZK94W\n");
    up.stop().await.well();
    // What the agent printed is the one place where the code belongs.
    fs::remove_file(&asked.stdout).unwrap();
    assert_eq!(search(place.root(), &secrets), []);
    let secrets = fs::read_to_string(place.dir().join("sources/sms-webhook.secret")).unwrap();
    for secret in secrets.lines().take(2) {
        let found = search(place.root(), &[Needle::text(secret)]);
        assert_eq!(found.len(), 1, "the secrets are in their own file: {found:?}");
    }
}

#[tokio::test]
async fn a_source_whose_secret_others_can_read_is_refused_with_the_next_step() {
    let place = Place::new();
    place.up().await.stop().await.well();
    let secret = place.dir().join("sources/sms-webhook.secret");
    for (mode, content, said) in
        [(0o644, "a key\n", "type chmod 600"), (0o600, "# none\n", "holds no key: write")]
    {
        fs::write(&secret, content).unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(mode)).unwrap();
        let ended = place.start_up(&[]).ended().await;
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(said) && ended.stderr.contains("sms-webhook.secret"), "{ended:?}");
    }
}
