//! What an IMAP server says, to a client that checks the mailbox and judges its newest mail.

use std::cell::RefCell;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use agent_otp_user::mail::authentication::{Authenticator, Dns};
use agent_otp_user::source::config::{Configured, parse};
use agent_otp_user::source::finding::Finding;
use agent_otp_user::{Judge, Unverified};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// How long the client may take with a server that has said everything.
const SESSION_MAX: Duration = Duration::from_secs(8);

thread_local! {
    static SERVER: RefCell<Server> = RefCell::new(Server::new());
}

/// A server that says what it is given, whatever it is asked.
struct Server {
    runtime: Runtime,
    listener: TcpListener,
    mailbox: Box<dyn Configured>,
    /// Of mode 0600, and there as long as the mailbox is.
    _password: NamedTempFile,
}

/// The client ends and says what it found, and never a digit of what it read.
pub fn imap(bytes: &[u8]) {
    SERVER.with_borrow_mut(|server| {
        let judge = Judge::new(Unverified::Accept, Authenticator::new(Dns::None, None).unwrap());
        let check = server.mailbox.check();
        let found = server.say(bytes, check);
        assert!(!found.is_empty());
        let test = server.mailbox.test(judge);
        let found = server.say(bytes, test);
        assert!(!found.is_empty());
        for finding in found.iter().filter(|finding| finding.what == "code") {
            assert!(!finding.text.contains(|character: char| character.is_ascii_digit()), "{finding}");
        }
    });
}

impl Server {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let mut password = NamedTempFile::new().unwrap();
        password.write_all(b"secret\n").unwrap();
        let table = format!(
            "[[imap]]\nname = \"mine\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nuser = \"me\"\npassword_file = \"{}\"\n",
            listener.local_addr().unwrap().port(),
            password.path().display()
        );
        let mailbox = parse(Path::new("sources.toml"), table.as_bytes()).unwrap().remove(0);
        Self { runtime, listener, mailbox, _password: password }
    }

    /// Says it to whoever connects, and that no more will come.
    fn say(&self, bytes: &[u8], client: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
        let serve = async {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            stream.set_zero_linger().unwrap();
            let (mut incoming, mut outgoing) = stream.split();
            let said = async {
                // The client may have had enough before the end.
                let _said = outgoing.write_all(bytes).await;
                let _ended = outgoing.shutdown().await;
            };
            let mut heard = Vec::new();
            let _heard = tokio::join!(said, incoming.read_to_end(&mut heard));
        };
        let both = async { tokio::join!(client, serve).0 };
        self.runtime
            .block_on(async { timeout(SESSION_MAX, both).await })
            .expect("a client ends with its server")
    }
}
