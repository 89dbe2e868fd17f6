//! A network between one party and the broker. It knows where an operation ends, counts what the party writes, and
//! fails where the story says.

mod frame;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use agent_otp_domain::EventId;
use serde_json::Value;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::frame::Frame;

/// A network that leads to the broker, until it is dropped. A party that is started again finds it at the same URL.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    wire: Arc<Wire>,
    _serving: JoinSet<()>,
}

/// What becomes of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// Everything passes.
    Fair,
    /// Nothing passes, and nobody is told: what is sent waits.
    Stalled,
    /// Connections break, and new ones are refused.
    Cut,
}

struct Wire {
    broker: String,
    weather: watch::Sender<Weather>,
    seen: Mutex<Seen>,
    /// Held while an operation is on its way, so that none follows the one after which something happens.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Seen {
    /// The subject of each write.
    written: Vec<String>,
    fuse: Option<Fuse>,
    /// How often the fuse has blown: what was connected before is not heard any more.
    age: u32,
    /// The appends whose acknowledgement is awaited, by where it is to go.
    appends: BTreeMap<String, EventId>,
    acknowledged: Vec<(u64, EventId)>,
    sealed: Vec<Vec<u8>>,
    /// How many operations on a subject are still to be kept back.
    held: BTreeMap<String, usize>,
    late: Vec<Late>,
}

/// An operation that was kept back, and the connection that it came on.
type Late = (Vec<u8>, Arc<tokio::sync::Mutex<OwnedWriteHalf>>);

/// What happens once so many writes have passed.
struct Fuse {
    at: usize,
    action: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire(to {})", self.broker)
    }
}

impl Proxy {
    /// A network that leads to the broker at `url`, whether it listens already or not.
    pub async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = format!("nats://{}", listener.local_addr().unwrap());
        let wire = Arc::new(Wire {
            broker: url.trim_start_matches("nats://").to_owned(),
            weather: watch::channel(Weather::Fair).0,
            seen: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(wire.clone().serve(listener));
        Self { url: here, wire, _serving: serving }
    }

    /// Where the party is to connect.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The subjects of the writes that have passed: of every `PUB`, `HPUB` and `SUB`, which are what a party does to the
    /// world, over all its connections. `PING` and `PONG` follow a clock, `CONNECT` and `UNSUB` carry nothing: none of
    /// them counts.
    #[must_use]
    pub fn written(&self) -> Vec<String> {
        self.wire.seen().written.clone()
    }

    /// Does something when the `n`-th write from now on has left for the broker, whole, before any byte after it.
    ///
    /// What was connected then is never heard again: a party that is killed says nothing more, and one that lives
    /// connects once more.
    pub fn after(&self, n: usize, action: impl FnOnce() + Send + 'static) {
        let mut seen = self.wire.seen();
        seen.fuse = Some(Fuse { at: seen.written.len() + n, action: Box::new(action) });
    }

    /// Whether that has happened.
    #[must_use]
    pub fn has_blown(&self) -> bool {
        self.wire.seen().age > 0
    }

    /// The events that the broker said it has stored: each one's sequence in the log, and its id.
    #[must_use]
    pub fn acknowledged(&self) -> Vec<(u64, EventId)> {
        self.wire.seen().acknowledged.clone()
    }

    /// The sealed codes that were put into the vault, as they are.
    #[must_use]
    pub fn sealed(&self) -> Vec<Vec<u8>> {
        self.wire.seen().sealed.clone()
    }

    /// Keeps the next `n` operations on this subject back, while everything else passes: see [`Proxy::release`].
    pub fn hold(&self, subject: &str, n: usize) {
        self.wire.seen().held.insert(subject.to_owned(), n);
    }

    /// How many operations are kept back.
    #[must_use]
    pub fn late(&self) -> usize {
        self.wire.seen().late.len()
    }

    /// Delivers what was kept back, late, each on the connection that it came on.
    pub async fn release(&self) {
        let late = std::mem::take(&mut self.wire.seen().late);
        for (bytes, server) in late {
            server.lock().await.write_all(&bytes).await.unwrap();
        }
    }

    /// Breaks every connection, and refuses new ones.
    pub fn cut(&self) {
        self.wire.weather.send_replace(Weather::Cut);
    }

    /// Lets nothing pass and breaks nothing: what is sent arrives after [`Proxy::restore`].
    pub fn stall(&self) {
        self.wire.weather.send_replace(Weather::Stalled);
    }

    /// Lets everything pass again.
    pub fn restore(&self) {
        self.wire.weather.send_replace(Weather::Fair);
    }
}

impl Wire {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let (wire, age) = (self.clone(), self.seen().age);
            connections.spawn(async move {
                let mut weather = wire.weather.subscribe();
                tokio::select! {
                    () = wire.connect(client, age) => {}
                    _ = weather.wait_for(|weather| *weather == Weather::Cut) => {}
                }
            });
            while connections.try_join_next().is_some() {}
        }
    }

    /// Carries one connection until both ends have closed it.
    async fn connect(&self, client: TcpStream, age: u32) {
        let Ok(server) = TcpStream::connect(&self.broker).await else { return };
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::join!(self.up(from_client, to_server, age), self.down(from_server, to_client));
    }

    async fn up(&self, client: OwnedReadHalf, server: OwnedWriteHalf, age: u32) {
        let server = Arc::new(tokio::sync::Mutex::new(server));
        let mut client = BufReader::new(client);
        while let Some(frame) = Frame::read(&mut client).await {
            self.fair().await;
            if self.seen().is_held(&frame) {
                self.seen().late.push((frame.bytes, server.clone()));
                continue;
            }
            let _turn = self.turn.lock().await;
            if self.seen().age != age || server.lock().await.write_all(&frame.bytes).await.is_err() {
                break;
            }
            if let Some(action) = self.seen().note(&frame) {
                action();
                break;
            }
        }
        // The broker takes what has arrived before it sees the end.
        server.lock().await.shutdown().await.ok();
    }

    async fn down(&self, server: OwnedReadHalf, mut client: OwnedWriteHalf) {
        let mut server = BufReader::new(server);
        // Read to its end although the client has gone: an unread rest would reset the connection.
        while let Some(frame) = Frame::read(&mut server).await {
            self.fair().await;
            self.seen().note_answer(&frame);
            client.write_all(&frame.bytes).await.ok();
        }
        client.shutdown().await.ok();
    }

    async fn fair(&self) {
        let mut weather = self.weather.subscribe();
        weather.wait_for(|weather| *weather == Weather::Fair).await.expect("the sender is held here");
    }
}

impl Seen {
    /// Whether this operation is kept back.
    fn is_held(&mut self, frame: &Frame) -> bool {
        let Some(left) = self.held.get_mut(frame.subject()).filter(|left| **left > 0) else { return false };
        *left -= 1;
        true
    }

    /// Counts what the party sent, and gives what is to happen after it.
    fn note(&mut self, frame: &Frame) -> Option<Box<dyn FnOnce() + Send>> {
        if !matches!(&*frame.verb(), "PUB" | "HPUB" | "SUB") {
            return None;
        }
        self.written.push(frame.subject().to_owned());
        if frame.subject().starts_with("otp.v1.log.")
            && let Some((reply, id)) = frame.reply().zip(frame.header("Nats-Msg-Id"))
        {
            self.appends.insert(reply.to_owned(), id.parse().unwrap());
        }
        if frame.subject().starts_with("$KV.") {
            self.sealed.push(frame.payload().to_vec());
        }
        let fuse = self.fuse.take_if(|fuse| fuse.at == self.written.len())?;
        self.age += 1;
        Some(fuse.action)
    }

    /// Keeps in mind what the broker says it has stored.
    fn note_answer(&mut self, frame: &Frame) {
        if let Some(id) = self.appends.remove(frame.subject())
            && let Ok(answer) = serde_json::from_slice::<Value>(frame.payload())
            && let Some(sequence) = answer.get("seq").and_then(Value::as_u64)
            && answer.get("error").is_none()
        {
            self.acknowledged.push((sequence, id));
        }
    }
}
