//! The listeners for mail servers, with swaks and with dovecot as the server.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use agent_otp_user::source::SourceError;

use crate::contract::contains;
use crate::dovecot::{Dovecot, PASSWORD, USER, certify, free_port};
use crate::running::{Running, open, within};
use crate::swaks::{deliver, mail};

#[tokio::test]
async fn a_mail_server_may_start_tls_and_none_is_offered_without_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path()).await;
    let path = |name: &str| dir.path().join(name).display().to_string();
    let tls = format!("tls = {{ certificate = \"{}\", key = \"{}\" }}", path("cert.pem"), path("key.pem"));
    for (kind, protocol) in [("smtp", "ESMTP"), ("lmtp", "LMTP")] {
        let address = format!("127.0.0.1:{}", free_port());
        let table = format!("[[{kind}]]\nname = \"mine\"\nlisten = \"{address}\"\n");
        let to = ["--server", &address, "--protocol", protocol, "--tls", "--tls-verify", "--tls-ca-path"];
        let authority = path("cert.pem");
        let to = [&to[..], &[&authority]].concat();

        let mut source = Running::configured(&format!("{table}{tls}\n")).await;
        let said = deliver(&to, &["me@localhost"], &mail("482913")).await;
        assert!(said.is_taken && said.text.contains("250-STARTTLS"), "{}", said.text);
        let message = source.message().await;
        assert!(contains(&message, "482913") && message.source == kind);
        // And without.
        let said = deliver(&to[..4], &["me@localhost"], &mail("550127")).await;
        assert!(said.is_taken, "{}", said.text);
        source.stop().await;

        let source = Running::configured(&table).await;
        let said = deliver(&to, &["me@localhost"], &mail("771204")).await;
        assert!(!said.is_taken && !said.text.contains("STARTTLS\r"), "{}", said.text);
        assert!(source.stop().await.is_empty());
    }
}

#[tokio::test]
async fn what_was_sent_before_tls_is_not_taken_for_what_was_sent_under_it() {
    let dir = tempfile::tempdir().unwrap();
    certify(dir.path()).await;
    let path = |name: &str| dir.path().join(name).display().to_string();
    let address = format!("127.0.0.1:{}", free_port());
    let table = format!(
        "[[smtp]]\nname = \"mine\"\nlisten = \"{address}\"\ntls = {{ certificate = \"{}\", key = \"{}\" }}\n",
        path("cert.pem"),
        path("key.pem")
    );
    let source = Running::configured(&table).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(b"EHLO a\r\nSTARTTLS\r\nMAIL FROM:<>\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut heard = Vec::new();
    within("the end", stream.read_to_end(&mut heard)).await.unwrap();
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains("220 2.0.0 begin TLS\r\n") && !heard.contains("2.1.0"), "{heard}");
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn each_recipient_of_a_mail_by_lmtp_is_answered_and_the_mail_is_one() {
    let address = format!("127.0.0.1:{}", free_port());
    let mut source =
        Running::configured(&format!("[[lmtp]]\nname = \"mine\"\nlisten = \"{address}\"\n")).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let session = format!(
        "EHLO a\r\nLHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n{}.\r\nQUIT\r\n",
        mail("482913").replace("\r\n.", "\r\n..")
    );
    stream.write_all(session.as_bytes()).await.unwrap();
    let mut heard = String::new();
    within("the end", stream.read_to_string(&mut heard)).await.unwrap();
    let codes: Vec<&str> =
        heard.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| &line[..3]).collect();
    assert_eq!(codes.join(" "), "220 502 250 250 250 250 354 250 250 221", "{heard}");
    assert!(contains(&source.message().await, "482913"));
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn dovecot_passes_on_by_lmtp_what_it_is_delivered() {
    let port = free_port();
    let table = format!("[[lmtp]]\nname = \"mine\"\nlisten = \"127.0.0.1:{port}\"\n");
    let mut source = Running::configured(&table).await;
    let users = format!("{USER}:{{PLAIN}}{PASSWORD}::::::proxy=y host=127.0.0.1 port={port}\n");
    let dovecot = Dovecot::start_with("lmtp_proxy = yes\n", &[("users", &users)]).await;
    dovecot.deliver(&mail("482913")).await;
    let message = source.message().await;
    assert!(contains(&message, "482913") && message.source == "lmtp");
    assert!(dovecot.mails().is_empty());
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn what_dovecot_passes_on_and_is_of_no_use_is_returned_to_nobody() {
    let port = free_port();
    let table = format!("[[lmtp]]\nname = \"mine\"\nlisten = \"127.0.0.1:{port}\"\n");
    let mut source = Running::strict(&table).await;
    let users = format!("{USER}:{{PLAIN}}{PASSWORD}::::::proxy=y host=127.0.0.1 port={port}\n");
    let dovecot = Dovecot::start_with("lmtp_proxy = yes\n", &[("users", &users)]).await;
    // What dovecot is told to its last octet it tells whoever delivers to it.
    dovecot.deliver(&mail("482913")).await;
    assert!(source.is_rejected().await);
    dovecot.deliver(&mail("550127").replace("From: ", "X-From: ")).await;
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn a_mail_that_is_too_large_is_refused_before_it_is_sent() {
    let address = format!("127.0.0.1:{}", free_port());
    let source = Running::configured(&format!("[[lmtp]]\nname = \"mine\"\nlisten = \"{address}\"\n")).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(b"LHLO a\r\nMAIL FROM:<> SIZE=99999999\r\nQUIT\r\n").await.unwrap();
    let mut heard = String::new();
    within("the end", stream.read_to_string(&mut heard)).await.unwrap();
    assert!(heard.contains("552 5.3.4 "), "{heard}");
    assert!(source.stop().await.is_empty());
}

#[tokio::test]
async fn a_socket_is_for_whom_it_was_made_and_goes_with_its_listener() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lmtp");
    let table = format!("[[lmtp]]\nname = \"mine\"\nsocket = \"{}\"\n", path.display());
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let source = Running::configured(&table).await;
    assert_eq!(mode(&path), 0o600);
    source.stop().await;
    assert!(!path.exists());
    // One that a crash has left gives way, one that is in use does not.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let source = Running::configured(&format!("{table}mode = 0o660\n")).await;
    assert_eq!(mode(&path), 0o660);
    let configured =
        agent_otp_user::source::config::parse(std::path::Path::new("sources.toml"), table.as_bytes())
            .unwrap();
    let Err(error) = configured[0].open().await else { panic!("two listen there") };
    assert!(matches!(error, SourceError::Socket { .. }), "{error}");
    source.stop().await;
}

#[tokio::test]
async fn a_peer_that_says_nothing_does_not_keep_a_listener_from_ending() {
    let address = format!("127.0.0.1:{}", free_port());
    let source = Running::of(open(&format!("[[lmtp]]\nname = \"mine\"\nlisten = \"{address}\"\n")).await);
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let mut greeting = [0; 14];
    within("a greeting", stream.read_exact(&mut greeting)).await.unwrap();
    assert_eq!(&greeting, b"220 agent-otp ");
    let began = tokio::time::Instant::now();
    source.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4));
}
