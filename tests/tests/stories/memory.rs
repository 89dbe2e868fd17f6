//! What a process remembers of a code and of the message that it stood in, once they are used: nothing.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::thread;

use agent_otp_domain::Role;
use agent_otp_jetstream::clock;
use agent_otp_tests::{Copy, Needle, Place, Process, copies, eventually, files_below};
use data_encoding::BASE64_MIME;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const SHAPE: [&str; 2] = ["--shape", "alnum:10"];
/// How the body of a mail is written.
const WAYS: [&str; 5] = ["plain", "quoted-printable", "latin-1", "base64", "html"];
const BY_SMS: [&str; 6] = ["--shape", "alnum:10", "--channel", "sms", "--from", "id:GitHub"];

/// A message like no other: neither its code nor its words occur by chance.
struct Message {
    code: String,
    subject: String,
    name: String,
}

impl Message {
    fn new() -> Self {
        let code = clock::random::<5>().map(|random| {
            let letter = b"BCDFGHJKLMNPQRST"[usize::from(random >> 4)];
            let digit = b"2345678923456789"[usize::from(random & 15)];
            String::from_utf8(vec![letter, digit]).unwrap()
        });
        let word = || -> String {
            clock::random::<12>().map(|random| char::from(b'a' + random % 26)).into_iter().collect()
        };
        Self { code: code.concat(), subject: word(), name: word() }
    }

    fn text(&self) -> String {
        format!("Dear {},\r\n\r\nyour GitHub verification code is {}\r\n", self.name, self.code)
    }

    fn html(&self) -> String {
        format!(
            "<html><head><style>.x {{ color: red }}</style></head><body><p>Dear <b>{}</b>,</p>\
             <table><tr><td>your GitHub verification code is</td><td>{}</td></tr></table></body></html>",
            self.name, self.code
        )
    }

    /// One line, as a person would paste it.
    fn line(&self) -> String {
        format!("Dear {}, {} is your GitHub verification code\n", self.name, self.code)
    }

    /// Which of its parts a process still knows, and where: none where its memory cannot be read, which is said.
    fn remembered_by(&self, pid: u32) -> Vec<Copy> {
        let secrets = [&self.code, &self.subject, &self.name].map(|secret| Needle::text(secret));
        match copies(pid, &secrets) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                say_untested();
                Vec::new()
            }
            copies => copies.unwrap(),
        }
    }

    /// A session with the mail listener that delivers it, up to the end of the mail.
    fn session(&self, way: &str) -> String {
        format!(
            "EHLO a.example\r\nMAIL FROM:<noreply@github.com>\r\nRCPT TO:<me@example.org>\r\nDATA\r\n{}\r\n.\r\n",
            self.mail(way)
        )
    }

    /// The whole mail with a body in one of the ways in which a body is written.
    fn mail(&self, way: &str) -> String {
        let (text, html) = (self.text(), self.html());
        let part = match way {
            "plain" => format!("Content-Type: text/plain\r\n\r\n{text}"),
            "quoted-printable" => {
                let encoded = text.replace("code is ", "code =\r\nis =20").replace("Dear", "=44ear");
                format!(
                    "Content-Type: text/plain; charset=utf-8\r\n\
                     Content-Transfer-Encoding: quoted-printable\r\n\r\n{encoded}"
                )
            }
            "latin-1" => format!(
                "Content-Type: text/plain; charset=iso-8859-1\r\n\
                 Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe!\r\n{text}"
            ),
            "base64" => format!(
                "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
                BASE64_MIME.encode(text.as_bytes())
            ),
            "html" => format!(
                "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n{text}\
                 \r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n--b--\r\n"
            ),
            other => panic!("{other}"),
        };
        format!(
            "From: GitHub <noreply@github.com>\r\nTo: me@example.org\r\nSubject: {}\r\nMIME-Version: 1.0\r\n{part}",
            self.subject
        )
    }
}

#[tokio::test]
async fn the_users_side_forgets_a_mail_once_its_code_was_sealed() {
    let place = Place::new();
    let up = place.up().await;
    for way in WAYS {
        let message = Message::new();
        let mut asked = place.request(&SHAPE).await;
        place.approve(&asked.id).await;
        // The peer stays, as a mail program may.
        let mut peer = TcpStream::connect(place.run().smtp).await.unwrap();
        peer.write_all(message.session(way).as_bytes()).await.unwrap();
        assert_eq!(asked.ended().await.well().stdout, format!("{}\n", message.code), "{way}");
        assert_eq!(message.remembered_by(up.pid()), [], "{way}");
        drop(peer);
    }
}

#[tokio::test]
async fn a_mail_that_waits_for_its_request_is_found_so_the_search_sees_what_is_there() {
    let place = Place::new();
    let up = place.up().await;
    let message = Message::new();
    place.smtp(message.session("plain").as_bytes()).await;
    let waiting = async || (!message.remembered_by(up.pid()).is_empty()).then_some(());
    if is_root() {
        eventually("the mail in the memory of the user's side", waiting).await;
    } else {
        say_untested();
    }
}

#[tokio::test]
async fn the_users_side_forgets_a_text_message_once_its_code_was_sealed() {
    let place = Place::new();
    let up = place.up().await;
    let message = Message::new();
    let mut asked = place.request(&BY_SMS).await;
    place.approve(&asked.id).await;
    place.sms("1", "GitHub", &message.text()).await;
    assert_eq!(asked.ended().await.well().stdout, format!("{}\n", message.code));
    assert_eq!(message.remembered_by(up.pid()), []);
}

#[tokio::test]
async fn the_users_side_forgets_a_mail_that_it_refuses() {
    let place = Place::new();
    let up = place.up().await;
    let message = Message::new();
    let refused = message.session("html").replace("To: me", "From: other@example.org\r\nTo: me");
    let heard = place.smtp(refused.as_bytes()).await;
    assert!(heard.iter().any(|line| line.contains("more than one sender")), "{heard:?}");
    assert_eq!(message.remembered_by(up.pid()), []);
}

#[tokio::test]
async fn whoever_pastes_a_message_forgets_it_before_the_relay_has_answered() {
    let place = Place::new();
    let up = place.up().await;
    let message = Message::new();
    let mut asked = place.request(&SHAPE).await;
    place.approve(&asked.id).await;
    let mut terminal = place.at_terminal(&["capture", &asked.id]);
    terminal.until("Code (it is not shown): ", 1).await;
    up.signal(Signal::STOP);
    terminal.types(&message.line());
    let spent = place.dir().join("members/capturer-local/spent");
    eventually("the record of the sealed code", async || (!files_below(&spent).is_empty()).then_some(()))
        .await;
    assert_eq!(message.remembered_by(terminal.pid()), []);
    let (code, screen) = terminal.ended().await;
    assert!(code == Some(14) && screen.contains("the code is sealed and kept"), "{screen}");
    up.signal(Signal::CONT);
    assert_eq!(asked.ended().await.well().stdout, format!("{}\n", message.code));
    assert_eq!(message.remembered_by(up.pid()), []);
}

#[tokio::test]
async fn an_agent_forgets_a_code_that_it_has_dropped() {
    let place = Place::new();
    let _up = place.up().await;
    let run = place.run();
    let home = place.home(Role::Agent, "shopper");
    let seed = run.creds.get("agent:shopper").unwrap();
    let message = Message::new();
    let mut agent = place.spawn(
        "examples/sign_in",
        &[&run.nats_url, seed.to_str().unwrap(), home.dir().to_str().unwrap(), "shopper", "github.com"],
    );
    let said = async |agent: &mut Process, what: &str| {
        eventually(what, async || {
            assert!(!agent.has_ended(), "{}", agent.said());
            agent.said().lines().find(|line| line.starts_with(what)).map(str::to_owned)
        })
        .await
    };
    let requested = said(&mut agent, "requested  ").await;
    place.approve(requested.split_whitespace().nth(1).unwrap()).await;
    place.smtp(message.session("plain").as_bytes()).await;
    said(&mut agent, "signed in").await;
    assert_eq!(fs::read_to_string(&agent.stdout).unwrap(), format!("{}\n", message.code));
    assert_eq!(message.remembered_by(agent.pid()), []);
    agent.signal(Signal::INT);
    agent.ended().await.well();
}

#[tokio::test]
async fn our_programs_hide_their_memory_and_leave_no_core_file() {
    let place = Place::new();
    let up = place.up().await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", up.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    // What is in the directory of a process that is not dumpable is root's (proc(5)).
    let owner = fs::metadata(format!("/proc/{}/mem", up.pid())).unwrap().uid();
    assert_eq!(owner, 0);
    if !is_root() {
        let refused = fs::File::open(format!("/proc/{}/mem", up.pid())).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    }
}

/// Says that nothing was looked at: past the capture of what a test prints, or nobody would hear of it.
fn say_untested() {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let mut stderr = io::stderr();
    writeln!(stderr, "NOT TESTED: {test}: our programs hide their memory, and root alone may read it")
        .unwrap();
}

/// Memory that is hidden is hidden from all but root.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
