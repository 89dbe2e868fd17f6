//! When a server that was just started can be talked to, and on which port.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

const POLL: Duration = Duration::from_millis(20);

/// Waits until the server has written its port into `ports` and greets there with `INFO`, which it does before TLS too. The
/// caller sets the bound.
pub(crate) async fn port(ports: &Path, reached: impl Fn(u16) -> SocketAddr) -> u16 {
    loop {
        if let Some(port) = listed(ports)
            && greets(reached(port)).await
        {
            return port;
        }
        sleep(POLL).await;
    }
}

/// `nats-server_<pid>.ports`: where a server listens.
#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
}

fn listed(ports: &Path) -> Option<u16> {
    let file = fs::read_dir(ports).ok()?.next()?.ok()?.path();
    // The server writes it in place, so that it may be half there: then it is read again.
    let ports: Ports = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    ports.nats.first()?.rsplit_once(':')?.1.parse().ok()
}

async fn greets(at: SocketAddr) -> bool {
    let mut greeting = [0; 5];
    let Ok(mut stream) = TcpStream::connect(at).await else {
        return false;
    };
    stream.read_exact(&mut greeting).await.is_ok() && greeting == *b"INFO "
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_once_the_file_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(listed(dir.path()), None);
        let table = [
            ("", None),
            (r#"{"nats":["nats://127.0"#, None),
            (r#"{"nats":[]}"#, None),
            (r#"{"nats":["nats://127.0.0.1:33815"],"monitoring":[]}"#, Some(33815)),
        ];
        for (content, expected) in table {
            fs::write(dir.path().join("nats-server_7.ports"), content).unwrap();
            assert_eq!(listed(dir.path()), expected, "{content}");
        }
    }
}
