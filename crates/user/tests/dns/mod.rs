//! A DNS server on the loopback that knows the TXT records of a few names, and no others (RFC 1035).

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::thread;

/// A query's header, in octets.
const HEADER: usize = 12;
/// That a response is one, without an error, to a recursive query.
const ANSWER: [u8; 2] = [0x81, 0x80];
/// The same for a name that does not exist.
const NO_NAME: [u8; 2] = [0x81, 0x83];
/// One question, as many answers as the next one says, no authority, nothing besides.
const ONE_QUESTION: [u8; 2] = [0, 1];

/// Starts a server that answers as long as the process runs, and returns where.
pub(crate) fn serve(records: BTreeMap<String, String>) -> SocketAddr {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut query = [0; 1_500];
        while let Ok((length, peer)) = socket.recv_from(&mut query) {
            socket.send_to(&answer(&query[..length], &records), peer).unwrap();
        }
    });
    address
}

/// The records of a zone as a corpus gives it: `{"txt": {NAME: TEXT or null}}`.
pub(crate) fn zone(json: &str) -> serde_json::Result<BTreeMap<String, String>> {
    #[derive(serde::Deserialize)]
    struct Zone {
        #[serde(default)]
        txt: BTreeMap<String, Option<String>>,
    }
    let zone: Zone = serde_json::from_str(json)?;
    Ok(zone.txt.into_iter().filter_map(|(name, text)| Some((name, text?))).collect())
}

fn answer(query: &[u8], records: &BTreeMap<String, String>) -> Vec<u8> {
    let (mut labels, mut at) = (Vec::new(), HEADER);
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    let question = &query[HEADER..at + 5];
    let is_text = question[question.len() - 4..] == [0, 16, 0, 1];
    let text = records.get(&labels.join("."));
    let found = text.filter(|_| is_text);
    let flags = if text.is_some() { ANSWER } else { NO_NAME };
    let mut answer =
        [&query[..2], &flags, &ONE_QUESTION, &[0, u8::from(found.is_some())], &[0; 4], question].concat();
    if let Some(text) = found {
        let strings: Vec<u8> = text
            .as_bytes()
            .chunks(255)
            .flat_map(|chunk| {
                std::iter::once(u8::try_from(chunk.len()).unwrap()).chain(chunk.iter().copied())
            })
            .collect();
        // The question's name, TXT, IN, an hour.
        answer.extend([0xc0, 0x0c, 0, 16, 0, 1, 0, 0, 0x0e, 0x10]);
        answer.extend(u16::try_from(strings.len()).unwrap().to_be_bytes());
        answer.extend(strings);
    }
    answer
}
