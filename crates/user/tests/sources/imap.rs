//! IMAP against dovecot: what servers and mailboxes do beside delivering.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agent_otp_domain::Timestamp;
use agent_otp_jetstream::clock;
use agent_otp_user::source::config;
use agent_otp_user::source::finding::{Finding, Outcome};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::between::{Deed, between, interfering};
use crate::contract::contains;
use crate::dovecot::{Dovecot, PASSWORD, USER, private};
use crate::running::{Running, eventually, within};
use crate::swaks::mail;

#[tokio::test]
async fn a_mail_is_told_of_by_idle_and_found_by_asking_while_a_request_is_open() {
    let dovecot = Dovecot::start().await;
    let mut source = Running::configured(&dovecot.starttls_table()).await;
    for code in ["482913", "550127", "771204"] {
        dovecot.deliver(&mail(code)).await;
        assert!(contains(&source.message().await, code));
        source.open_request();
        let code = format!("9{}", &code[1..]);
        dovecot.deliver(&mail(&code)).await;
        assert!(contains(&source.message().await, &code));
        source.close_request();
    }
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn a_login_takes_an_app_password_also_where_there_is_only_the_old_command() {
    let dovecot = Dovecot::start().await;
    let proxy = between(&dovecot, &[(" AUTH=PLAIN", "")]).await;
    let mut source = Running::configured(&dovecot.table_past(proxy)).await;
    dovecot.deliver(&mail("482913")).await;
    assert!(contains(&source.message().await, "482913"));
    source.stop().await;
}

#[tokio::test]
async fn a_server_without_idle_is_asked_while_a_request_is_open() {
    let dovecot = Dovecot::start().await;
    let proxy = between(&dovecot, &[(" IDLE", "")]).await;
    let table = dovecot.table_past(proxy);
    assert_eq!(outcomes(&table).await, "connect Works, login Works, folder INBOX Works, idle Slow");
    let mut source = Running::configured(&table).await;
    dovecot.deliver(&mail("482913")).await;
    source.open_request();
    assert!(contains(&source.message().await, "482913"));
    dovecot.deliver(&mail("550127")).await;
    assert!(contains(&source.message().await, "550127"));
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn a_server_that_forgets_to_tell_of_new_mail_is_looked_at_all_the_same() {
    let dovecot = Dovecot::start().await;
    let proxy = between(&dovecot, &[("* 2 EXISTS", "* 2 FORGETS")]).await;
    let mut source = Running::configured(&dovecot.table_past(proxy)).await;
    source.open_request();
    for code in ["482913", "550127"] {
        dovecot.deliver(&mail(code)).await;
        assert!(contains(&source.message().await, code));
    }
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_comes_twice_when_the_server_restarts() {
    let mut dovecot = Dovecot::start().await;
    let mut source = Running::configured(&dovecot.table()).await;
    source.open_request();
    dovecot.deliver(&mail("482913")).await;
    assert!(contains(&source.message().await, "482913"));
    dovecot.stop().await;
    dovecot.deliver_past(&mail("550127"));
    dovecot.start_again().await;
    assert!(contains(&source.message().await, "550127"));
    dovecot.deliver(&mail("771204")).await;
    assert!(contains(&source.message().await, "771204"));
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn a_mailbox_that_numbers_its_mails_anew_loses_none() {
    let mut dovecot = Dovecot::start().await;
    let mut source = Running::configured(&dovecot.table()).await;
    source.open_request();
    dovecot.deliver(&mail("482913")).await;
    let first = source.message().await;
    dovecot.stop().await;
    // Without what it knows of its numbers, dovecot begins anew, with another UIDVALIDITY.
    fs::remove_dir_all(dovecot.path("mail").join(USER).join("control")).unwrap();
    fs::remove_dir_all(dovecot.path("mail").join(USER).join("index")).unwrap();
    dovecot.start_again().await;
    dovecot.deliver(&mail("550127")).await;
    let mut rest = [source.message().await, source.message().await];
    rest.sort_by_key(|message| message.received_at);
    assert_eq!(rest[0].id, first.id, "known as what it is");
    assert!(rest[0].received_at < first.received_at.after(Duration::from_secs(1)));
    assert!(contains(&rest[1], "550127"));
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn an_old_mail_that_is_copied_into_the_mailbox_is_old() {
    let dovecot = Dovecot::start().await;
    let mut source = Running::configured(&dovecot.table()).await;
    source.open_request();
    let mut client = Client::log_in(&dovecot).await;
    // Five minutes old, and from another year: the first may matter to an old request, the second to none.
    let earlier = clock::now().before(Duration::from_mins(5));
    client.append("INBOX", &imap_date(earlier), &mail("550127")).await;
    client.append("INBOX", "17-Jul-2020 02:44:25 +0000", &mail("482913")).await;
    client.append("Archive", "17-Jul-2020 02:44:25 +0000", &mail("482914")).await;
    client.ask("EXAMINE Archive").await;
    client.ask("COPY 1 INBOX").await;
    dovecot.deliver(&mail("771204")).await;
    let message = source.message().await;
    assert!(contains(&message, "550127") && message.received_at < earlier.after(Duration::from_secs(1)));
    assert!(contains(&source.message().await, "771204"));
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn a_mail_that_is_too_large_is_left_and_the_next_one_is_taken() {
    let dovecot = Dovecot::start().await;
    let mut source = Running::configured(&dovecot.table()).await;
    source.open_request();
    let large = mail("482913") + &"0123456789012345678901234567890123456789\r\n".repeat(270_000);
    let mut client = Client::log_in(&dovecot).await;
    client.append("INBOX", &imap_date(clock::now()), &large).await;
    dovecot.deliver(&mail("550127")).await;
    assert!(contains(&source.message().await, "550127"));
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn a_mail_that_the_server_does_not_give_out_is_tried_again_and_keeps_no_other_from_coming() {
    for deed in [Deed::BreakOff, Deed::Refuse] {
        let dovecot = Dovecot::start().await;
        // The first mail is the one that nobody can fetch, and is as small as the others.
        dovecot.deliver(&mail("482913")).await;
        let (proxy, count) = interfering(&dovecot, "UID FETCH 1 (UID BODY.PEEK[])", deed).await;
        let mut source = Running::configured(&dovecot.table_past(proxy)).await;
        source.open_request();
        for code in ["550127", "771204", "660218"] {
            dovecot.deliver(&mail(code)).await;
            assert!(contains(&source.message().await, code));
        }
        eventually("another try", async || (count.load(Ordering::Relaxed) >= 2).then_some(())).await;
        assert!(source.stop().await.is_empty());
    }
}

#[tokio::test]
async fn a_mail_that_a_bad_network_does_not_let_through_several_times_comes_when_it_is_better() {
    let dovecot = Dovecot::start().await;
    dovecot.deliver(&mail("482913")).await;
    let (proxy, _) = interfering(&dovecot, "UID FETCH 1 (UID BODY.PEEK[])", Deed::BreakOffThrice).await;
    let mut source = Running::configured(&dovecot.table_past(proxy)).await;
    source.open_request();
    assert!(contains(&source.message().await, "482913"));
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn a_large_mail_comes_after_the_small_ones() {
    let dovecot = Dovecot::start().await;
    let picture = "0123456789012345678901234567890123456789\r\n".repeat(10_000);
    let large = format!(
        "From: Acme <no-reply@acme.example>\r\nSubject: Sign in\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nIhr Code: 482913\r\n--b\r\n\
         Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n{picture}--b--\r\n"
    );
    let mut client = Client::log_in(&dovecot).await;
    client.append("INBOX", &imap_date(clock::now()), &large).await;
    dovecot.deliver(&mail("550127")).await;
    let mut source = Running::configured(&dovecot.table()).await;
    for code in ["550127", "482913"] {
        assert!(contains(&source.message().await, code));
    }
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn several_folders_are_watched() {
    let dovecot = Dovecot::start().await;
    Client::log_in(&dovecot).await.ask("CREATE Spam").await;
    let table = dovecot.table() + "folders = [\"INBOX\", \"Spam\"]\n";
    let mut source = Running::configured(&table).await;
    let mut client = Client::log_in(&dovecot).await;
    client.append("Spam", &imap_date(clock::now()), &mail("482913")).await;
    assert!(contains(&source.message().await, "482913"));
    dovecot.deliver(&mail("550127")).await;
    assert!(contains(&source.message().await, "550127"));
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn an_access_token_logs_in_and_another_one_is_asked_for_when_it_has_run_out() {
    let key = BASE64.encode(KEY);
    let files = [("keys/default/HS256/default", key.as_str()), ("oauth2.conf", OAUTH2_SETTINGS)];
    let dovecot = Dovecot::start_with(OAUTH2, &files).await;
    let now = clock::now().as_unix_ms() / 1_000;
    private(&dovecot.path("first"), &token(now - 7_200, now - 3_600));
    private(&dovecot.path("second"), &token(now, now + 3_600));
    // A program that has a fresh token only when it is asked again.
    let script = "d=$0; if [ -e $d/asked ]; then cat $d/second; else touch $d/asked; cat $d/first; fi";
    let dir = dovecot.path("");
    let login = format!("token_command = [\"/bin/sh\", \"-c\", \"{script}\", \"{}\"]", dir.display());
    let mut source = Running::configured(&dovecot.table_by(&login)).await;
    dovecot.deliver(&mail("482913")).await;
    assert!(contains(&source.message().await, "482913"));
    source.stop().await;

    let by_file = dovecot.table_by(&format!("token_file = \"{}\"", dovecot.path("second").display()));
    assert_eq!(outcomes(&by_file).await, "connect Works, login Works, folder INBOX Works, idle Works");
    let by_file = dovecot.table_by(&format!("token_file = \"{}\"", dovecot.path("first").display()));
    assert_eq!(outcomes(&by_file).await, "connect Works, login Fails");
}

#[tokio::test]
async fn a_program_that_prints_no_token_is_asked_again_soon() {
    let key = BASE64.encode(KEY);
    let files = [("keys/default/HS256/default", key.as_str()), ("oauth2.conf", OAUTH2_SETTINGS)];
    let dovecot = Dovecot::start_with(OAUTH2, &files).await;
    let now = clock::now().as_unix_ms() / 1_000;
    private(&dovecot.path("token"), &token(now, now + 3_600));
    // As one does that has no network the first time.
    let script = "d=$0; if [ -e $d/asked ]; then cat $d/token; else touch $d/asked; exit 1; fi";
    let dir = dovecot.path("");
    let login = format!("token_command = [\"/bin/sh\", \"-c\", \"{script}\", \"{}\"]", dir.display());
    let mut source = Running::configured(&dovecot.table_by(&login)).await;
    dovecot.deliver(&mail("482913")).await;
    assert!(contains(&source.message().await, "482913"));
    source.stop().await;
}

#[tokio::test]
async fn a_server_that_refuses_for_now_is_asked_again_soon_and_the_password_is_not_to_blame() {
    let limit = "protocol imap {\n  mail_max_userip_connections = 1\n}\n";
    let dovecot = Dovecot::start_with(limit, &[]).await;
    let other = Client::log_in(&dovecot).await;
    let told = check(&dovecot.table()).await.pop().unwrap().text;
    assert!(told.starts_with("the server refuses for now ([LIMIT] Maximum number of connections"), "{told}");
    let refusals = || dovecot.log().matches("Maximum number of connections").count();
    let before = refusals();
    let mut source = Running::configured(&dovecot.table()).await;
    eventually("a refusal", async || (refusals() > before).then_some(())).await;
    drop(other);
    dovecot.deliver(&mail("482913")).await;
    assert!(contains(&source.message().await, "482913"));
    source.stop().await;
}

#[tokio::test]
async fn a_check_says_how_far_it_comes_and_what_to_do() {
    let dovecot = Dovecot::start().await;
    let table = dovecot.table();
    assert_eq!(outcomes(&table).await, "connect Works, login Works, folder INBOX Works, idle Works");
    private(&dovecot.path("wrong"), "wrong\n");
    let password = dovecot.path("wrong").display().to_string();
    for (table, expected) in [
        (table.replace(dovecot.path("password").to_str().unwrap(), &password), "login Fails"),
        (table.clone() + "folders = [\"Spam\"]\n", "folders Works, folder Spam Fails"),
        (table.replace("host = \"localhost\"", "host = \"127.0.0.2\""), "connect Fails"),
        (
            table.lines().filter(|line| !line.starts_with("ca_file")).collect::<Vec<_>>().join("\n"),
            "connect Fails",
        ),
    ] {
        let found = outcomes(&table).await;
        assert!(found.ends_with(expected), "{found}");
    }
    let found = check(&(table.clone() + "folders = [\"Spam\"]\n")).await;
    let there = found.iter().find(|finding| finding.what == "folders").unwrap();
    assert_eq!(there.text, "the server has \"INBOX\"");
    let mut found = check(&table.replace(dovecot.path("password").to_str().unwrap(), &password)).await;
    let told = found.pop().unwrap().text;
    assert!(told.starts_with("the server does not let this user log in ("), "{told}");
    assert!(
        told.ends_with(
            "write a new app password into password_file, and look at user; the guides are in docs/sources"
        ),
        "{told}"
    );
}

#[tokio::test]
async fn what_a_server_says_in_another_language_is_understood() {
    let dovecot = Dovecot::start().await;
    private(&dovecot.path("password"), "wrong\n");
    let words = [("* OK ", "* OK Grüß Gott "), ("Authentication failed", "Ungültiges Passwort")];
    let proxy = between(&dovecot, &words).await;
    let told = check(&dovecot.table_past(proxy)).await.pop().unwrap().text;
    let said = "the server does not let this user log in ([AUTHENTICATIONFAILED] Ung??ltiges Passwort.); ";
    assert!(told.starts_with(said), "{told}");
}

async fn check(table: &str) -> Vec<Finding> {
    let configured = config::parse(Path::new("sources.toml"), table.as_bytes()).unwrap();
    within("a check", configured[0].check()).await
}

async fn outcomes(table: &str) -> String {
    let found = check(table).await;
    let outcome = |finding: &Finding| {
        let outcome = match finding.outcome {
            Outcome::Works => "Works",
            Outcome::Slow => "Slow",
            Outcome::Fails => "Fails",
        };
        format!("{} {outcome}", finding.what)
    };
    found.iter().map(outcome).collect::<Vec<_>>().join(", ")
}

/// What dovecot knows the tokens' signatures by.
const KEY: &[u8] = b"a key of thirty-two octets, long";
const OAUTH2: &str = "auth_verbose = yes\npassdb {\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = DIR/oauth2.conf\n}\n";
const OAUTH2_SETTINGS: &str = "introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix=DIR/keys/\nusername_attribute = sub\n";

/// An access token as a JSON Web Token (RFC 7519).
fn token(issued: i64, expires: i64) -> String {
    let part = |json: serde_json::Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
    let head = part(serde_json::json!({ "alg": "HS256", "typ": "JWT", "kid": "default" }));
    let claims = part(serde_json::json!({ "sub": USER, "iat": issued, "exp": expires }));
    let signed = format!("{head}.{claims}");
    let mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap().chain_update(&signed).finalize().into_bytes();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&mac))
}

/// A moment as IMAP writes it.
fn imap_date(at: Timestamp) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = at.to_string();
    let month: usize = text[5..7].parse().unwrap();
    format!("{}-{}-{} {} +0000", &text[8..10], MONTHS[month - 1], &text[..4], &text[11..19])
}

/// A mail program of the user's, which may change what it likes.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn log_in(dovecot: &Dovecot) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", dovecot.imap_port())).await.unwrap();
        let mut client = Self { stream: BufReader::new(stream) };
        client.line().await;
        client.ask(&format!("LOGIN {USER} \"{}\"", PASSWORD.replace('"', "\\\""))).await;
        client
    }

    async fn ask(&mut self, command: &str) {
        self.stream.write_all(format!("T {command}\r\n").as_bytes()).await.unwrap();
        self.end().await;
    }

    async fn append(&mut self, folder: &str, date: &str, mail: &str) {
        let command = format!("T APPEND {folder} \"{date}\" {{{}}}\r\n", mail.len());
        self.stream.write_all(command.as_bytes()).await.unwrap();
        let line = self.line().await;
        if line.contains("TRYCREATE") {
            self.ask(&format!("CREATE {folder}")).await;
            return Box::pin(self.append(folder, date, mail)).await;
        }
        assert!(line.starts_with('+'), "{line}");
        self.stream.write_all(format!("{mail}\r\n").as_bytes()).await.unwrap();
        self.end().await;
    }

    async fn end(&mut self) {
        loop {
            let line = self.line().await;
            if line.starts_with("T ") {
                assert!(line.starts_with("T OK"), "{line}");
                return;
            }
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        within("an answer", self.stream.read_line(&mut line)).await.unwrap();
        line
    }
}
