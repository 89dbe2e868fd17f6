//! Seeds that the project's own encoders write, always the same, and mails and texts of its own corpus.

use std::fs;

use agent_otp_domain::{
    Actor, Channel, Channels, Digest, Event, EventId, Filter, Recorded, Role, SealedCode, SignedStatement,
    Timestamp, Version, Wanted, codec,
};
use agent_otp_jetstream::message::{Ask, OpenRequest, RefusalCode, Reply, Sealed};
use agent_otp_jetstream::{Kept, Timer};
use agent_otp_keyring::Pin;
use agent_otp_tests::outside::Family;
use agent_otp_tests::root;
use agent_otp_trust::{
    Cancel, Capture, Checkpoint, Consume, Decision, Evidence, IdentityKey, Nonce, Recipient, Request,
    RosterRef, Seen, SenderCheck, Statement, Verdict,
};
use agent_otp_user::{Offer, Record};

/// The reader, the seed's name, the seed.
type Seed = (&'static str, String, Vec<u8>);

pub(crate) fn seeds() -> Vec<Seed> {
    [
        messages(),
        statements(),
        rosters(),
        sealed(),
        smtp(),
        mailboxes(),
        mails(),
        texts(),
        webhooks(),
        kept(),
        names(),
    ]
    .concat()
}

fn messages() -> Vec<Seed> {
    let said = Said::new();
    let events: Vec<Vec<u8>> = said.events().iter().map(codec::encode).collect();
    let key = said.family.heading(Family::AGENT).key();
    let sealed = || Sealed(SealedCode::new(vec![7; 304]));
    let statement = |signed: &SignedStatement| signed.clone();
    let messages: Vec<(&str, Vec<u8>)> = vec![
        ("ask_request", codec::encode(&Ask::Request { statement: statement(&said.request) })),
        (
            "ask_capture",
            codec::encode(&Ask::Capture { statement: statement(&said.capture), sealed: sealed() }),
        ),
        ("ask_consume", codec::encode(&Ask::Consume { statement: statement(&said.consume), nonce: [5; 16] })),
        ("ask_get", codec::encode(&Ask::Get { agent: key.agent.clone(), request: key.request })),
        ("ask_open", codec::encode(&Ask::Open { from: Some(257) })),
        ("ask_roster", codec::encode(&Ask::Roster { number: None })),
        ("ask_enrol", codec::encode(&Ask::Enrol { statement: statement(&said.roster) })),
        ("reply_done", codec::encode(&Reply::Done { phase: "approved".to_owned(), version: Version(2) })),
        ("reply_code", codec::encode(&Reply::Code { sealed: sealed() })),
        (
            "reply_events",
            codec::encode(&Reply::Events {
                events: events.iter().cloned().map(Into::into).collect(),
                now: Some(at(30)),
            }),
        ),
        (
            "reply_open",
            codec::encode(&Reply::Open {
                requests: vec![OpenRequest { agent: key.agent.clone(), request: key.request }],
                next: Some(9),
            }),
        ),
        (
            "reply_refused",
            codec::encode(&Reply::Refused { code: RefusalCode::OutOfTurn, message: "too late".to_owned() }),
        ),
        (
            "timer",
            codec::encode(&Timer {
                owner: key.owner.clone(),
                agent: key.agent.clone(),
                request: key.request,
                expires_at: at(300),
            }),
        ),
        ("kept", codec::encode(&Kept { sealed: sealed() })),
        ("statement", codec::encode(&said.request)),
        ("event", events.concat()),
        (
            "stream",
            [
                events.join(&b'\n'),
                b"\n+ACK\n{\"stream\":\"OTP\",\"seq\":7}\nrubbish\n".to_vec(),
                events.concat(),
            ]
            .concat(),
        ),
    ];
    messages.into_iter().map(|(name, bytes)| seed("messages", name, bytes)).collect()
}

fn statements() -> Vec<Seed> {
    let said = Said::new();
    let payloads = [&said.request, &said.approval, &said.denial, &said.capture, &said.consume, &said.cancel];
    let names = ["request", "approval", "denial", "capture", "consume", "cancel"];
    let kinds = [0, 1, 1, 2, 3, 4];
    let mut seeds: Vec<Seed> = names
        .into_iter()
        .zip(kinds)
        .zip(payloads)
        .map(|((name, kind), signed)| seed("statements", name, [&[kind], signed.payload.as_slice()].concat()))
        .collect();
    let full = codec::encode(&said.full_request());
    seeds.push(seed("statements", "request_in_full", [&[0], full.as_slice()].concat()));
    seeds
}

fn rosters() -> Vec<Seed> {
    let first = Family::first_roster();
    let next = first.renewed(Digest::of(&[b"first"]), at(60));
    vec![
        seed("rosters", "first", [&[255], codec::encode(&first).as_slice()].concat()),
        seed("rosters", "next", [&[255], codec::encode(&next).as_slice()].concat()),
        seed("rosters", "chain", [[1, 99, 0, 0], [2, 0, 0, 1], [3, 1, 0, 1]].concat()),
        seed(
            "rosters",
            "fork",
            [[1, 99, 0, 0], [2, 0, 0, 1], [2, 0, 9, 1], [1, 99, 5, 1], [4, 1, 0, 0]].concat(),
        ),
        seed("rosters", "backwards", [[1, 99, 0, 0], [2, 0, 0, 0], [4, 9, 0, 0], [1, 99, 0, 1]].concat()),
    ]
}

fn sealed() -> Vec<Seed> {
    vec![
        seed("sealed", "random", [&[0_u8], [7; 304].as_slice()].concat()),
        seed("sealed", "changed", [[2_u8].as_slice(), &[0; 40], &[1]].concat()),
        seed("sealed", "highest_bit", [[2_u8].as_slice(), &[0; 31], &[0x80]].concat()),
        seed("sealed", "same", vec![2]),
        seed("sealed", "plaintext", [&[4_u8, 0, 6], b"482913".as_slice()].concat()),
        seed("sealed", "plaintext_of_a_link", [&[5_u8, 0, 20], b"https://acme.example".as_slice()].concat()),
        seed("sealed", "recipient", [&[6_u8], [9; 32].as_slice()].concat()),
        seed("sealed", "recipient_of_low_order", [&[6_u8], [0; 32].as_slice()].concat()),
    ]
}

/// What IMAP servers say to a client that numbers its commands from A1 on.
fn mailboxes() -> Vec<Seed> {
    let mail = "From: Acme <no-reply@acme.example>\r\nSubject: Sign in\r\n\r\nYour code is 482913.\r\n";
    let known = "* OK ready\r\n* CAPABILITY IMAP4rev1 IDLE\r\nA1 OK done\r\nA2 OK logged in\r\n\
                 * CAPABILITY IMAP4rev1 IDLE\r\nA3 OK done\r\n";
    let opened = "* FLAGS (\\Seen)\r\n* 1 EXISTS\r\n* OK [UIDVALIDITY 9] valid\r\n* OK [UIDNEXT 8] next\r\n\
                  A4 OK [READ-ONLY] opened\r\n";
    let listed =
        "* 1 FETCH (UID 7 INTERNALDATE \"31-Jan-2026 12:00:00 +0000\" RFC822.SIZE 90)\r\nA5 OK fetched\r\n";
    let fetched =
        format!("* 1 FETCH (UID 7 BODY[] {{{}}}\r\n{mail})\r\nA6 OK fetched\r\nA7 OK over\r\n", mail.len());
    [
        ("a_mail", format!("{known}{opened}{listed}{fetched}")),
        ("an_empty_folder", format!("{known}{}", opened.replace("1 EXISTS", "0 EXISTS"))),
        (
            "a_login_that_is_refused",
            "* OK ready\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nA1 OK done\r\n+ \r\n\
             A2 NO [AUTHENTICATIONFAILED] Invalid credentials\r\n"
                .to_owned(),
        ),
        (
            "a_literal_that_never_ends",
            format!("{known}{opened}{listed}* 1 FETCH (UID 7 BODY[] {{9999999}}\r\nFrom"),
        ),
        ("a_farewell", "* BYE too many connections\r\n".to_owned()),
    ]
    .map(|(name, said)| seed("imap", name, said.into_bytes()))
    .to_vec()
}

fn smtp() -> Vec<Seed> {
    let mail = "From: Acme <a@acme.example>\r\nSubject: Sign in\r\n\r\nYour code is 482913.\r\n";
    let begin = "MAIL FROM:<a@acme.example> SIZE=200 BODY=8BITMIME\r\nRCPT TO:<otp@localhost>\r\nDATA\r\n";
    [
        ("pipelined", format!("EHLO laptop\r\n{begin}{mail}.\r\nQUIT\r\n")),
        ("two_mails", format!("HELO laptop\r\n{begin}{mail}.\r\n{begin}..{mail}.\r\n.\r\n")),
        (
            "out_of_order",
            "DATA\r\nRCPT TO:<a@b.example>\r\nRSET\r\nNOOP\r\nVRFY a\r\nHELP\r\nSTARTTLS\r\n".to_owned(),
        ),
        ("bare_line_feeds", format!("EHLO laptop\n{begin}a\nb\r.\n.\r\nc\r\n.\r\n")),
        ("a_web_request", "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nEHLO laptop\r\n".to_owned()),
        (
            "a_utf_8_sender",
            "EHLO [IPv6:::1]\r\nMAIL FROM:<jürgen@bücher.example> SMTPUTF8\r\nMAIL FROM:<>\r\n".to_owned(),
        ),
    ]
    .into_iter()
    .map(|(name, session)| seed("smtp", name, session.into_bytes()))
    .collect()
}

/// The shorter ones of the corpus, which together use most of what mails are made of.
fn mails() -> Vec<Seed> {
    let names = [
        "003_alternative_empty_text",
        "004_html_only_qp",
        "021_flowed",
        "024_forward_rfc822_attached",
        "027_reply_old_code_quoted",
        "032_missing_final_boundary",
        "034_bad_base64",
        "038_subject_rfc2047_split",
        "046_html_hidden_decoy",
        "056_html_malformed_tags",
        "058_link_and_code",
    ];
    let mail = |name: &str| fs::read(root().join(format!("crates/user/tests/data/eml/{name}.eml"))).unwrap();
    let html = [
        (
            "table",
            "<table><tr><td>4</td><td>8</td><td>2</td><td>9</td></tr></table><p>Your code is <b>482&nbsp;913</b>",
        ),
        (
            "style",
            "<style>.a{display:none}#b{font-size:0}</style><p class=a>111111<p id=b>222222<p style='color:#fff'>&#52;82913",
        ),
        (
            "link",
            "<a href='https://login.acme.example/verify?token=abcdef123456'>Sign in to acme.example</a>",
        ),
        (
            "hidden",
            "<div hidden>1</div><template>2</template><!-- 3 --><select><option>4<svg><title>5</title></svg>",
        ),
    ];
    let mails = names.into_iter().map(|name| seed("mail", name, mail(name)));
    let mails = mails.chain(names.into_iter().take(4).map(|name| seed("mail_with_code", name, mail(name))));
    mails.chain(html.map(|(name, html)| seed("html", name, html.as_bytes().to_vec()))).collect()
}

fn texts() -> Vec<Seed> {
    [
        ("plain", "\u{5}Your Acme code is 482913. Do not share it."),
        ("shaped", "\u{0}G-482913 is your Google verification code."),
        ("origin_bound", "\u{1}Your Acme code is 482913.\n\n@login.acme.example #482913"),
        ("spaced", "\u{0}Your code: 482 913, valid for 10 minutes. Order 12345678."),
        ("letters", "\u{3}Ihr Bestätigungscode lautet: R7K-2M"),
        ("full_width", "\u{5}認証コード：４８２９１３"),
        ("link", "\u{5}Sign in: https://login.acme.example/verify?token=abcdef123456."),
        ("two", "\u{0}Code 1: 482913\nCode 2: 550192"),
    ]
    .into_iter()
    .map(|(name, text)| seed("extract", name, text.as_bytes().to_vec()))
    .collect()
}

fn webhooks() -> Vec<Seed> {
    let event = r#"{"event":"sms:received","id":"1","payload":{"message":"Your code is 482913","sender":"GitHub","receivedAt":"2026-01-31T12:00:00.000+01:00"}}"#;
    let older = r#"{"event":"sms:received","id":"2","payload":{"message":"482913","phoneNumber":"+15551234567","receivedAt":"2026-01-31T12:00:00Z"}}"#;
    let other = r#"{"event":"system:ping","id":"3","payload":{}}"#;
    let form = "MessageSid=SM1&NumMedia=0&From=%2B15551234567&Body=Your+code+is+482913";
    let status = "MessageSid=SM1&MessageStatus=sent&From=22395&Body=%E4%BD%A0";
    let whole =
        "POST /sms HTTP/1.1\r\nHost: a\r\nX-Signature: 00\r\nX-Timestamp: 1\r\nContent-Length: 2\r\n\r\n{}";
    let chunked = "POST /sms?a=1 HTTP/1.1\r\nHost: a\r\nX-Twilio-Signature: AA==\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let get = "GET /sms HTTP/1.0\r\nExpect: 100-continue\r\n\r\n";
    let incoming = r#"{"from":"GitHub","text":"Your code is 482913","sentStamp":1769860800000}"#;
    let legacy = r#"{"msisdn":"447700900001","messageId":"1","text":"482913","type":"text","timestamp":"1","sig":"00"}"#;
    let topic = r#"{"Type":"Notification","MessageId":"1","TopicArn":"arn:aws:sns:eu-west-1:1:a","Message":"{}","Timestamp":"2026-01-31T12:00:00Z","SignatureVersion":"2","SigningCertURL":"https://sns.eu-west-1.amazonaws.com/a/b.pem","Signature":"AA=="}"#;
    let post = |headers: &str, body: &str| {
        format!("POST /sms HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let legacy = post("", legacy);
    let topic = post("x-amz-sns-message-type: Notification\r\n", topic);
    let token = post("Authorization: Bearer e30.e30.AA\r\nX-Event-Type: a\r\n", "{}");
    let signless = post(
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "from=GitHub&content=482913&timestamp=1&sign=AA%253D",
    );
    [
        ("phone_that_signs_nothing", 3, incoming),
        ("vonage_sms", 0, legacy.as_str()),
        ("aws_sns", 0, topic.as_str()),
        ("json_web_token", 0, token.as_str()),
        ("smsforwarder", 0, signless.as_str()),
        ("phone", 1, event),
        ("older_phone", 1, older),
        ("phone_other_event", 1, other),
        ("twilio", 2, form),
        ("twilio_status", 2, status),
        ("unsigned", 0, whole),
        ("chunked", 0, chunked),
        ("get", 0, get),
    ]
    .into_iter()
    .map(|(name, what, rest)| seed("sms_webhook", name, [&[what], rest.as_bytes()].concat()))
    .collect()
}

fn kept() -> Vec<Seed> {
    let said = Said::new();
    let RosterRef { number, digest } = said.family.roster;
    let roster = Some(Seen { number, digest, succession: None });
    let pin = Pin { owner_key: key(Family::OWNER).id(), roster };
    let offer = Offer::new(said.capture.clone(), SealedCode::new(vec![7; 304]));
    let heading = said.family.heading(Family::CAPTURER);
    let record = |decision: &[u8]| {
        codec::encode(&Record::new(Digest::of(&[decision]), &heading.key(), at(300), offer.clone()))
    };
    let line = b"agent-otp-identity-v1 BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc\n";
    vec![
        seed("kept_files", "identity", [&[0], line.as_slice()].concat()),
        seed("kept_files", "pin", [&[1], serde_json::to_string_pretty(&pin).unwrap().as_bytes()].concat()),
        seed("kept_files", "spent", [&[2], record(b"decision").as_slice()].concat()),
        seed("kept_files", "spent_under_another_name", [&[2], record(b"another").as_slice()].concat()),
    ]
}

fn names() -> Vec<Seed> {
    let texts = [
        "github.com",
        "noreply@github.com",
        "+15551234567",
        "22395",
        "GitHub",
        "alnum:4-10",
        "(?i)sign.{0,9}in",
        "2026-01-31T12:00:00.120Z",
        "1m 30s",
        "email",
        "019c13e6-2c00-7707-8707-070707070707",
        "a\u{202e}b\u{1b}[2J",
        "xn--mnchen-3ya.de",
        "bbc.co.uk",
    ];
    let filter = codec::encode(&Said::new().full_request().filter);
    let mut seeds: Vec<Seed> = texts
        .into_iter()
        .enumerate()
        .map(|(number, text)| seed("names", &format!("{number:02}"), text.as_bytes().to_vec()))
        .collect();
    seeds.push(seed("names", "filter", filter));
    seeds
}

/// One signed statement of each kind, about one request.
struct Said {
    family: Family,
    roster: SignedStatement,
    request: SignedStatement,
    approval: SignedStatement,
    denial: SignedStatement,
    capture: SignedStatement,
    consume: SignedStatement,
    cancel: SignedStatement,
}

impl Said {
    fn new() -> Self {
        let family = Family::new();
        let request = sign(Family::AGENT, &request(&family));
        let decision = |verdict| Decision {
            heading: family.heading(Family::APPROVER),
            request: request.digest(),
            verdict,
            nonce: Nonce::new([6; 16]),
            expires_at: at(300),
        };
        let capturers = vec![key(Family::CAPTURER).id()];
        let approval = sign(Family::APPROVER, &decision(Verdict::Approve { capturers, narrowing: None }));
        let capture = Capture {
            heading: family.heading(Family::CAPTURER),
            request: request.digest(),
            decision: approval.digest(),
            sealed: Digest::of(&[b"a sealed code"]),
            evidence: Evidence {
                channel: Channel::Email,
                source: "smtp".to_owned(),
                sender: SenderCheck::Unverified,
                received_at: at(20),
                purpose: None,
            },
        };
        let capture = sign(Family::CAPTURER, &capture);
        let heading = || family.heading(Family::AGENT);
        let claim = Nonce::new([5; 16]).digest();
        Self {
            roster: key(Family::OWNER).sign_roster(&Family::first_roster()),
            denial: sign(Family::APPROVER, &decision(Verdict::Deny {})),
            consume: sign(Family::AGENT, &Consume { heading: heading(), capture: capture.digest(), claim }),
            cancel: sign(Family::AGENT, &Cancel { heading: heading(), request: request.digest() }),
            request,
            approval,
            capture,
            family,
        }
    }

    /// A request in which every optional field is there.
    fn full_request(&self) -> Request {
        let mut request = request(&self.family);
        request.heading.checkpoint = Some(Checkpoint { size: 7, root: Digest::of(&[b"root"]) });
        request.filter.content = "(?i)sign.{0,9}in".parse().ok();
        request.filter.purpose = "sign-in".parse().ok();
        request
    }

    fn events(&self) -> [Recorded; 4] {
        let capturers = vec![key(Family::CAPTURER).id()];
        let events = [
            Event::Requested { statement: self.request.clone(), expires_at: at(300) },
            Event::Approved { statement: self.approval.clone(), expires_at: at(300), capturers },
            Event::Captured { statement: self.capture.clone(), sealed: Digest::of(&[b"a sealed code"]) },
            Event::Denied { statement: self.denial.clone() },
        ];
        let heading = self.family.heading(Family::AGENT);
        let mut version = Version(0);
        events.map(|event| {
            version = version.next();
            Recorded {
                id: EventId::new([9; 16]),
                owner: heading.owner.clone(),
                agent: heading.agent.clone(),
                request: heading.request,
                version,
                time: at(i64::try_from(version.0).unwrap()),
                actor: Actor { role: Role::Agent, member: heading.agent.clone() },
                event,
            }
        })
    }
}

fn request(family: &Family) -> Request {
    let filter = Filter {
        channels: Channels::Email,
        sender: "github.com".parse().unwrap(),
        content: None,
        shape: "digits:6".parse().ok(),
        wanted: Wanted::Code,
        purpose: None,
    };
    Request {
        heading: family.heading(Family::AGENT),
        reason: "sign in to GitHub".parse().unwrap(),
        filter,
        recipient: Recipient { suite: 1, public_key: vec![8; 32] },
        expires_at: at(300),
    }
}

fn sign<S: Statement>(seed: u8, statement: &S) -> SignedStatement {
    key(seed).sign(statement)
}

fn key(seed: u8) -> IdentityKey {
    IdentityKey::from_seed(&[seed; 32].into())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_769_860_800_000 + seconds * 1_000)
}

fn seed(reader: &'static str, name: &str, bytes: Vec<u8>) -> Seed {
    (reader, name.to_owned(), bytes)
}
