//! One source of messages on a runtime of its own, and a peer that sends it bytes over a real connection.

use std::net::SocketAddr;
use std::time::Duration;

use agent_otp_user::mail::authentication::{Authenticator, Dns};
use agent_otp_user::source::Source;
use agent_otp_user::{Intake, Message, Received, Unverified};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a session may last whose peer waits for nothing.
const SESSION_MAX: Duration = Duration::from_secs(8);

/// A running source. All of it is on the thread that asks, so that what it does is counted there.
pub(super) struct Peer {
    runtime: Runtime,
    address: SocketAddr,
    received: mpsc::Receiver<Received>,
}

/// What came of one connection.
pub(super) struct Heard {
    pub(super) answer: Vec<u8>,
    pub(super) messages: Vec<Message>,
}

impl Peer {
    /// Runs a source until the thread ends.
    pub(super) fn of(bind: impl Future<Output = Box<dyn Source>>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let source = runtime.block_on(bind);
        let address = source.local_addr().unwrap();
        let (intake, received) =
            Intake::new(Unverified::Accept, Authenticator::new(Dns::None, None).unwrap());
        runtime.spawn(source.run(intake, CancellationToken::new()));
        Self { runtime, address, received }
    }

    /// Sends bytes, says that no more will come, and hears the answer to its end.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Heard {
        let heard = async { timeout(SESSION_MAX, exchange(self.address, bytes)).await };
        let answer = self.runtime.block_on(heard).expect("a peer that waits for nothing is answered at once");
        let messages =
            std::iter::from_fn(|| self.received.try_recv().ok()).filter_map(Received::message).collect();
        Heard { answer, messages }
    }
}

async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Closed by a reset: thousands of connections a second would use up the ports otherwise.
    stream.set_zero_linger().unwrap();
    let (mut incoming, mut outgoing) = stream.split();
    let send = async {
        // The source may have had enough before the end.
        let _sent = outgoing.write_all(bytes).await;
        let _ended = outgoing.shutdown().await;
    };
    let mut answer = Vec::new();
    let receive = incoming.read_to_end(&mut answer);
    let ((), received) = tokio::join!(send, receive);
    received.expect("an answer comes whole");
    answer
}
