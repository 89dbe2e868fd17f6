//! A network between a client and the broker that loses one message, or brings it twice.

use std::sync::{Arc, Mutex};

use agent_otp_jetstream::{Login, Server};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What happens to the next append on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is stored, and its acknowledgement never comes.
    AcknowledgementLost,
    /// It never arrives.
    AppendLost,
    /// It is held up, and arrives together with the next one.
    AppendLate,
}

/// The network, until it is dropped.
pub(crate) struct Network {
    fault: Arc<Mutex<Option<Fault>>>,
    url: String,
    _wires: JoinSet<()>,
}

impl Network {
    /// A network that leads to where `login` does.
    pub(crate) async fn to(login: &Login) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("nats://{}", listener.local_addr().unwrap());
        let server = login.server.url.trim_start_matches("nats://").to_owned();
        let fault = Arc::new(Mutex::new(None));
        let (mut wires, shared) = (JoinSet::new(), fault.clone());
        wires.spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(server).await.unwrap();
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            tokio::join!(
                upstream(from_client, to_server, shared.clone()),
                downstream(from_server, to_client, shared)
            );
        });
        Self { fault, url, _wires: wires }
    }

    /// The same login, through this network.
    pub(crate) fn through(&self, login: Login) -> Login {
        Login { server: Server { url: self.url.clone(), ..login.server }, ..login }
    }

    pub(crate) fn will(&self, fault: Fault) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    /// Whether the fault has happened.
    pub(crate) fn has_failed(&self) -> bool {
        self.fault.lock().unwrap().is_none()
    }
}

async fn upstream(
    mut client: impl AsyncRead + Unpin,
    mut server: impl AsyncWrite + Unpin,
    fault: Arc<Mutex<Option<Fault>>>,
) {
    let mut late = Vec::new();
    while let Some(chunk) = read(&mut client).await {
        let is_append = holds(&chunk, b"HPUB otp.v1.log.");
        let happens = if is_append { *fault.lock().unwrap() } else { None };
        match happens {
            Some(Fault::AppendLost) => *fault.lock().unwrap() = None,
            Some(Fault::AppendLate) if late.is_empty() => late = chunk,
            Some(Fault::AppendLate) => {
                *fault.lock().unwrap() = None;
                server.write_all(&[std::mem::take(&mut late), chunk].concat()).await.unwrap();
            }
            Some(Fault::AcknowledgementLost) | None => server.write_all(&chunk).await.unwrap(),
        }
    }
}

async fn downstream(
    mut server: impl AsyncRead + Unpin,
    mut client: impl AsyncWrite + Unpin,
    fault: Arc<Mutex<Option<Fault>>>,
) {
    while let Some(chunk) = read(&mut server).await {
        let is_lost = *fault.lock().unwrap() == Some(Fault::AcknowledgementLost);
        if is_lost && holds(&chunk, br#""stream":"OTP_LOG""#) {
            *fault.lock().unwrap() = None;
        } else if client.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

/// What came at once: on this machine, and as small as these are, that is one message whole.
async fn read(from: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut chunk = vec![0; 64 * 1024];
    let length = from.read(&mut chunk).await.ok().filter(|&length| length > 0)?;
    chunk.truncate(length);
    Some(chunk)
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
