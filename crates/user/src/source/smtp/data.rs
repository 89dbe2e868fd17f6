//! The octets of one mail, from after `DATA` to the line that holds only a dot (RFC 5321, section 4.5.2).
//!
//! Only `CRLF . CRLF` ends them. Whatever else some server may take for the end (`LF . LF`, `CR . CR`,
//! `CRLF . CR CR LF`) is content, so that no mail can carry a second one past the server that forwarded
//! it (SMTP smuggling, CVE-2023-51764). The receiver of `smtp-proto` 0.2.5 ends at the last of these, and
//! neither ends nor unstuffs in the first line; hence this one.

use zeroize::Zeroizing;

use super::room::{NoRoom, Room, SMALL_OCTETS, Taken};

/// The largest mail that is taken, in octets as counted by SIZE (RFC 1870): 10 MiB.
pub(in crate::source) const MAIL_MAX: usize = 10 * 1024 * 1024;

/// Room for most mails with a code; more is made by doubling.
const FIRST_CAPACITY: usize = 16 * 1024;

/// A mail that is being received, dot-unstuffed.
pub(super) struct Data {
    octets: Zeroizing<Vec<u8>>,
    place: Place,
    room: Room,
    taken: Taken,
    unkept: Option<Unkept>,
}

/// A mail that was received whole, and the room that it takes.
pub(super) struct Whole {
    pub(super) octets: Zeroizing<Vec<u8>>,
    /// Free again when the mail is gone.
    pub(super) taken: Taken,
}

/// Why a mail was received and not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unkept {
    /// It is larger than [`MAIL_MAX`].
    TooLarge,
    /// Others take the room.
    NoRoom,
}

/// What was read last, as far as it decides whether the mail ends.
#[derive(Clone, Copy)]
enum Place {
    /// After CRLF, or at the very beginning.
    LineStart,
    /// Within a line.
    Text,
    /// After a CR that belongs to the mail.
    Cr,
    /// After a dot at the start of a line; it does not belong to the mail.
    Dot,
    /// After that dot and a CR; whether the CR belongs to the mail is open.
    DotCr,
    /// After the end.
    End,
}

impl Data {
    pub(super) fn new(room: Room) -> Self {
        let octets = Zeroizing::new(Vec::new());
        Self { octets, place: Place::LineStart, room, taken: Taken::default(), unkept: None }
    }

    /// Takes octets of `block`, and returns how many belonged to the mail and its end: all of them while
    /// the mail goes on.
    pub(super) fn take(&mut self, block: &[u8]) -> usize {
        for (taken, &octet) in block.iter().enumerate() {
            if self.ended() {
                return taken;
            }
            self.place = self.step(octet);
        }
        block.len()
    }

    /// Whether the end was read.
    pub(super) fn ended(&self) -> bool {
        matches!(self.place, Place::End)
    }

    /// The mail, if it was kept.
    pub(super) fn into_mail(self) -> Result<Whole, Unkept> {
        let Self { octets, taken, unkept, .. } = self;
        unkept.map_or(Ok(Whole { octets, taken }), Err)
    }

    fn step(&mut self, octet: u8) -> Place {
        match (self.place, octet) {
            (Place::LineStart, b'.') => Place::Dot,
            (Place::Dot, b'\r') => Place::DotCr,
            (Place::DotCr, b'\n') => Place::End,
            (Place::DotCr, _) => {
                self.keep(b'\r');
                self.keep_after_cr(octet)
            }
            (Place::Cr, _) => self.keep_after_cr(octet),
            (Place::LineStart | Place::Text | Place::Dot, _) => self.keep_text(octet),
            (Place::End, _) => Place::End,
        }
    }

    fn keep_after_cr(&mut self, octet: u8) -> Place {
        if octet == b'\n' {
            self.keep(octet);
            return Place::LineStart;
        }
        self.keep_text(octet)
    }

    fn keep_text(&mut self, octet: u8) -> Place {
        self.keep(octet);
        if octet == b'\r' { Place::Cr } else { Place::Text }
    }

    fn keep(&mut self, octet: u8) {
        if self.unkept.is_some() {
            return;
        }
        if self.octets.len() == MAIL_MAX {
            return self.discard(Unkept::TooLarge);
        }
        if self.octets.len() == self.octets.capacity() && self.grow().is_err() {
            return self.discard(Unkept::NoRoom);
        }
        self.octets.push(octet);
    }

    fn discard(&mut self, why: Unkept) {
        self.octets = Zeroizing::new(Vec::new());
        self.taken = Taken::default();
        self.unkept = Some(why);
    }

    /// Doubles the capacity. A `Vec` that grows by itself would leave its old octets behind in freed memory.
    fn grow(&mut self) -> Result<(), NoRoom> {
        let capacity = (self.octets.capacity() * 2).clamp(FIRST_CAPACITY, MAIL_MAX);
        if capacity > SMALL_OCTETS {
            self.room.take(&mut self.taken, capacity - self.octets.capacity())?;
        }
        let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
        larger.extend_from_slice(&self.octets);
        self.octets = larger;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was sent, the mail that it holds, and what follows that mail.
    const ENDED: &[(&str, &str, &str)] = &[
        (".\r\n", "", ""),
        ("hi\r\n.\r\n", "hi\r\n", ""),
        ("hi\r\n.\r\nQUIT\r\n", "hi\r\n", "QUIT\r\n"),
        // Dot-stuffing.
        ("..\r\n.\r\n", ".\r\n", ""),
        ("...\r\n..a\r\n.b\r\n.\r\n", "..\r\n.a\r\nb\r\n", ""),
        ("a.\r\n .\r\n.\r\n", "a.\r\n .\r\n", ""),
        // Smuggling: no other end than the last.
        ("a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", ""),
        ("a\n.\r\nMAIL FROM:<>\r\n.\r\n", "a\n.\r\nMAIL FROM:<>\r\n", ""),
        ("a\r.\rb\r\n.\r\n", "a\r.\rb\r\n", ""),
        ("a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", ""),
        ("a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", ""),
        ("a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", ""),
        ("a\r\n.\r\r\nb\r\n.\r\n", "a\r\n\r\r\nb\r\n", ""),
        ("a\r\n.\0\r\nb\r\n.\r\n", "a\r\n\0\r\nb\r\n", ""),
        ("a\n\r.\r\nb\r\n.\r\n", "a\n\r.\r\nb\r\n", ""),
        ("a\r\r\n.\r\n", "a\r\r\n", ""),
    ];

    #[test]
    fn only_a_line_with_one_dot_between_crlfs_ends_the_mail() {
        for (sent, mail, rest) in ENDED {
            let mut data = Data::new(Room::default());
            let taken = data.take(sent.as_bytes());
            assert!(data.ended(), "{sent:?}");
            assert_eq!(&sent[taken..], *rest, "{sent:?}");
            assert_eq!(
                data.into_mail().unwrap_or_else(|_| panic!("kept")).octets.as_slice(),
                mail.as_bytes(),
                "{sent:?}"
            );
        }
    }

    #[test]
    fn the_mail_is_the_same_however_it_was_cut_into_blocks() {
        for (sent, mail, rest) in ENDED {
            let mut data = Data::new(Room::default());
            let taken: usize = sent.as_bytes().chunks(1).map(|block| data.take(block)).sum();
            assert_eq!(&sent[taken..], *rest, "{sent:?}");
            assert_eq!(
                data.into_mail().unwrap_or_else(|_| panic!("kept")).octets.as_slice(),
                mail.as_bytes(),
                "{sent:?}"
            );
        }
    }

    #[test]
    fn a_mail_without_its_last_line_goes_on() {
        for sent in
            ["", ".", ".\r", "hi\r\n", "hi\r\n.", "hi\r\n.\r", "hi\n.\n", "hi\r\n.\n", "hi\r.\r", "hi.\r\n"]
        {
            let mut data = Data::new(Room::default());
            assert_eq!(data.take(sent.as_bytes()), sent.len());
            assert!(!data.ended(), "{sent:?}");
        }
    }

    #[test]
    fn a_mail_of_the_largest_size_is_taken_and_one_octet_more_is_not() {
        let largest = vec![b'x'; MAIL_MAX - 2];
        for (more, is_taken) in [("\r\n.\r\n", true), ("x\r\n.\r\n", false)] {
            let mut data = Data::new(Room::default());
            data.take(&largest);
            data.take(more.as_bytes());
            assert!(data.ended());
            assert_eq!(data.into_mail().err(), (!is_taken).then_some(Unkept::TooLarge));
        }
    }

    #[test]
    fn where_large_mails_take_the_room_a_small_one_is_kept_and_a_large_one_is_not() {
        let room = Room::default();
        let large = [&vec![b'x'; MAIL_MAX - 2][..], b"\r\n.\r\n"].concat();
        let received = |mail: &[u8]| {
            let mut data = Data::new(room.clone());
            data.take(mail);
            data.into_mail()
        };
        let mut kept: Vec<_> = (0..6).map(|_| received(&large).unwrap_or_else(|_| panic!("room"))).collect();
        assert_eq!(received(&large).err(), Some(Unkept::NoRoom));
        assert_eq!(received(b"Your code is 482913.\r\n.\r\n").err(), None);
        kept.pop();
        assert_eq!(received(&large).err(), None);
    }
}
