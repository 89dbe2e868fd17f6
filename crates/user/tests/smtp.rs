//! The SMTP listener, over real connections: with a mail program's own client, and octet by octet.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
#![expect(clippy::indexing_slicing, reason = "a reply begins with three digits")]

use std::net::SocketAddr;
use std::time::Duration;

use agent_otp_domain::{Channel, ContentPattern, Sender};
use agent_otp_user::mail::authentication::{Authenticator, Dns};
use agent_otp_user::source::smtp::Smtp;
use agent_otp_user::source::{Source, SourceError};
use agent_otp_user::{Intake, Message, Received, Unverified};
use lettre::address::Envelope;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, timeout};
use tokio_util::sync::CancellationToken;

/// The largest mail, as the answer to EHLO says.
const MAIL_MAX: usize = 10 * 1024 * 1024;

/// A mail with a code.
const MAIL: &str = "From: Acme <no-reply@acme.example>\r\nSubject: Sign in\r\n\r\nYour code is 482913.\r\n";

/// How a peer begins a session.
const HELLO: &str = "EHLO laptop.example\r\n";

/// How a peer begins a mail.
const BEGIN: &str = "MAIL FROM:<bounce@acme.example>\r\nRCPT TO:<otp@localhost>\r\nDATA\r\n";

/// The replies to the connection, to [`HELLO`], and to [`BEGIN`].
const BEGUN: &str = "220 250 250 250 354";

#[tokio::test]
async fn a_mail_program_delivers_one_mail_after_another() {
    let listener = Listener::start().await;
    let mail_program = listener.mail_program();
    let bodies =
        ["Your code is 482913.", ".\r\n..\r\n.482913\r\n", "Ihr Bestätigungscode für Bücher: 482913"];
    for body in bodies {
        let mail = lettre::Message::builder()
            .from("Acme <no-reply@acme.example>".parse().unwrap())
            .to("otp@localhost".parse().unwrap())
            .subject("Sign in")
            .body(body.to_owned())
            .unwrap();
        let response = mail_program.send(mail).await.unwrap();
        assert_eq!(response.code().to_string(), "250", "{body}");
    }
    let messages = listener.stop().await;
    let patterns =
        [r"^Your code is 482913\.\s*$", r"^\.\s+\.\.\s+\.482913\s*$", "Bestätigungscode für Bücher: 482913"];
    assert_eq!(messages.len(), patterns.len());
    for (message, pattern) in messages.iter().zip(patterns) {
        assert!(says(message, pattern), "{pattern}");
        assert!(is_from_acme(message));
        assert_eq!((message.channel, message.source), (Channel::Email, "smtp"));
        assert_eq!(message.text.subject(), "Sign in");
    }
}

#[tokio::test]
async fn a_bounce_for_many_recipients_is_taken_from_a_mail_program() {
    let listener = Listener::start().await;
    let recipients = (0..100).map(|number| format!("otp+{number}@localhost").parse().unwrap()).collect();
    let envelope = Envelope::new(None, recipients).unwrap();
    let response = listener.mail_program().send_raw(&envelope, MAIL.as_bytes()).await.unwrap();
    assert_eq!(response.code().to_string(), "250");
    assert_eq!(listener.stop().await.len(), 1, "one mail is one message, however many it is for");
}

#[tokio::test]
async fn mails_are_taken_however_many_come_in_one_segment() {
    let messages = answers(&[
        (format!("{HELLO}{BEGIN}{MAIL}.\r\nQUIT\r\n"), format!("{BEGUN} 250 221")),
        (format!("HELO laptop\r\n{BEGIN}{MAIL}.\r\nQUIT\r\n"), format!("{BEGUN} 250 221")),
        (format!("{HELLO}{BEGIN}{MAIL}.\r\n{BEGIN}{MAIL}.\r\n"), format!("{BEGUN} 250 250 250 354 250")),
        (
            format!("{HELLO}MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\n"),
            "220 250 250 250 250".to_owned(),
        ),
    ])
    .await;
    assert_eq!(messages.len(), 4);
    assert!(messages.iter().all(|message| is_from_acme(message) && says(message, "482913")));
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written() {
    let messages = answers(&[
        // Dots are doubled for the transfer alone (RFC 5321 §4.5.2); NUL and 8 bits are the mail's own.
        (format!("{HELLO}{BEGIN}{MAIL}..\r\n...\r\n.a\r\n.\r\nQUIT\r\n"), format!("{BEGUN} 250 221")),
        (format!("{HELLO}{BEGIN}{MAIL}\0ü\r\n.\r\nQUIT\r\n"), format!("{BEGUN} 250 221")),
    ])
    .await;
    let [dotted, odd] = &messages[..] else { panic!("{} messages", messages.len()) };
    assert!(says(dotted, r"482913\.\s+\.\s+\.\.\s+a\s*$"));
    assert!(says(odd, "482913") && says(odd, "ü"));
}

#[tokio::test]
async fn mail_whose_sender_nobody_vouches_for_is_not_used_unless_the_user_accepts_it() {
    let listener = Listener::start_with(Unverified::Refuse).await;
    let reply = listener.deliver(MAIL).await;
    assert_eq!(
        reply,
        "250 2.0.0 not used: the sender of this mail is not proven: it bears no signature of its sender's domain\r\n"
    );
    assert_eq!(listener.stop().await.len(), 0);
}

#[tokio::test]
async fn mail_without_exactly_one_sender_is_not_used() {
    let listener = Listener::start().await;
    for (mail, reply) in [
        ("Subject: Sign in\r\n\r\nYour code is 482913.\r\n", "the mail names no sender"),
        (
            "From: a@acme.example\r\nFrom: b@acme.example\r\n\r\nYour code is 482913.\r\n",
            "the mail names more than one sender",
        ),
        (
            "From: a@acme.example, b@acme.example\r\n\r\nYour code is 482913.\r\n",
            "the mail names more than one sender",
        ),
        ("From: <a@bücher.example>\r\n\r\nYour code is 482913.\r\n", "its sender is no address"),
    ] {
        let expected = format!("250 2.0.0 not used: the message cannot be read: {reply}\r\n");
        assert_eq!(listener.deliver(mail).await, expected, "{mail}");
    }
    assert_eq!(listener.stop().await.len(), 0);
}

#[tokio::test]
async fn mail_is_put_off_while_too_much_of_it_waits_and_taken_afterwards() {
    let mut listener = Listener::start().await;
    for _ in 0..64 {
        assert!(listener.deliver(MAIL).await.starts_with("250 "));
    }
    assert_eq!(listener.deliver(MAIL).await, "451 4.3.2 too many messages are waiting; try again\r\n");
    assert!(listener.received.try_recv().is_ok());
    assert!(listener.deliver(MAIL).await.starts_with("250 "));
    assert_eq!(listener.stop().await.len(), 64);
}

#[tokio::test]
async fn no_mail_carries_a_second_one() {
    let smuggled = [
        "\n.\n",
        "\n.\r\n",
        "\n.\r",
        "\r.\r",
        "\r.\r\n",
        "\r.\n",
        "\r\n.\n",
        "\r\n.\r",
        "\r\n.\r\r\n",
        "\r\n.\0\r\n",
    ]
    .map(|end| (format!("{HELLO}{BEGIN}{MAIL}x{end}{BEGIN}{MAIL}.\r\nQUIT\r\n"), format!("{BEGUN} 250 221")));
    let messages = answers(&smuggled).await;
    assert_eq!(messages.len(), 10);
    assert!(messages.iter().all(is_from_acme));
}

#[tokio::test]
async fn a_command_out_of_order_is_told_so_and_changes_nothing() {
    answers(&[
        (BEGIN.to_owned(), "220 503 503 503".to_owned()),
        (format!("RSET\r\n{BEGIN}"), "220 250 503 503 503".to_owned()),
        (format!("{HELLO}RCPT TO:<a@b>\r\nDATA\r\n"), "220 250 503 503".to_owned()),
        (format!("{HELLO}MAIL FROM:<>\r\nDATA\r\nRCPT TO:<a@b>\r\n"), "220 250 250 503 250".to_owned()),
        (
            format!("{HELLO}MAIL FROM:<>\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\n"),
            "220 250 250 503 250".to_owned(),
        ),
        (
            format!("{HELLO}MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRSET\r\nDATA\r\n"),
            "220 250 250 250 250 503".to_owned(),
        ),
        (format!("{HELLO}MAIL FROM:<>\r\n{HELLO}RCPT TO:<a@b>\r\n"), "220 250 250 250 503".to_owned()),
        (format!("{HELLO}{BEGIN}{MAIL}.\r\nDATA\r\n"), format!("{BEGUN} 250 503")),
    ])
    .await;
}

#[tokio::test]
async fn what_is_not_offered_is_refused_and_the_session_goes_on() {
    let crowd = "RCPT TO:<otp@localhost>\r\n".repeat(101);
    answers(&[
        ("NOOP\r\nVRFY otp\r\nHELP\r\nQUIT\r\n".to_owned(), "220 250 252 214 221".to_owned()),
        (
            format!("{HELLO}STARTTLS\r\nAUTH PLAIN\r\nBDAT 1 LAST\r\nNOOP\r\n"),
            "220 250 502 502 502 250".to_owned(),
        ),
        (format!("{HELLO}MAIL FROM:<> SIZE=10485761\r\nMAIL FROM:<>\r\n"), "220 250 552 250".to_owned()),
        (
            format!("{HELLO}MAIL FROM:<>\r\n{crowd}NOOP\r\n"),
            format!("220 250 250{} 452 250", " 250".repeat(100)),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_bad_line_is_told_apart_from_the_next_until_there_are_too_many() {
    let long = "x".repeat(3_000);
    answers(&[
        (format!("{long}\r\nNOOP\r\n"), "220 500 250".to_owned()),
        ("NO\0OP\r\nNOOP\n\r\nNO\rOP\r\nNOOP\r\n".to_owned(), "220 500 500 500 500 250".to_owned()),
        ("WHAT\r\n".repeat(12), format!("220{} 421", " 500".repeat(10))),
        (format!("POST / HTTP/1.1\r\n\r\n{HELLO}{BEGIN}{MAIL}.\r\n"), "220 421".to_owned()),
    ])
    .await;
}

#[tokio::test]
async fn what_is_not_complete_is_not_taken() {
    let messages = answers(&[
        (String::new(), "220".to_owned()),
        (format!("{HELLO}NOO"), "220 250".to_owned()),
        (format!("{HELLO}{BEGIN}{MAIL}"), BEGUN.to_owned()),
        (format!("{HELLO}{BEGIN}{MAIL}.\r"), BEGUN.to_owned()),
    ])
    .await;
    assert_eq!(messages.len(), 0);
}

#[tokio::test]
async fn ehlo_lists_what_is_offered_and_helo_does_not() {
    let listener = Listener::start().await;
    let mut peer = Peer::connect(listener.address).await;
    peer.reply().await;
    peer.send(HELLO).await;
    let extensions = "250-agent-otp\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                      250 ENHANCEDSTATUSCODES\r\n";
    assert_eq!(peer.reply().await, extensions);
    peer.send("HELO laptop.example\r\n").await;
    assert_eq!(peer.reply().await, "250 agent-otp\r\n");
    listener.stop().await;
}

#[tokio::test]
async fn a_mail_that_is_too_large_is_refused_at_its_end_and_the_next_is_taken() {
    let large = "x".repeat(MAIL_MAX);
    let sent = format!("{HELLO}{BEGIN}{large}\r\n.\r\n{BEGIN}{MAIL}.\r\nQUIT\r\n");
    answers(&[(sent, format!("{BEGUN} 552 250 250 354 250 221"))]).await;
}

#[tokio::test]
async fn a_peer_beyond_the_limit_is_told_to_come_back_and_may() {
    let listener = Listener::start().await;
    let mut peers = Vec::new();
    for _ in 0..64 {
        let mut peer = Peer::connect(listener.address).await;
        assert_eq!(peer.code().await, "220");
        peers.push(peer);
    }
    assert_eq!(Peer::connect(listener.address).await.codes_to_the_end().await, "421");

    let mut leaving = peers.pop().unwrap();
    leaving.send("QUIT\r\n").await;
    assert_eq!(leaving.codes_to_the_end().await, "221");
    drop(leaving);
    // The place is free once the listener has seen the peer close, which nothing announces.
    let served = async { while Peer::connect(listener.address).await.code().await == "421" {} };
    timeout(Duration::from_secs(30), served).await.unwrap();
    listener.stop().await;
}

#[tokio::test]
async fn a_peer_that_vanishes_leaves_the_listener_serving() {
    let listener = Listener::start().await;
    for sent in ["", "EHLO lap", "EHLO laptop\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\nFrom: a"] {
        // With the greeting unread, closing resets the connection.
        Peer::connect(listener.address).await.send(sent).await;
    }
    let mut peer = Peer::connect(listener.address).await;
    peer.send("QUIT\r\n").await;
    assert_eq!(peer.codes_to_the_end().await, "220 221");
    listener.stop().await;
}

#[tokio::test]
async fn a_listener_that_stops_says_so_to_every_peer_and_frees_its_port() {
    let listener = Listener::start().await;
    let address = listener.address;
    let mut idle = Peer::connect(address).await;
    assert_eq!(idle.code().await, "220");
    let mut sending = Peer::connect(address).await;
    sending.send(&format!("{HELLO}{BEGIN}{MAIL}")).await;
    for code in BEGUN.split(' ') {
        assert_eq!(sending.code().await, code);
    }
    listener.stop.cancel();
    assert_eq!(idle.codes_to_the_end().await, "421");
    assert_eq!(sending.codes_to_the_end().await, "421");
    listener.stop().await;
    Smtp::bind(address).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_told_so_after_five_minutes() {
    let listener = Listener::start().await;
    let mut peer = Peer::connect(listener.address).await;
    let began = Instant::now();
    let mut said = String::new();
    peer.stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said.lines().last().unwrap(), "421 4.4.2 the time is up");
    assert_eq!(began.elapsed().as_secs() / 60, 5);
    listener.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_keeps_talking_is_cut_off_after_ten_minutes() {
    let listener = Listener::start().await;
    let mut peer = Peer::connect(listener.address).await;
    for code in ["220", "250", "250", "421"] {
        assert_eq!(peer.code().await, code);
        advance(Duration::from_mins(4)).await;
        peer.send("NOOP\r\n").await;
    }
    listener.stop().await;
}

#[tokio::test]
async fn an_occupied_port_is_an_error_that_names_it_and_the_next_step() {
    let listener = Listener::start().await;
    let error = Smtp::bind(listener.address).await.unwrap_err();
    assert!(matches!(error, SourceError::Occupied { .. }));
    let step =
        "is occupied by another program; stop that program, or choose another port (0 takes a free one)";
    assert_eq!(error.to_string(), format!("{} {step}", listener.address));
    listener.stop().await;
}

/// Sends each text to a listener, closes that side, and compares the codes of all replies. Returns what arrived.
async fn answers(dialogues: &[(String, String)]) -> Vec<Message> {
    let listener = Listener::start().await;
    for (sent, codes) in dialogues {
        let mut peer = Peer::connect(listener.address).await;
        let (mut incoming, mut outgoing) = peer.stream.split();
        let mut heard = String::new();
        let dialogue = async {
            tokio::join!(incoming.read_to_string(&mut heard), async {
                outgoing.write_all(sent.as_bytes()).await.unwrap();
                outgoing.shutdown().await.unwrap();
            })
        };
        let (read, ()) = timeout(Duration::from_secs(30), dialogue).await.unwrap();
        read.unwrap();
        let shown: String = sent.chars().take(300).collect();
        assert_eq!(&codes_of(&heard), codes, "{shown:?}");
    }
    listener.stop().await
}

/// Whether some reading of the message contains the pattern.
fn says(message: &Message, pattern: &str) -> bool {
    let pattern: ContentPattern = pattern.parse().unwrap();
    message.text.readings().any(|reading| pattern.is_in(reading))
}

/// Whether the sender is the one that [`MAIL`] names.
fn is_from_acme(message: &Message) -> bool {
    message.sender == Sender::Address("no-reply@acme.example".parse().unwrap())
}

/// The codes in a transcript of replies.
fn codes_of(heard: &str) -> String {
    let lines = heard.lines().filter(|line| line.as_bytes()[3] == b' ');
    lines.map(|line| &line[..3]).collect::<Vec<_>>().join(" ")
}

/// A running listener on a free port.
struct Listener {
    address: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<Result<(), SourceError>>,
    received: mpsc::Receiver<Received>,
}

impl Listener {
    /// One that takes senders on their word.
    async fn start() -> Self {
        Self::start_with(Unverified::Accept).await
    }

    async fn start_with(unverified: Unverified) -> Self {
        let smtp = Smtp::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = smtp.local_addr().unwrap();
        let stop = CancellationToken::new();
        let authenticator = Authenticator::new(Dns::None, None).unwrap();
        let (intake, received) = Intake::new(unverified, authenticator);
        let running = tokio::spawn(Box::new(smtp).run(intake, stop.clone()));
        Self { address, stop, running, received }
    }

    fn mail_program(&self) -> AsyncSmtpTransport<Tokio1Executor> {
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(self.address.port()).build()
    }

    /// Delivers a mail in a session of its own; the reply to it.
    async fn deliver(&self, mail: &str) -> String {
        let mut peer = Peer::connect(self.address).await;
        peer.send(&format!("{HELLO}{BEGIN}{mail}.\r\n")).await;
        for code in BEGUN.split(' ') {
            assert_eq!(peer.code().await, code);
        }
        peer.reply().await
    }

    /// Stops, and returns what arrived and was not looked at.
    async fn stop(mut self) -> Vec<Message> {
        self.stop.cancel();
        timeout(Duration::from_secs(30), self.running).await.unwrap().unwrap().unwrap();
        std::iter::from_fn(|| self.received.try_recv().ok()).filter_map(Received::message).collect()
    }
}

/// The other side of a connection.
struct Peer {
    stream: TcpStream,
    heard: String,
}

impl Peer {
    async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), heard: String::new() }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The code of the next reply.
    async fn code(&mut self) -> String {
        codes_of(&self.reply().await)
    }

    /// The next reply, of one line or several.
    async fn reply(&mut self) -> String {
        loop {
            if let Some(length) = reply_length(&self.heard) {
                return self.heard.drain(..length).collect();
            }
            assert_ne!(self.hear().await, 0, "the listener closed");
        }
    }

    /// The codes of all replies until the listener closes.
    async fn codes_to_the_end(&mut self) -> String {
        while self.hear().await > 0 {}
        codes_of(&self.heard)
    }

    async fn hear(&mut self) -> usize {
        let mut block = [0; 1_024];
        let length = timeout(Duration::from_secs(30), self.stream.read(&mut block)).await.unwrap().unwrap();
        self.heard.push_str(std::str::from_utf8(&block[..length]).unwrap());
        length
    }
}

/// The length of the first whole reply in `heard`: its last line has a space after the code.
fn reply_length(heard: &str) -> Option<usize> {
    let mut length = 0;
    for line in heard.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        length += line.len();
        if line.as_bytes()[3] == b' ' {
            return Some(length);
        }
    }
    None
}
