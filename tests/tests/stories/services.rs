//! A request for a service by its name.

use std::fs;

use agent_otp_tests::Place;
use serde_json::json;

#[tokio::test]
async fn a_request_for_a_service_is_shown_and_answered_by_its_domains() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&["--from", "chatgpt"]).await;
    let shown = place.pending_one(&asked.id).await.unwrap();
    assert_eq!(shown["sender"], json!("chat.com, chatgpt.com, openai.com"));
    assert_eq!((&shown["service"], &shown["warning"]), (&json!("OpenAI"), &json!(null)));
    place.approve(&asked.id).await;
    place.mail("noreply@openai.com.evil.example", "Your code is 111111").await;
    place.mail("noreply@tm.openai.com", "Your ChatGPT code is 482913").await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    let trail = place.agent_otp(&["audit", "show", &asked.id]).await.well().stdout;
    assert!(trail.contains("Sender    chat.com, chatgpt.com, openai.com"), "{trail}");
}

#[tokio::test]
async fn a_text_message_of_a_service_has_its_sender_and_one_of_its_words() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&["--from", "github", "--channel", "sms"]).await;
    place.approve(&asked.id).await;
    for (id, sender, text) in [
        ("1", "GitHub", "Your code is 111111"),
        ("2", "ACME", "222222 is your GitHub authentication code."),
        ("3", "GitHub", "333333 is your GitHub authentication code.\n\n@evil.example #333333"),
        ("4", "GitHub", "482913 is your GitHub authentication code.\n\n@github.com #482913"),
    ] {
        place.sms(id, sender, text).await;
        if id == "3" {
            // It fits but for where it is bound to, so the user is asked; the other request is the answer.
            assert!(place.pending_one(&asked.id).await.is_some());
        }
    }
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
}

#[tokio::test]
async fn a_user_adds_services_and_names_that_mean_nobody_or_look_like_somebody_are_refused() {
    let place = Place::new();
    let _up = place.up().await;
    fs::write(
        place.dir().join("services.toml"),
        "[[service]]\nname = \"Acme\"\ndomains = [\"acme.example\"]\n",
    )
    .unwrap();
    let mut asked = place.request(&["--from", "acme"]).await;
    let shown = place.pending_one(&asked.id).await.unwrap();
    assert_eq!((&shown["sender"], &shown["service"]), (&json!("acme.example"), &json!("Acme")));
    place.approve(&asked.id).await;
    place.mail("noreply@acme.example", "Your code is 482913").await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
    for (from, said) in [
        ("gihtub", "did you mean GitHub?"),
        ("gіthub", "looks like GitHub, and is not"),
        ("gіthub.com", "it mixes letters of several scripts"),
        ("xn--80ak6aa92e.com", "it is made to look like `apple`"),
        ("rnicrosoft.com", "looks like microsoft.com of Microsoft"),
        ("co.uk", "anyone can register below it"),
    ] {
        let ended = place.start_request(&["--from", from]).ended().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{from}: {ended:?}");
        assert!(ended.stderr.contains(said), "{from}: {ended:?}");
    }
    fs::write(place.dir().join("services.toml"), "[[service]]\nname = \"Acme\"\n").unwrap();
    let ended = place.start_request(&["--from", "acme"]).ended().await;
    assert!(ended.stderr.contains("services.toml cannot be used"), "{ended:?}");
}
