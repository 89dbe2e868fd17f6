//! How a mail would be judged that nobody asked for: for the user who tries a source, and masked. No word of the mail is
//! told, no digit of its code, and of its sender the domain alone.

use std::fmt;
use std::sync::Arc;

use agent_otp_jetstream::clock;
use agent_otp_trust::SenderCheck;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::extract::{self, Extraction};
use crate::intake::Unverified;
use crate::mail::authentication::{Authenticator, Envelope, NotAuthentic};
use crate::mail::{self, Mail};
use crate::source::finding::Finding;

/// Judges mails as the intake of the user's side would.
#[derive(Clone)]
pub struct Judge {
    authenticator: Arc<Authenticator>,
    unverified: Unverified,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Judge({:?})", self.unverified)
    }
}

impl Judge {
    /// One that goes by the same rules as [`crate::Intake::new`].
    #[must_use]
    pub fn new(unverified: Unverified, authenticator: Authenticator) -> Self {
        Self { authenticator: Arc::new(authenticator), unverified }
    }

    /// What there is to say about a mail, in the order in which it is judged.
    pub async fn judge(&self, raw: Zeroizing<Vec<u8>>) -> Vec<Finding> {
        let read = spawn_blocking(move || mail::read(&raw).map(|mail| (raw, mail))).await;
        let (raw, mail) = match read {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return vec![Finding::fails("read", error.to_string())],
            Err(_broken) => return vec![Finding::fails("read", "its reader broke down")],
        };
        let domain = mail.from.rsplit_once('@').map_or("", |(_, domain)| domain);
        let sender = Finding::works("sender", format!("somebody at {}", agent_otp_domain::visible(domain)));
        let verified = self.authenticator.verify(&raw, &Envelope::local(), clock::now()).await;
        vec![sender, self.proof(verified.map(|authentic| authentic.check)), code(&mail, domain)]
    }

    fn proof(&self, proven: Result<SenderCheck, NotAuthentic>) -> Finding {
        match (proven, self.unverified) {
            (Ok(SenderCheck::Dkim), _) => Finding::works("proof", "a DKIM signature of the sender's domain"),
            (Ok(SenderCheck::Spf), _) => Finding::works("proof", "SPF of the sender's domain"),
            (Ok(SenderCheck::AuthenticationResults), _) => {
                Finding::works("proof", "the results of the server that you trust")
            }
            (Ok(SenderCheck::Unverified), _) => Finding::works("proof", "none is needed"),
            (Err(NotAuthentic::Stale), _) => {
                Finding::works("proof", "its sender is proven; it is too old to answer a request now")
            }
            (Err(why), Unverified::Accept) => {
                Finding::slow("proof", format!("{why}; it would be taken on its word, as you said"))
            }
            (Err(why), Unverified::Refuse) => Finding::fails(
                "proof",
                format!("{why}; it would be refused: hand its code in with agent-otp capture"),
            ),
        }
    }
}

fn code(mail: &Mail, domain: &str) -> Finding {
    let (code, link) = (extract::code(&mail.text, None, Some(domain)), extract::link(&mail.text, domain));
    match (code, link) {
        (Extraction::Code(..), _) => Finding::works("code", "one code: ••••••"),
        (_, Extraction::Code(..)) => Finding::works("code", "one link to sign in with: https://••••"),
        (Extraction::Ambiguous | Extraction::Conflicting, _) => {
            Finding::fails("code", "more than one could be meant, so none would be released")
        }
        (Extraction::None, _) => Finding::slow("code", "there is none in this mail"),
    }
}

#[cfg(test)]
mod tests {
    use crate::mail::authentication::Dns;

    use super::*;

    #[tokio::test]
    async fn a_mail_is_judged_without_a_word_or_a_digit_of_it() {
        for (unverified, raw, expected) in [
            (Unverified::Refuse, MAIL, [
                "ok     sender         somebody at acme.example",
                "FAILS  proof          it bears no signature of its sender's domain; it would be refused: hand its code in with agent-otp capture",
                "ok     code           one code: ••••••",
            ].as_slice()),
            (Unverified::Accept, "From: a@acme.example\r\n\r\nYour code is 482913. Your code is 550127.", &[
                "ok     sender         somebody at acme.example",
                "slow   proof          it bears no signature of its sender's domain; it would be taken on its word, as you said",
                "FAILS  code           more than one could be meant, so none would be released",
            ]),
            (Unverified::Accept, "From: a@acme.example\r\n\r\nhello", &[
                "ok     sender         somebody at acme.example",
                "slow   proof          it bears no signature of its sender's domain; it would be taken on its word, as you said",
                "slow   code           there is none in this mail",
            ]),
            (Unverified::Accept, "hello", &["FAILS  read           the mail names no sender"]),
        ] {
            let judge = Judge::new(unverified, Authenticator::new(Dns::None, None).unwrap());
            let found = judge.judge(Zeroizing::new(raw.as_bytes().to_vec())).await;
            let told: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(told, expected);
        }
    }

    const MAIL: &str =
        "From: Acme <no-reply@acme.example>\r\nSubject: Sign in\r\n\r\nYour code is 482913.\r\n";
}
