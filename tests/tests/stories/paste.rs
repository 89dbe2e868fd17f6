//! A code by hand: from a pipe and at a terminal, once, and nowhere to be read but by its agent.

use agent_otp_domain::EventType;
use agent_otp_tests::{Needle, Place, eventually, search, strings};
use rustix::process::Signal;
use serde_json::json;

/// Unlike anything that happens to stand in a file.
const CODE: &str = "QX7ZK94W";
const SHAPE: [&str; 2] = ["--shape", "alnum:8"];
const PROMPT: &str = "Code (it is not shown): ";
const LIFE: [&str; 4] = ["requested", "approved", "captured", "consumed"];

#[tokio::test]
async fn a_code_from_a_pipe_arrives_and_the_trail_says_that_it_was_pasted() {
    let place = Place::new();
    let up = place.up().await;
    let mut asked = place.request(&SHAPE).await;
    place.approve(&asked.id).await;
    let line = format!("Dear Philippa, {CODE} is your verification code\n");
    let captured = place.piped(&["capture", &asked.id], line.as_bytes()).await.well();
    assert_eq!(captured.stdout, format!("captured {}\n", asked.id));
    assert!(captured.stderr.contains("It says   “Sign in to GitHub”"), "{captured:?}");
    assert_eq!(asked.ended().await.well().stdout, format!("{CODE}\n"));

    assert_eq!(place.history(&asked.id).await, strings(LIFE));
    let shown = place.agent_otp(&["audit", "show", &asked.id, "--json"]).await.well().json();
    let evidence = &shown["events"][2]["data"]["statement"]["evidence"];
    assert_eq!((&evidence["channel"], &evidence["source"]), (&json!("pasted"), &json!("terminal")));
    up.stop().await.well();
    assert_eq!(search(&place.dir(), &[CODE, "Philippa"].map(Needle::text)), []);
}

#[tokio::test]
async fn a_code_that_is_typed_at_a_terminal_is_not_shown() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&SHAPE).await;
    place.approve(&asked.id).await;
    let mut terminal = place.at_terminal(&["capture", &asked.id]);
    terminal.until(PROMPT, 1).await;
    assert!(!terminal.shows_what_is_typed());
    terminal.types("WRONG\r");
    terminal.until("there is no code in it of the shape alnum:8; try again", 1).await;
    terminal.until(PROMPT, 2).await;
    // What is rubbed out does not count, and the rest of a longer message must not reach the shell.
    terminal.types(&format!("X\u{7f}{CODE}\rrm -rf everything\r"));
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(0), "{screen}");
    for typed in [CODE, "QX7Z", "WRONG", "everything"] {
        assert!(!screen.contains(typed), "{screen}");
    }
    assert!(screen.contains(&format!("captured {}", asked.id)), "{screen}");
    assert!(terminal.shows_what_is_typed(), "the terminal is as it was");
    assert_eq!(asked.ended().await.well().stdout, format!("{CODE}\n"));
}

#[tokio::test]
async fn whoever_gives_up_has_captured_nothing() {
    let place = Place::new();
    let _up = place.up().await;
    let asked = place.request(&SHAPE).await;
    place.approve(&asked.id).await;
    for (keys, said) in [
        ("QX7\u{3}", "nothing was captured: interrupted"),
        ("\u{4}", "nothing was captured: the input ended before a code came"),
        ("a\rb\rc\r", "nothing was captured: there is no code in it of the shape alnum:8"),
    ] {
        let mut terminal = place.at_terminal(&["capture", &asked.id]);
        for (times, line) in (1..).zip(keys.split_inclusive('\r')) {
            terminal.until(PROMPT, times).await;
            terminal.types(line);
        }
        let (code, screen) = terminal.ended().await;
        assert_eq!((code, screen.contains(said)), (Some(1), true), "{screen}");
        assert!(terminal.shows_what_is_typed(), "{screen}");
    }
    assert_eq!(place.history(&asked.id).await, strings(["requested", "approved"]));
}

#[tokio::test]
async fn what_cannot_be_captured_is_told_with_the_next_step_and_spends_nothing() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&["--shape", "digits:6"]).await;
    let id = asked.id.clone();
    let refused = async |input: &str, said: &str| {
        let ended = place.piped(&["capture", &id], input.as_bytes()).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("nothing was captured") && ended.stderr.contains(said), "{ended:?}");
        assert_eq!(ended.stdout, "");
    };
    refused("719204\n", &format!("the request is not approved; approve it first: agent-otp approve {id}"))
        .await;
    place.approve(&id).await;
    refused("71920\n", "there is no code in it of the shape digits:6").await;
    refused("", "the input ended before a code came").await;
    asked.signal(Signal::STOP);
    place.piped(&["capture", &id], b"719 204\n").await.well();
    refused("719204\n", "a code was captured for this request before").await;
    asked.signal(Signal::CONT);
    assert_eq!(asked.ended().await.well().stdout, "719204\n");
    refused("719204\n", &format!("no open request has the id {id}; `agent-otp pending` lists those that do"))
        .await;
    assert_eq!(place.history(&id).await, strings(LIFE));
}

#[tokio::test]
async fn of_two_who_paste_at_once_one_captures() {
    let place = Place::new();
    let _up = place.up().await;
    for _ in 0..3 {
        let mut asked = place.request(&[]).await;
        place.approve(&asked.id).await;
        let paste = async |code: &str| {
            (code.to_owned(), place.piped(&["capture", &asked.id], code.as_bytes()).await.code)
        };
        let both = tokio::join!(paste("482913\n"), paste("550127\n"));
        let captured: Vec<String> = [both.0, both.1]
            .into_iter()
            .filter_map(|(code, ended)| (ended == Some(0)).then_some(code))
            .collect();
        assert_eq!(captured, [asked.ended().await.well().stdout]);
        assert_eq!(place.history(&asked.id).await, strings(LIFE));
    }
}

#[tokio::test]
async fn a_pasted_code_outlives_the_broker_that_held_it_in_memory() {
    let place = Place::new();
    let _up = place.up().await;
    let mut watch = place.watch().await;
    let mut asked = place.request(&SHAPE).await;
    asked.signal(Signal::STOP);
    place.approve(&asked.id).await;
    place.piped(&["capture", &asked.id], CODE.as_bytes()).await.well();
    watch.until(&asked.id, EventType::Captured).await;
    // A message that answers the request as well is too late.
    place.mail("noreply@github.com", "Your GitHub verification code is 4829AB13.").await;
    let killed = place.run();
    killed.kill_broker();
    eventually("another broker", async || Some(place.run()).filter(|run| run.nats_pid != killed.nats_pid))
        .await;
    asked.signal(Signal::CONT);
    assert_eq!(asked.ended().await.well().stdout, format!("{CODE}\n"));
    assert_eq!(place.history(&asked.id).await, strings(LIFE));
    eventually("the end of the record", async || {
        let spent = place.dir().join("members/capturer-local/spent");
        let records: Vec<Vec<u8>> =
            agent_otp_tests::files_below(&spent).iter().map(|path| std::fs::read(path).unwrap()).collect();
        // Without its sealed code, a record is short.
        records.iter().all(|record| record.len() < 300).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_code_for_a_relay_that_does_not_answer_is_kept_and_handed_over_later() {
    let place = Place::new();
    let up = place.up().await;
    let mut asked = place.request(&SHAPE).await;
    place.approve(&asked.id).await;
    let mut terminal = place.at_terminal(&["capture", &asked.id]);
    terminal.until(PROMPT, 1).await;
    up.signal(Signal::STOP);
    terminal.types(&format!("{CODE}\r"));
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, Some(14), "{screen}");
    assert!(screen.contains("the code is sealed and kept, and need not be pasted again"), "{screen}");
    up.signal(Signal::CONT);
    assert_eq!(asked.ended().await.well().stdout, format!("{CODE}\n"));
    assert_eq!(place.history(&asked.id).await, strings(LIFE));
}
