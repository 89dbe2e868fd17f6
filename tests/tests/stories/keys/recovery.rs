//! An owner's key that is lost or stolen, and the recovery key that names the next one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use agent_otp_tests::{Needle, Place, search};

use super::{MEMBERS, PASSPHRASE, carries_a_code, killed, latest, made, sealed, shown, until_hit};

#[tokio::test]
async fn an_owner_without_its_key_is_recovered_and_everyone_follows() {
    let place = sealed().await;
    place.set_passphrase(Some(PASSPHRASE));
    let paper = place.root().join("paper");
    let none = place.agent_otp(&["keys", "recover"]).await;
    assert!(none.stderr.contains("names no recovery key"), "{none:?}");
    let made = place.agent_otp(&["keys", "recovery", "new", "--to", paper.to_str().unwrap()]).await.well();
    let words = fs::read_to_string(&paper).unwrap();
    assert!(!made.stdout.contains(&words) && !made.stderr.contains(&words));
    assert_eq!(fs::metadata(&paper).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(search(&place.dir(), &[Needle::text(words.trim()), seed_of(&words)]), []);
    let up = place.up().await;
    carries_a_code(&place).await;
    let owner = place.run().owner;
    up.stop().await.well();

    let stolen = fs::read(place.dir().join("owner/identity.key")).unwrap();
    fs::remove_file(place.dir().join("owner/identity.key")).unwrap();
    for ended in [place.start_up(&[]).ended().await, place.agent_otp(&["keys", "show"]).await] {
        assert!(ended.code == Some(1) && ended.stderr.contains("the owner's key is missing in"), "{ended:?}");
    }
    let recover = ["keys", "recover", "--recovery-file", paper.to_str().unwrap()];
    place.agent_otp(&recover).await.well();
    assert!(shown(&place).await.values().all(|is_sealed| *is_sealed), "the new key too");
    let up = place.up().await;
    assert_eq!(place.run().owner, owner, "the owner is called as ever");
    carries_a_code(&place).await;
    assert_eq!(place.agent_otp(&["alarms"]).await.well().stdout, "No alarms.\n");
    assert_eq!(place.agent_otp(&["audit", "rebuild", "--json"]).await.well().json()["differing"], 0);
    up.stop().await.well();

    fs::write(place.dir().join("owner/identity.key"), stolen).unwrap();
    let ended = place.start_up(&[]).ended().await;
    assert!(ended.code == Some(1) && ended.stderr.contains("the key of the owner here is"), "{ended:?}");
}

#[tokio::test]
async fn a_recovery_that_is_killed_between_any_two_steps_goes_on() {
    let place = Place::new();
    made(&place).await;
    let mut papers: Vec<PathBuf> = Vec::new();
    until_hit("the recovery key is kept, and no roster names it", async || {
        let number = latest(&place);
        let paper = place.root().join(format!("paper-{}", papers.len()));
        let mut new = vec!["keys", "recovery", "new", "--to", paper.to_str().unwrap()];
        if let Some(present) = papers.last() {
            new.extend(["--recovery-file", present.to_str().unwrap()]);
        }
        killed(place.start(&new), || paper.exists()).await;
        let is_hit = paper.exists() && latest(&place) == number;
        place.agent_otp(&new).await.well();
        papers.push(paper);
        is_hit
    })
    .await;
    let recover = ["keys", "recover", "--recovery-file", papers.last().unwrap().to_str().unwrap()];
    let (key, next) = (place.dir().join("owner/identity.key"), place.dir().join("owner/identity.next"));
    for (middle, signed) in [("the new key is kept", 0), ("it has signed a roster", 1)] {
        until_hit(middle, async || {
            let number = latest(&place);
            fs::remove_file(&key).unwrap();
            let stands = || next.exists() && latest(&place) == number + signed;
            killed(place.start(&recover), stands).await;
            let (is_hit, is_half_done) = (stands(), next.exists());
            place.agent_otp(&recover).await.well();
            assert!(key.exists() && !next.exists());
            if is_half_done {
                assert_eq!(latest(&place), number + 1, "the one roster");
            }
            is_hit
        })
        .await;
    }
    let _up = place.up().await;
    carries_a_code(&place).await;
}

#[tokio::test]
async fn a_recovery_key_is_shown_once_and_typed_unseen() {
    let place = Place::new();
    made(&place).await;
    let piped = place.agent_otp(&["keys", "recovery", "new"]).await;
    assert!(piped.code == Some(1) && piped.stderr.contains("name a file for it with --to"), "{piped:?}");
    let mut terminal = place.at_terminal(&["keys", "recovery", "new"]);
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(0), "{screen}");
    let words: String = screen.lines().filter(|line| line.starts_with("    ")).collect();
    assert_eq!(words.matches(|letter: char| letter.is_ascii_alphanumeric()).count(), 56, "{screen}");

    let prompt = "Recovery key (it is not shown): ";
    for (typed, said) in [
        ("ABCD-EFGH", "a recovery key has 56 letters and digits, this has 8"),
        (&*"ABCD".repeat(14), "the recovery key is mistyped: its checksum does not fit"),
        ("\u{3}", "interrupted"),
    ] {
        let mut terminal = place.at_terminal(&["keys", "recover"]);
        terminal.until(prompt, 1).await;
        terminal.types(&format!("{typed}\r"));
        let (code, screen) = terminal.ended().await;
        assert_eq!((code, screen.contains(said)), (Some(1), true), "{screen}");
        assert!(terminal.shows_what_is_typed());
    }
    // The recovery key alone names the next one.
    let mut terminal = place.at_terminal(&["keys", "recovery", "new"]);
    terminal.until(prompt, 1).await;
    terminal.types(&format!("{}\r", words.to_lowercase()));
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(0), "{screen}");
    let mut terminal = place.at_terminal(&["keys", "recover"]);
    terminal.until(prompt, 1).await;
    terminal.types(&format!("{words}\r"));
    let (code, screen) = terminal.ended().await;
    assert_eq!((code, screen.contains("this is the recovery key ")), (Some(1), true), "{screen}");
}

#[tokio::test]
async fn a_forgotten_passphrase_costs_the_keys_and_nothing_else() {
    let place = Place::new();
    made(&place).await;
    let paper = place.root().join("paper");
    place.agent_otp(&["keys", "recovery", "new", "--to", paper.to_str().unwrap()]).await.well();
    place.set_passphrase(Some("nobody remembers this"));
    place.agent_otp(&["keys", "protect"]).await.well();
    place.set_passphrase(Some(PASSPHRASE));
    place.agent_otp(&["keys", "recover", "--recovery-file", paper.to_str().unwrap()]).await.well();
    for member in &MEMBERS[1..] {
        place.agent_otp(&["keys", "rotate", member]).await.well();
    }
    let _up = place.up().await;
    carries_a_code(&place).await;
}

fn seed_of(words: &str) -> Needle {
    let key = agent_otp_keyring::recovery::read(words).unwrap();
    Needle::bytes("the recovery key", key.seed().as_slice())
}
