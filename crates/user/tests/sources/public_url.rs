//! The URL that SMS gateways are given, and whether it leads to the webhook.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use agent_otp_user::source::Source as _;
use agent_otp_user::source::finding::Finding;
use agent_otp_user::source::sms_webhook::{KIND, SmsWebhook};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::dovecot::free_port;
use crate::running::{Running, within};

#[tokio::test]
async fn a_check_says_whether_the_public_url_leads_here_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = dir.path().join("sources");
    let source = SmsWebhook::bind(([127, 0, 0, 1], 0).into(), &secrets).await.unwrap();
    let address = source.local_addr().unwrap();
    let source = Running::of(Box::new(source));
    let found = check(address, &secrets).await;
    assert_eq!(told(&found), [format!("ok     signed event   http://{address}/sms knows its signature")]);

    let (taking, passing, down) =
        (proxy(address, "POST /sms").await, proxy(address, "POST /hook/sms").await, free_port());
    let other = elsewhere().await;
    let mut file = OpenOptions::new().append(true).open(secrets.join("sms-webhook.secret")).unwrap();
    for url in [format!("{taking}/hook"), format!("{passing}/hook"), format!("{down}"), format!("{other}")] {
        writeln!(file, "public-url = http://127.0.0.1:{url}").unwrap();
    }
    let found = check(address, &secrets).await;
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    assert_eq!(
        told(&found)[1..],
        [
            format!("ok     public-url     {}/hook/sms leads here, and its signature is known", url(taking)),
            format!(
                "FAILS  public-url     {}/hook/sms answers 404 Not Found (there is nothing here; deliver to /sms); the tunnel or \
                 proxy has to lead to http://{address}/sms, with body and headers as they came",
                url(passing)
            ),
            format!(
                "FAILS  public-url     {}/sms cannot be reached: Connection refused (os error 111); is the tunnel or \
                 proxy up, and is this its URL still?",
                url(down)
            ),
            format!(
                "FAILS  public-url     something else answers at {}/sms; have it lead to http://{address}/sms",
                url(other)
            ),
        ]
    );
    assert!(source.stop().await.is_empty());
}

async fn check(address: SocketAddr, dir: &Path) -> Vec<Finding> {
    let loopback = KIND.loopback.unwrap();
    within("a check", (loopback.check)(address, dir.to_owned())).await
}

fn told(found: &[Finding]) -> Vec<String> {
    found.iter().map(ToString::to_string).collect()
}

/// A proxy that asks the webhook for this instead of for `POST /hook/sms`; its port.
async fn proxy(webhook: SocketAddr, line: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut server = TcpStream::connect(webhook).await.unwrap();
                let mut block = [0; 4_096];
                let length = client.read(&mut block).await.unwrap();
                let request = String::from_utf8_lossy(&block[..length]).replace("POST /hook/sms", line);
                server.write_all(request.as_bytes()).await.unwrap();
                tokio::io::copy(&mut server, &mut client).await.unwrap();
            });
        }
    });
    port
}

/// Another web server; its port.
async fn elsewhere() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut block = [0; 4_096];
        assert!(client.read(&mut block).await.unwrap() > 0);
        client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n").await.unwrap();
    });
    port
}
