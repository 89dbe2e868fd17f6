//! What stands between a client and dovecot, and does not leave everything as it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::dovecot::Dovecot;

/// Something between a client and dovecot that changes words of what the server says.
pub(crate) async fn between(dovecot: &Dovecot, words: &[(&'static str, &'static str)]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, server) = (listener.local_addr().unwrap(), dovecot.imap_port());
    let words = words.to_vec();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let words = words.clone();
            connections.spawn(async move {
                let (mut from_client, mut to_client) = client.split();
                let (from_server, mut to_server) = server.split();
                let said = async {
                    let mut lines = BufReader::new(from_server).split(b'\n');
                    while let Ok(Some(line)) = lines.next_segment().await {
                        let mut line = String::from_utf8(line).unwrap() + "\n";
                        for (word, other) in &words {
                            line = line.replace(word, other);
                        }
                        to_client.write_all(line.as_bytes()).await?;
                    }
                    to_client.shutdown().await
                };
                // Either may break off at any time.
                let _ended = tokio::join!(said, tokio::io::copy(&mut from_client, &mut to_server));
            });
        }
    });
    address
}

/// What something in between does instead of passing a command on.
#[derive(Clone, Copy)]
pub(crate) enum Deed {
    /// It breaks the connection off.
    BreakOff,
    /// It breaks the connection off the first three times, and then passes it on.
    BreakOffThrice,
    /// It answers that the command has failed.
    Refuse,
}

/// Something between a client and dovecot that does this to each command with these words, and counts them.
pub(crate) async fn interfering(
    dovecot: &Dovecot,
    words: &'static str,
    deed: Deed,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, server) = (listener.local_addr().unwrap(), dovecot.imap_port());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let count = counted.clone();
            connections.spawn(async move {
                let ((from_client, mut to_client), (mut from_server, mut to_server)) =
                    (client.into_split(), server.into_split());
                let mut lines = BufReader::new(from_client).lines();
                let mut block = [0; 4_096];
                loop {
                    tokio::select! {
                        Ok(line) = lines.next_line() => {
                            let Some(line) = line else { return };
                            if line.contains(words) {
                                let before = count.fetch_add(1, Ordering::Relaxed);
                                match deed {
                                    Deed::BreakOff => return,
                                    Deed::BreakOffThrice if before < 3 => return,
                                    Deed::BreakOffThrice => {
                                        to_server.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
                                        continue;
                                    }
                                    Deed::Refuse => {}
                                }
                                let tag = line.split(' ').next().unwrap();
                                let no = format!("{tag} NO [SERVERBUG] it is not readable\r\n");
                                to_client.write_all(no.as_bytes()).await.unwrap();
                            } else {
                                to_server.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
                            }
                        }
                        Ok(length) = from_server.read(&mut block) => {
                            if length == 0 || to_client.write_all(&block[..length]).await.is_err() {
                                return;
                            }
                        }
                        else => return,
                    }
                }
            });
        }
    });
    (address, count)
}
