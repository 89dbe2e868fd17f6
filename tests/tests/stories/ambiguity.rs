//! Where it is not clear whose code it is, or which, nobody gets it and the user is asked.

use agent_otp_tests::{Asked, Parties, Place, eventually, strings};

const FROM: &str = "noreply@github.com";

#[tokio::test]
async fn a_mail_that_fits_two_requests_goes_to_neither_until_one_is_denied() {
    let place = Place::new();
    let _up = place.up().await;
    let (mut first, mut second) = (place.request(&[]).await, place.request(&[]).await);
    for id in [&first.id, &second.id] {
        place.approve(id).await;
    }
    place.mail(FROM, "Your GitHub verification code is 482913.").await;
    neither_gets_it_until_one_is_denied(&place, &mut first, &mut second).await;
}

#[tokio::test]
async fn two_requests_that_the_users_side_learns_of_when_its_broker_is_back_are_weighed_against_each_other() {
    let place = Place::new();
    let parties = Parties::of(&place, 1).await;
    let story = async {
        parties.ready().await;
        parties.user.proxy.cut();
        let (mut first, mut second) = (parties.request(&[]).await, parties.request(&[]).await);
        for id in [&first.id, &second.id] {
            place.approve(id).await;
        }
        place.mail(FROM, "Your GitHub verification code is 482913.").await;
        parties.user.proxy.restore();
        neither_gets_it_until_one_is_denied(&place, &mut first, &mut second).await;
    };
    Box::pin(parties.run(story)).await;
}

async fn neither_gets_it_until_one_is_denied(place: &Place, first: &mut Asked, second: &mut Asked) {
    for id in [&first.id, &second.id] {
        let notice = notice(place, id).await;
        assert!(notice.contains("deny the other"), "{notice}");
        assert_eq!(place.history(id).await, strings(["requested", "approved"]));
    }
    place.deny(&first.id).await;
    assert_eq!(first.ended().await.code, Some(10));
    assert_eq!(second.ended().await.well().stdout, "482913\n");
}

#[tokio::test]
async fn two_codes_in_one_mail_are_no_code() {
    let place = Place::new();
    let _up = place.up().await;
    let asked = place.request(&[]).await;
    place.approve(&asked.id).await;
    place.mail(FROM, "Your verification code is 482913.\r\n\r\nYour verification code is 550127.").await;
    let notice = notice(&place, &asked.id).await;
    assert!(notice.contains("more than one code fits"), "{notice}");
    assert_eq!(place.history(&asked.id).await, strings(["requested", "approved"]));
    let shown = place.agent_otp(&["pending"]).await.well().stdout;
    // The command is on a line of its own, as it is typed.
    assert!(shown.contains(&format!("\n          agent-otp capture {}\n", asked.id)), "{shown}");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    assert!(words(&shown).contains(&words(&format!("Notice {notice}"))), "{shown}");
    for secret in ["482913", "550127"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn of_a_newer_code_agent_and_user_hear_and_asking_again_gets_it() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&["--stay"]).await;
    place.approve(&asked.id).await;
    place.mail(FROM, "Your GitHub verification code is 482913.").await;
    eventually("the first code", async || (asked.printed() == "482913\n").then_some(())).await;
    place.mail(FROM, "Your GitHub verification code is 550127.").await;
    let ended = asked.ended().await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(18), "482913\n"));
    assert!(ended.stderr.contains("another code came"), "{}", ended.stderr);
    let shown = place.agent_otp(&["pending"]).await.well().stdout;
    assert!(shown.contains(&format!("Notice about {}: a newer code came", asked.id)), "{shown}");

    let mut again = place.request(&[]).await;
    place.approve(&again.id).await;
    assert_eq!(again.ended().await.well().stdout, "550127\n");
}

async fn notice(place: &Place, id: &str) -> String {
    eventually("a notice", async || {
        let pending = place.pending_one(id).await.expect("the request is open");
        pending["notice"].as_str().map(str::to_owned)
    })
    .await
}
