//! One operation of the NATS client protocol, whole: its line, and the payload that the line announces.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// An operation as it came, of a client or of the server.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Every byte, line ends included.
    pub(crate) bytes: Vec<u8>,
    /// Where the payload begins.
    payload_at: usize,
}

impl Frame {
    /// Reads the next operation; none when the peer has closed, in the middle of one too.
    pub(crate) async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> Option<Self> {
        let mut bytes = Vec::new();
        from.read_until(b'\n', &mut bytes).await.ok()?;
        if !bytes.ends_with(b"\n") {
            return None;
        }
        let mut frame = Self { payload_at: bytes.len(), bytes };
        if let "PUB" | "HPUB" | "MSG" | "HMSG" = &*frame.verb() {
            let length: usize = frame.words().last()?.parse().ok()?;
            frame.bytes.resize(frame.payload_at + length + b"\r\n".len(), 0);
            from.read_exact(frame.bytes.get_mut(frame.payload_at..)?).await.ok()?;
        }
        Some(frame)
    }

    /// `PUB`, `HPUB`, `SUB`, `PING` …
    pub(crate) fn verb(&self) -> String {
        self.words().next().unwrap_or_default().to_ascii_uppercase()
    }

    /// Where it is published to, or subscribed to.
    pub(crate) fn subject(&self) -> &str {
        self.words().nth(1).unwrap_or_default()
    }

    /// Where the answer is to go: what stands between the subject and the lengths.
    pub(crate) fn reply(&self) -> Option<&str> {
        let words: Vec<&str> = self.words().collect();
        match (&*self.verb(), &words[..]) {
            ("PUB", [_, _, reply, _]) | ("HPUB", [_, _, reply, _, _]) => Some(reply),
            _ => None,
        }
    }

    /// The value of a header, of an operation that has headers.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let headers = String::from_utf8_lossy(self.behind(0)?).into_owned();
        headers.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    }

    /// The payload without its headers.
    pub(crate) fn payload(&self) -> &[u8] {
        let headers = match &*self.verb() {
            "HPUB" | "HMSG" => self.words().rev().nth(1).and_then(|length| length.parse().ok()).unwrap_or(0),
            _ => 0,
        };
        self.behind(headers).and_then(|bytes| bytes.strip_suffix(b"\r\n")).unwrap_or_default()
    }

    fn behind(&self, headers: usize) -> Option<&[u8]> {
        self.bytes.get(self.payload_at + headers..)
    }

    fn words(&self) -> impl DoubleEndedIterator<Item = &str> {
        let line = self.bytes.get(..self.payload_at).unwrap_or_default();
        std::str::from_utf8(line).unwrap_or_default().split_ascii_whitespace()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn operations_are_taken_apart_at_their_lengths_and_not_at_line_ends() {
        let mut stream: &[u8] =
            b"PING\r\nSUB a.b 1\r\nPUB a.b 4\r\n\r\n\r\n\r\nhpub a.b _INBOX.x.1 23 25\r\nNATS/1.0\r\nOtp-Id: 7\r\n\r\n\0\n\r\nPUB cut 9\r\nshor";
        let mut read = Vec::new();
        while let Some(frame) = Frame::read(&mut stream).await {
            read.push(frame);
        }
        let table: [(&str, &str, Option<&str>, &[u8]); 4] = [
            ("PING", "", None, b""),
            ("SUB", "a.b", None, b""),
            ("PUB", "a.b", None, b"\r\n\r\n"),
            ("HPUB", "a.b", Some("_INBOX.x.1"), b"\0\n"),
        ];
        assert_eq!(read.len(), table.len());
        for (frame, (verb, subject, reply, payload)) in read.iter().zip(table) {
            assert_eq!((&*frame.verb(), frame.reply(), frame.payload()), (verb, reply, payload), "{frame:?}");
            assert_eq!(frame.subject(), subject);
        }
        assert_eq!(read.last().unwrap().header("Otp-Id").as_deref(), Some("7"));
    }
}
