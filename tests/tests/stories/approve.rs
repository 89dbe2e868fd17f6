//! What a person is shown is what is approved, and nothing before it was seen.

use agent_otp_tests::Place;

const QUESTION: &str = "Approve this? Type yes: ";
const FROM: &str = "noreply@github.com";

#[tokio::test]
async fn at_a_terminal_nothing_but_yes_approves_what_is_shown() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&[]).await;
    for keys in ["\r", "y\r", "no\r", "\u{4}"] {
        let mut terminal = place.at_terminal(&["approve", &asked.id]);
        terminal.until(QUESTION, 1).await;
        let shown = terminal.screen();
        assert!(shown.contains("It says   “Sign in to GitHub”\nSender    github.com"), "{shown}");
        terminal.types(keys);
        let (code, screen) = terminal.ended().await;
        let said = screen.contains("agent-otp: not approved: nothing but yes approves; to deny it: ");
        assert_eq!((code, said), (Some(1), true), "{screen}");
    }
    assert_eq!(state(&place, &asked.id).await, "requested");

    let mut terminal = place.at_terminal(&["approve", &asked.id]);
    terminal.until(QUESTION, 1).await;
    terminal.types("yes\r");
    let (code, screen) = terminal.ended().await;
    assert_eq!((code, screen.contains(&format!("approved {}", asked.id))), (Some(0), true), "{screen}");
    place.mail(FROM, "Your GitHub verification code is 482913.").await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
}

#[tokio::test]
async fn what_is_told_to_be_approved_without_a_question_is_shown_and_approved() {
    let place = Place::new();
    let _up = place.up().await;
    let asked = place.request(&[]).await;
    let mut terminal = place.at_terminal(&["approve", &asked.id, "--yes"]);
    let (code, screen) = terminal.ended().await;
    assert_eq!((code, screen.contains(QUESTION)), (Some(0), false), "{screen}");
    assert!(screen.contains("It says   “Sign in to GitHub”"), "{screen}");
    assert_eq!(state(&place, &asked.id).await, "approved");
    // A script names the id, and nothing is asked of it.
    let other = place.request(&[]).await;
    let piped = place.piped(&["approve", &other.id], b"").await.well();
    assert_eq!(piped.stdout, format!("approved {}\n", other.id));
}

async fn state(place: &Place, id: &str) -> String {
    place.pending_one(id).await.unwrap()["state"].as_str().unwrap().to_owned()
}
