//! What travels, taken off the wire and piped into `agent-otp decode`.

use agent_otp_domain::codec;
use agent_otp_jetstream::message::Ask;
use agent_otp_tests::{Place, within};
use futures_util::StreamExt as _;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

const LIFE: [&str; 4] = ["requested", "approved", "captured", "consumed"];

#[tokio::test]
async fn each_event_of_a_life_is_told_as_it_comes_and_as_the_trail_tells_it() {
    let place = Place::new();
    let _up = place.up().await;
    let mut live = place.wire("dashboard").await.client.subscribe("otp.v1.event.>").await.unwrap();
    let mut decode = place.pipe(&["decode"]);
    let (mut stdin, stdout) = (decode.stdin.take().unwrap(), decode.stdout.take().unwrap());
    let mut lines = BufReader::new(stdout).lines();

    let mut asked = place.request(&[]).await;
    place.approve(&asked.id).await;
    place.mail("noreply@github.com", "Your GitHub verification code is 482913.").await;
    asked.ended().await.well();
    let trail = place.events().await;
    for (name, told) in LIFE.iter().zip(&trail) {
        let event = within("an event", live.next()).await.unwrap();
        // As `nats sub --raw` prints it: nothing more has to come before it is told.
        stdin.write_all(&[&event.payload[..], b"\n"].concat()).await.unwrap();
        let printed = within("a line", lines.next_line()).await.unwrap().unwrap();
        let mut decoded: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!((&decoded["kind"], &decoded["type"]), (&json!("event"), &json!(format!("{name}.v1"))));
        for field in ["id", "time", "actor", "version", "owner", "agent", "request"] {
            assert_eq!(decoded[field], told[field], "{name}: {field}");
        }
        let statement = decoded["data"]["statement"].as_object_mut().unwrap();
        assert!(statement.remove("signature").is_some());
        statement.remove("nonce");
        assert_eq!(decoded["data"], told["data"], "{name}");
    }
    drop(stdin);
    assert!(within("the end of a decoder", decode.wait()).await.unwrap().success());
}

#[tokio::test]
async fn whatever_travels_is_told_from_its_body_alone() {
    let place = Place::new();
    let _up = place.up().await;
    let relay = place.wire("relay").await.client;
    let mut commands = relay.subscribe("otp.v1.cmd.>").await.unwrap();
    relay.flush().await.unwrap();
    let (mut asked, captured, _) =
        place.captured(&[], "noreply@github.com", "Your GitHub verification code is 482913.").await;
    let key = captured.key();

    // What is kept, as the streams hold it.
    let jetstream = async_nats::jetstream::new(relay.clone());
    let stored = async |stream: &str, subject: String| {
        let stream = jetstream.get_stream_no_info(stream).await.unwrap();
        stream.get_last_raw_message_by_subject(&subject).await.unwrap().payload.to_vec()
    };
    let timer = {
        let query = json!({ "last_by_subj": format!("otp.v1.timer.set.{key}") }).to_string();
        relay.request("$JS.API.DIRECT.GET.OTP_TIMER", query.into()).await.unwrap().payload.to_vec()
    };
    let mut bodies = vec![
        (stored("KV_otp_vault", format!("$KV.otp_vault.{key}.>")).await, "sealed code", "sealed.v1"),
        (timer, "timer", "timer.v1"),
        (
            stored("OTP_ROSTER", format!("otp.v1.roster.{}.*", key.owner)).await,
            "statement",
            "application/vnd.agent-otp.roster.v1+msgpack",
        ),
    ];
    // What is answered, as the asker gets it.
    let approver = place.wire("approver:local").await.client;
    let answer = async |ask: &Ask| {
        let subject = format!("otp.v1.cmd.{}.approver.local.{}", key.owner, ask.verb().as_str());
        approver.request(subject, codec::encode(ask).into()).await.unwrap().payload.to_vec()
    };
    let asks = [
        (Ask::Open { from: None }, "requests.v1"),
        (Ask::Roster { number: None }, "signed_roster.v1"),
        (Ask::Get { agent: key.agent.clone(), request: key.request }, "events.v1"),
        (Ask::Get { agent: "nobody".parse().unwrap(), request: key.request }, "refused.v1"),
    ];
    for (ask, expected) in asks {
        bodies.push((answer(&ask).await, "reply", expected));
    }
    let stream: Vec<u8> = bodies.iter().flat_map(|(body, _, _)| body.clone()).collect();
    let told = place.piped(&["decode"], &stream).await.well().stdout;
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (told, (_, kind, name)) in told.iter().zip(&bodies) {
        assert_eq!((&told["kind"], &told["type"]), (&json!(kind), &json!(name)), "{told}");
    }
    assert_eq!(told.len(), bodies.len());
    assert_eq!((&told[0]["bytes"], &told[1]["request"]), (&json!(304), &json!(asked.id)));

    // What was asked meanwhile, by everybody.
    asked.signal(Signal::CONT);
    asked.ended().await.well();
    let mut seen = Vec::new();
    let mut stream = Vec::new();
    while !seen.contains(&"consume".to_owned()) {
        let command = within("a command", commands.next()).await.unwrap();
        seen.push(command.subject.rsplit('.').next().unwrap().to_owned());
        stream.extend_from_slice(&command.payload);
    }
    let told = place.piped(&["decode"], &stream).await;
    let told: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<String> = told.iter().map(|told| told["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, seen.iter().map(|verb| format!("{verb}.v1")).collect::<Vec<_>>());
    for verb in ["request", "approve", "capture", "consume", "get", "open", "roster"] {
        assert!(seen.contains(&verb.to_owned()), "{verb} is among {seen:?}");
    }
}

#[tokio::test]
async fn what_is_no_message_is_told_and_what_follows_is_told_all_the_same() {
    let place = Place::new();
    let query = b"\x82\xa4type\xa7open.v1\xa4from\xc0";
    let ended = place.piped(&["decode"], &[&query[..], b"\nhello\n", query].concat()).await;
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stdout.lines().count(), 2, "{ended:?}");
    assert!(
        ended.stderr.contains("at byte 21: 0x68 begins no message; 6 bytes are passed over"),
        "{ended:?}"
    );
    let ended = place.piped(&["decode"], &query[..19]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("at byte 0: a message that is cut off"), "{ended:?}");
    let ended = place.piped(&["decode", "--pretty"], query).await.well();
    assert_eq!(ended.stdout, "{\n  \"from\": null,\n  \"kind\": \"command\",\n  \"type\": \"open.v1\"\n}\n");
    assert_eq!(place.piped(&["decode"], b"").await.well().stdout, "");
}
