//! Any message of Agent OTP as JSON, from its body alone. It verifies nothing.
//!
//! Bodies come as a stream, one after the other, with or without a line feed between them, as `nats sub --raw` prints
//! them: every body of ours begins with the marker of a MessagePack map, which is no line feed, and NATS's own are JSON
//! objects or acknowledgements such as `+ACK`.

mod body;

use std::io::ErrorKind;

use serde_json::{Value, json};

pub use body::Unreadable;

/// The longest message, in bytes: the broker takes no longer one.
const BYTES_MAX: usize = 64 * 1024;
/// How deep values may be nested; ours are by 5.
const DEPTH_MAX: u16 = 64;
/// What the body of an acknowledgement to JetStream begins with.
const ACKNOWLEDGEMENTS: [&[u8]; 5] = [b"+ACK", b"-NAK", b"+WPI", b"+NXT", b"+TERM"];
/// The first field of every map of ours, as it is written: behind rubbish, a message is known by it.
const FIRST_FIELDS: [&[u8]; 3] = [b"\xa4type", b"\xa2id", b"\xacpayload_type"];
/// How many bytes show that a message begins: marker, first field, and what follows it.
const SHOWN_BY: usize = 80;

/// Takes bytes as they come, and gives messages. It holds one message and what was last fed.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// How many bytes came before those.
    offset: u64,
    /// What is being passed over, until a message begins.
    lost: Option<Undecodable>,
    has_ended: bool,
}

/// A part of the input that is no message.
#[derive(Debug, thiserror::Error)]
#[error("at byte {offset}: {reason}; {passed} bytes are passed over")]
pub struct Undecodable {
    /// Where it begins, in bytes from the beginning of the input.
    pub offset: u64,
    /// How long it is.
    pub passed: u64,
    /// What was found.
    pub reason: Reason,
}

/// Why a part of the input is no message.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// It begins like none.
    #[error("0x{0:02x} begins no message")]
    Begin(u8),
    /// It ends too early, or another message begins inside.
    #[error("a message that is cut off")]
    CutOff,
    /// It is longer than any message.
    #[error("a message of more than {BYTES_MAX} bytes")]
    TooLong,
    /// It is no MessagePack or JSON of any use.
    #[error("a message that is damaged")]
    Damaged,
    /// It is whole, and says nothing that is known.
    #[error(transparent)]
    Unreadable(Unreadable),
}

/// What the bytes begin with.
enum Frame {
    Whole(usize),
    Partial,
    None(Reason),
}

impl Decoder {
    /// Takes what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Nothing more will come.
    pub fn end(&mut self) {
        self.has_ended = true;
    }

    /// The next message, or the next part that is none; nothing if more has to be read first.
    ///
    /// # Errors
    ///
    /// [`Undecodable`], after which the next message follows all the same.
    pub fn message(&mut self) -> Option<Result<Value, Undecodable>> {
        if self.lost.is_some() {
            return self.find().map(Err);
        }
        let between = self.bytes.iter().take_while(|byte| **byte == b'\n').count();
        self.take(between);
        let first = *self.bytes.first()?;
        match frame(&self.bytes, first, self.has_ended) {
            Frame::Whole(length) => self.read(length),
            Frame::Partial if self.bytes.len() > BYTES_MAX => self.lose(Reason::TooLong),
            Frame::Partial if self.has_ended => self.lose(Reason::CutOff),
            Frame::Partial => None,
            Frame::None(reason) => self.lose(reason),
        }
    }

    /// Reads a message of this length, unless it is one that is cut off, and goes on in the next.
    fn read(&mut self, length: usize) -> Option<Result<Value, Undecodable>> {
        if (1..length).any(|at| follows_line(&self.bytes, at) && !is_counted(&self.bytes, at)) {
            return self.lose(Reason::CutOff);
        }
        let body = self.bytes.get(..length)?;
        match value(body) {
            Ok(told) => {
                self.take(length);
                Some(Ok(told))
            }
            // It may have swallowed the next message.
            Err(reason) => self.lose(reason),
        }
    }

    /// Passes over the first byte, and whatever follows until a message begins.
    fn lose(&mut self, reason: Reason) -> Option<Result<Value, Undecodable>> {
        self.lost = Some(Undecodable { offset: self.offset, passed: 1, reason });
        self.take(1);
        self.find().map(Err)
    }

    fn find(&mut self) -> Option<Undecodable> {
        let found = (0..self.bytes.len()).find(|at| begins(&self.bytes, *at));
        let passed = match found {
            Some(at) => at,
            None if self.has_ended => self.bytes.len(),
            // The last bytes may begin one.
            None => self.bytes.len().saturating_sub(SHOWN_BY),
        };
        self.take(passed);
        let lost = self.lost.as_mut()?;
        lost.passed = lost.passed.saturating_add(passed as u64);
        if found.is_some() || self.has_ended { self.lost.take() } else { None }
    }

    fn take(&mut self, length: usize) {
        self.offset = self.offset.saturating_add(length as u64);
        drop(self.bytes.drain(..length.min(self.bytes.len())));
    }
}

/// Whether a message begins here, behind bytes that are none. Within a line, only what begins no part of a message does.
fn begins(bytes: &[u8], at: usize) -> bool {
    follows_line(bytes, at) || fields(bytes, at).is_some_and(body::begins)
}

/// Whether a message begins here, and a line with it.
fn follows_line(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    if before != Some(&b'\n') {
        return false;
    }
    let line = bytes.get(at..).unwrap_or_default();
    let is_named = |fields: &[u8]| FIRST_FIELDS.iter().any(|field| fields.starts_with(field));
    line.starts_with(b"{\"") || is_acknowledgement(line) || fields(bytes, at).is_some_and(is_named)
}

/// Whether the line feed before is the last byte of a length, as an event within a reply has one before it.
fn is_counted(bytes: &[u8], at: usize) -> bool {
    let counted = |head: usize, marker: u8| {
        let length = bytes.get(at.checked_sub(head)?..at)?.strip_prefix(&[marker])?;
        let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        let inner = bytes.get(at..at.checked_add(length)?)?;
        matches!(frame_of_map(inner), Frame::Whole(whole) if whole == length).then_some(())
    };
    counted(3, 0xc5).or_else(|| counted(5, 0xc6)).is_some()
}

/// What follows the marker of a map.
fn fields(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let (marker, rest) = bytes.get(at..)?.split_first()?;
    match marker {
        0x81..=0x8f => Some(rest),
        0xde => rest.get(2..),
        0xdf => rest.get(4..),
        _ => None,
    }
}

fn is_acknowledgement(bytes: &[u8]) -> bool {
    ACKNOWLEDGEMENTS.iter().any(|word| bytes.starts_with(word))
}

/// How far the message reaches that begins with this byte; `is_all` if no more bytes will come.
fn frame(bytes: &[u8], first: u8, is_all: bool) -> Frame {
    match first {
        0x80..=0x8f | 0xde | 0xdf => frame_of_map(bytes),
        b'{' => frame_of_json(bytes),
        b'+' | b'-' => frame_of_text(bytes, is_all),
        byte => Frame::None(Reason::Begin(byte)),
    }
}

fn frame_of_map(bytes: &[u8]) -> Frame {
    let mut rest = bytes;
    match rmpv::decode::read_value_with_max_depth(&mut rest, DEPTH_MAX.into()) {
        Ok(map) if body::has_names(&map) => Frame::Whole(bytes.len().saturating_sub(rest.len())),
        Ok(_) => Frame::None(Reason::Damaged),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Frame::Partial,
        Err(_) => Frame::None(Reason::Damaged),
    }
}

fn frame_of_json(bytes: &[u8]) -> Frame {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    match values.next() {
        Some(Ok(_)) => Frame::Whole(values.byte_offset()),
        Some(Err(error)) if !error.is_eof() => Frame::None(Reason::Damaged),
        Some(Err(_)) | None => Frame::Partial,
    }
}

/// An acknowledgement reaches to the end of its line.
fn frame_of_text(bytes: &[u8], is_all: bool) -> Frame {
    let length = bytes.iter().take_while(|byte| **byte == b' ' || byte.is_ascii_graphic()).count();
    let may_go_on = length == bytes.len() && !is_all;
    if is_acknowledgement(bytes) {
        if may_go_on { Frame::Partial } else { Frame::Whole(length) }
    } else if may_go_on && ACKNOWLEDGEMENTS.iter().any(|word| word.starts_with(bytes)) {
        Frame::Partial
    } else {
        Frame::None(Reason::Begin(bytes.first().copied().unwrap_or_default()))
    }
}

/// What a whole message says.
fn value(bytes: &[u8]) -> Result<Value, Reason> {
    match bytes.first() {
        Some(b'{') => {
            let said: Value = serde_json::from_slice(bytes).map_err(|_| Reason::Damaged)?;
            Ok(json!({ "kind": "nats", "body": said }))
        }
        Some(b'+' | b'-') => {
            Ok(json!({ "kind": "nats", "acknowledgement": String::from_utf8_lossy(bytes).trim_end() }))
        }
        Some(_) | None => body::value(bytes).map_err(Reason::Unreadable),
    }
}
