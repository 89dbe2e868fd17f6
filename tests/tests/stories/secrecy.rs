//! Where the code, the message's words and the sealed bytes are not: anywhere.

use std::fs;
use std::path::PathBuf;

use agent_otp_domain::Role;
use agent_otp_tests::{Needle, Place, RIGHT, eventually, files_below, search, strings, within};
use futures_util::StreamExt as _;
use rustix::process::Signal;

/// Unlike anything that happens to stand in a file, unlike six digits.
const CODE: &str = "QX7ZK94W";
const TEXT: &str =
    "Dear Philippa, your verification code is QX7ZK94W\r\n\r\nNever tell it to a brachiosaurus.\r\n";
const LIFE: [&str; 4] = ["requested", "approved", "captured", "consumed"];

#[tokio::test]
async fn neither_code_nor_text_nor_sealed_bytes_outlive_a_life() {
    let place = Place::traced();
    let up = place.up().await;
    let dashboard = place.wire("dashboard").await;
    let mut live = dashboard.client.subscribe("otp.v1.event.>").await.unwrap();
    let secrets = ["QX7ZK94W", "Philippa", "brachiosaurus"].map(Needle::text);

    let (mut asked, captured, sealed) =
        place.captured(&["--shape", "alnum:8"], "Shop <noreply@github.com>", TEXT).await;
    let sealed = [Needle::bytes("the sealed code", sealed.as_bytes())];
    the_search_finds_what_is_planted(&place, &secrets);
    // The code is captured, and nobody has it yet: only the sealed bytes stand in a file, the capturer's record.
    assert_eq!(search(place.root(), &secrets), []);
    let record = search(place.root(), &sealed);
    assert_eq!(record.len(), 1, "{record:?}");
    assert!(record[0].0.starts_with(place.dir().join("members/capturer-local/spent")), "{record:?}");

    asked.signal(Signal::CONT);
    let ended = asked.ended().await.well();
    assert_eq!(ended.stdout, format!("{CODE}\n"));
    // What the agent printed is the one place where the code belongs.
    fs::remove_file(&asked.stdout).unwrap();
    assert_eq!(place.history(&asked.id).await, strings(LIFE));
    eventually("the vault to be empty", async || place.in_vault(&captured).await.is_none().then_some(()))
        .await;
    gone(&place, &sealed).await;
    assert_eq!(search(place.root(), &secrets), []);
    for _ in LIFE {
        let event = within("an event", live.next()).await.unwrap();
        let headers = format!("{:?}", event.headers);
        for needle in secrets.iter().chain(&sealed) {
            assert_eq!(needle.in_bytes(&event.payload), None, "{}", event.subject);
            assert_eq!(needle.in_bytes(headers.as_bytes()), None, "{headers}");
        }
    }
    // The trail's rows as they are read, besides the file that they stand in.
    let trail = place.agent_otp(&["audit", "events", "--json"]).await.well().stdout;
    assert_eq!(secrets.iter().find_map(|needle| needle.in_bytes(trail.as_bytes())), None);

    up.stop().await.well();
    assert_eq!(search(place.root(), &secrets), []);
    assert_eq!(search(place.root(), &sealed), []);
    the_logs_were_read(&place);
}

#[tokio::test]
async fn no_party_tells_a_word_or_a_key_whichever_way_a_message_comes() {
    let place = Place::traced();
    let broker = place.serve_broker().await;
    let relay = place.serve(RIGHT, &["relay"]).await;
    let user = place.serve(RIGHT, &["user", "--accept-unverified-mail"]).await;
    let audit = place.serve(RIGHT, &["audit"]).await;
    let secrets = ["QX7ZK94W", "Philippa", "brachiosaurus"].map(Needle::text);
    let html = format!("<p>{}</p>", TEXT.replace("\r\n", "<br>"));
    let by_sms = ["--shape", "alnum:8", "--channel", "sms", "--from", "id:GitHub"];

    for way in ["html", "sms", "paste"] {
        let options = if way == "sms" { &by_sms[..] } else { &by_sms[..2] };
        let mut asked = place.request(&[options, &["--json"]].concat()).await;
        place.approve(&asked.id).await;
        match way {
            "html" => {
                place.offer_mail("Philippa <noreply@elsewhere.example>", TEXT).await.unwrap();
                place.html_mail("GitHub <noreply@github.com>", TEXT, &html).await;
            }
            "sms" => place.sms("1", "GitHub", TEXT).await,
            _ => {
                for (line, well) in [("Dear Philippa, QX7ZK94 brachiosaurus\n", false), (TEXT, true)] {
                    let line = line.replace("\r\n", " ");
                    let ended = place.piped(&["capture", &asked.id], line.as_bytes()).await;
                    assert_eq!(ended.code == Some(0), well, "{ended:?}");
                    for needle in &secrets {
                        assert_eq!(needle.in_bytes(ended.stderr.as_bytes()), None, "{}", ended.stderr);
                    }
                }
            }
        }
        let printed = asked.ended().await.well().json();
        assert_eq!((&printed["code"], &printed["state"]), (&CODE.into(), &"consumed".into()), "{way}");
        fs::remove_file(&asked.stdout).unwrap();
    }
    let keys = keys(&place);
    for mut part in [user, relay, audit, broker] {
        part.signal(Signal::TERM);
        part.ended().await.well();
    }
    assert_eq!(search(place.root(), &secrets), []);
    let files = files_below(place.root());
    for (file, key) in keys {
        let told: Vec<_> =
            search(place.root(), &[key]).into_iter().filter(|(found, _, _)| *found != file).collect();
        assert_eq!(told, [], "of {} files, one more has the key of {}", files.len(), file.display());
    }
    the_logs_were_read(&place);
}

/// The keys of the members and of the NATS users, each with the one file that it belongs into.
fn keys(place: &Place) -> Vec<(PathBuf, Needle)> {
    let mut keys: Vec<_> = place
        .run()
        .creds
        .into_values()
        .map(|path| (path.clone(), Needle::text(fs::read_to_string(path).unwrap().trim())))
        .collect();
    for (role, name) in [(Role::Agent, "shopper"), (Role::Approver, "local"), (Role::Capturer, "local")] {
        let home = place.home(role, name);
        let seed = home.identity().unwrap().seed();
        keys.push((home.dir().join("identity.key"), Needle::bytes(name, seed.as_slice())));
    }
    assert!(keys.len() > 6, "{}", keys.len());
    keys
}

/// Waits until nobody holds these any more, and says who does meanwhile.
async fn gone(place: &Place, needles: &[Needle]) {
    eventually("the sealed bytes to be gone", async || {
        let found = search(place.root(), needles);
        if !found.is_empty() {
            eprintln!("{found:?}");
        }
        found.is_empty().then_some(())
    })
    .await;
}

/// A search that finds nothing proves nothing, unless it finds what is there.
fn the_search_finds_what_is_planted(place: &Place, secrets: &[Needle]) {
    let planted = place.dir().join("nats").join("store").join("planted");
    fs::write(&planted, format!("\0\u{1}{TEXT}")).unwrap();
    let found = search(place.root(), secrets);
    fs::remove_file(&planted).unwrap();
    assert_eq!(found.iter().filter(|(path, _, _)| *path == planted).count(), secrets.len(), "{found:?}");
}

/// The logs that were searched held what logs hold.
fn the_logs_were_read(place: &Place) {
    let logs = files_below(place.root())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "stderr"));
    let logged: String = logs.map(|path| fs::read_to_string(path).unwrap()).collect();
    for said in ["agent_otp_relay", "appended", "agent_otp_user", "captured", "agent_otp_agent", "consumed"] {
        assert!(logged.contains(said), "{said}");
    }
}
