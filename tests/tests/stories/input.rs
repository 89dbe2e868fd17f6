//! Bad input: each time a clear answer with the next step, and everything goes on.

use agent_otp_domain::MemberId;
use agent_otp_jetstream::message::{Ask, RefusalCode};
use agent_otp_tests::{Place, Shopper, within};
use async_nats::HeaderMap;

const UNKNOWN: &str = "01a2074f-d940-78dd-a5ee-67b332e181a7";

#[tokio::test]
async fn what_is_typed_wrong_is_said_with_what_would_be_right() {
    let place = Place::new();
    let _up = place.up().await;
    let long = "x".repeat(501);
    let pattern = "a".repeat(201);
    let table: [(&[&str], i32, &str); 23] = [
        (&["approve", UNKNOWN], 1, "`agent-otp pending` lists those that do"),
        (&["deny", UNKNOWN], 1, "`agent-otp pending` lists those that do"),
        (&["approve", "7"], 2, "`agent-otp pending` lists open requests"),
        (&["deny", "../../etc"], 2, "a version 7 UUID in lower case with hyphens"),
        (&["approve", "\u{1b}[2J"], 2, "<U+001B>[2J"),
        (&["audit", "show", UNKNOWN], 1, "`agent-otp audit list` shows those that it knows"),
        (&["audit", "show", "7"], 2, "a version 7 UUID"),
        (&["request", "--agent", "nobody"], 1, "known: shopper"),
        (&["request", "--agent", "No Body"], 2, "a-z, 0-9 and hyphens"),
        (&["request", "--from", "com"], 2, "name its domain, such as acme.example"),
        (&["request", "--from", "*"], 2, "--from"),
        (&["request", "--from", ""], 2, "--from"),
        (&["request", "--matching", "("], 2, "--matching"),
        (&["request", "--matching", &pattern], 2, "200"),
        (&["request", "--matching", "(a{1000}){1000}"], 2, "--matching"),
        (&["request", "--shape", "digits:3"], 2, "4"),
        (&["request", "--shape", "emoji:6"], 2, "digits"),
        (&["request", "--ttl", "0s"], 2, "1"),
        (&["request", "--ttl", "2h"], 2, "1"),
        (&["request", "--ttl", "soon"], 2, "--ttl"),
        (&["request", "--reason", &long], 2, "1 to 500 characters"),
        (&["request", "--channel", "pigeon"], 2, "email"),
        (&["request", "--channel", "email", "--from", "+15551234567"], 2, "agent-otp: "),
    ];
    for (arguments, code, said) in table {
        let (verb, options) = arguments.split_first().unwrap();
        let mut process = match *verb {
            "request" => place.start_request(options),
            _ => place.start(arguments),
        };
        let ended = process.ended().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(said), "{arguments:?}: {ended:?}");
        assert!(!ended.stderr.contains('\u{1b}'), "{arguments:?}: {ended:?}");
    }
    assert!(place.events().await.is_empty());
}

#[tokio::test]
async fn where_nothing_runs_it_says_how_to_start() {
    let place = Place::new();
    for mut process in [
        place.start_request(&[]),
        place.start(&["pending"]),
        place.start(&["approve", UNKNOWN]),
        place.start(&["deny", UNKNOWN]),
    ] {
        let ended = process.ended().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(14), ""), "{ended:?}");
        assert!(ended.stderr.contains("start one with `agent-otp up`"), "{ended:?}");
    }
    let ended = place.start_request(&["--json"]).ended().await;
    assert_eq!((ended.code, ended.json()["state"].as_str()), (Some(14), Some("unavailable")));
    let ended = place.agent_otp(&["audit", "list"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("`agent-otp up` writes one while it runs"), "{ended:?}");
}

#[tokio::test]
async fn mail_without_proof_is_not_used_unless_the_user_said_otherwise() {
    let place = Place::new();
    let _up = place.up_with(&[]).await;
    let answer = place.offer_mail("noreply@github.com", "Your code is 482913.").await.unwrap();
    let said = answer.message().collect::<String>();
    assert!(said.starts_with("2.0.0 not used: the sender of this mail is not proven"), "{said}");
}

#[tokio::test]
async fn malformed_and_oversized_mail_is_refused_and_the_next_one_is_taken() {
    let place = Place::new();
    let _up = place.up().await;
    let mut asked = place.request(&[]).await;
    place.approve(&asked.id).await;
    let open = "EHLO a\r\nMAIL FROM:<a@github.com>\r\nRCPT TO:<me@example.org>\r\n";
    let content = |content: &str| format!("{open}DATA\r\n{content}\r\n.\r\nQUIT\r\n").into_bytes();
    let table: [(Vec<u8>, &str); 8] = [
        (b"\0\xff\xfe garbage\r\nQUIT\r\n".to_vec(), "500 "),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "421 4.7.0 this is no web server"),
        (format!("{}\r\nQUIT\r\n", "A".repeat(100_000)).into_bytes(), "500 5.5.2 line too long"),
        (b"EHLO a\r\nMAIL FROM:<a@github.com> SIZE=99999999\r\nQUIT\r\n".to_vec(), "552 5.3.4"),
        (b"EHLO a\r\nDATA\r\nQUIT\r\n".to_vec(), "503 5.5.1"),
        (content(&"x".repeat(11 << 20)), "552 5.3.4"),
        (content("no header at all"), "250 2.0.0 not used: "),
        (content("From: <<>>,;\r\n\r\nYour code is 111111"), "250 2.0.0 not used: "),
    ];
    for (bytes, said) in table {
        let heard = place.smtp(&bytes).await;
        let shown = String::from_utf8_lossy(bytes.get(..bytes.len().min(120)).unwrap());
        assert!(heard.iter().any(|line| line.starts_with(said)), "{shown}: {heard:?}");
    }
    place.mail("noreply@github.com", "Your GitHub verification code is 482913.").await;
    assert_eq!(asked.ended().await.well().stdout, "482913\n");
}

#[tokio::test]
async fn a_malformed_command_is_answered_with_an_error_and_the_relay_goes_on() {
    let place = Place::new();
    let _up = place.up().await;
    let owner = place.run().owner;
    let wire = place.wire("agent:shopper").await;
    let shopper = Shopper::of(&place).await;
    let (key, statement) = shopper.request().await;
    let get = Ask::Get { agent: "shopper".parse::<MemberId>().unwrap(), request: key.request };
    let whole = agent_otp_domain::codec::encode(&get);
    let bodies: [(&str, Vec<u8>); 6] = [
        ("nothing", Vec::new()),
        ("garbage", b"\xc1\xff\0not a message".to_vec()),
        ("cut off", whole.get(..whole.len() - 3).unwrap().to_vec()),
        ("followed by more", [whole.clone(), vec![0]].concat()),
        ("another verb's", whole.clone()),
        ("too large", vec![b'x'; 100 * 1024]),
    ];
    for verb in ["request", "consume", "cancel", "roster"] {
        for (what, body) in &bodies {
            let subject = format!("otp.v1.cmd.{owner}.agent.shopper.{verb}");
            let request = wire.client.request_with_headers(subject, HeaderMap::new(), body.clone().into());
            let answer =
                within("an answer", request).await.unwrap_or_else(|error| panic!("{verb} {what}: {error}"));
            let headers = answer.headers.unwrap_or_default();
            assert!(headers.get("Nats-Service-Error").is_some(), "{verb} {what}");
            assert_eq!(
                headers.get("Nats-Service-Error-Code").map(async_nats::HeaderValue::as_str),
                Some("400"),
                "{verb} {what}"
            );
        }
    }
    shopper.bus().call(&Ask::Request { statement }).await.unwrap();
    assert_eq!(place.events().await.len(), 1);
}

#[tokio::test]
async fn a_statement_that_was_altered_is_refused_and_nothing_is_stored() {
    let place = Place::new();
    let _up = place.up().await;
    let shopper = Shopper::of(&place).await;
    let (_, whole) = shopper.request().await;
    let (_, other) = shopper.request().await;
    let mut bent = whole.clone();
    bent.signature[0] ^= 1;
    let mut rewritten = whole.clone();
    let last = rewritten.payload.len() - 1;
    rewritten.payload[last] ^= 1;
    let mut swapped = whole.clone();
    swapped.signature = other.signature;
    let mut foreign = whole.clone();
    foreign.key = "a".repeat(32).parse().unwrap();
    let mut renamed = whole.clone();
    renamed.payload_type = "application/vnd.agent-otp.cancel.v1+msgpack".to_owned();
    for statement in [bent, rewritten, swapped, foreign, renamed] {
        let refused = shopper.bus().call(&Ask::Request { statement }).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(RefusalCode::Untrusted), "{refused}");
    }
    assert!(place.log().await.is_empty());
    assert!(place.pending().await.is_empty());
    shopper.bus().call(&Ask::Request { statement: whole }).await.unwrap();
    assert_eq!(place.log().await.len(), 1);
}
