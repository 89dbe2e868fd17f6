//! Logging in: with a password or an access token, by the mechanisms that servers offer.

use data_encoding::BASE64;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::super::account::Account;
use super::super::error::{By, ImapError, refusal};
use super::super::response::Response;
use super::super::secret::{Login, Secret};
use super::{COMMAND_MAX, Connection, refused};

impl Connection {
    /// Logs in with the account's secret. A token that is refused is asked for once more: it may just have run out.
    pub(in super::super) async fn log_in(&mut self, account: &Account) -> Result<(), ImapError> {
        let logged_in = self.try_log_in(account).await;
        match (&account.login, logged_in) {
            (Login::TokenFrom(_), Err(ImapError::LoggedOut { .. })) => self.try_log_in(account).await?,
            (_, logged_in) => logged_in?,
        }
        self.ask_capabilities().await
    }

    async fn try_log_in(&mut self, account: &Account) -> Result<(), ImapError> {
        let user = &account.user;
        match account.login.secret().await? {
            Secret::Token(token) => {
                let plain = Zeroizing::new(format!("user={user}\u{1}auth=Bearer {}\u{1}\u{1}", *token));
                self.authenticate("XOAUTH2", &plain, By::Token).await
            }
            Secret::Password(password) if self.can("AUTH=PLAIN") => {
                let plain = Zeroizing::new(format!("\0{user}\0{}", *password));
                self.authenticate("PLAIN", &plain, By::Password).await
            }
            Secret::Password(password) => {
                let login = Zeroizing::new(format!("LOGIN {} {}", *quoted(user), *quoted(&password)));
                let logged_in = self.command("LOGIN", &login, |_| {}).await;
                logged_in
                    .map_err(|error| refused(error, |said| ImapError::LoggedOut { said, by: By::Password }))
            }
        }
    }

    /// Logs in by a mechanism of SASL with one message.
    async fn authenticate(&mut self, mechanism: &str, plain: &str, by: By) -> Result<(), ImapError> {
        let tag = self.send(&format!("AUTHENTICATE {mechanism}")).await?;
        let message = Zeroizing::new(BASE64.encode(plain.as_bytes()));
        let mut rest = Some(message);
        let until = Instant::now() + COMMAND_MAX;
        loop {
            match self.hear_until(until).await? {
                Response::Continuation => {
                    // After the message it says why it refuses, and is to be told to go on.
                    let line = rest.take().unwrap_or_default();
                    let line = Zeroizing::new(format!("{}\r\n", *line));
                    self.write(line.as_bytes()).await?;
                }
                Response::Tagged { tag: done, is_ok, said } if done == tag => {
                    let logged_out = |said| ImapError::LoggedOut { said, by };
                    return if is_ok { Ok(()) } else { Err(refusal(said, logged_out)) };
                }
                Response::Bye(said) => return Err(ImapError::Closed(said)),
                Response::Tagged { .. } | Response::Untagged(_) => {}
            }
        }
    }
}

/// A text as a quoted string. Servers of today take UTF-8 there too.
pub(super) fn quoted(text: &str) -> Zeroizing<String> {
    let mut quoted = Zeroizing::new(String::with_capacity(text.len() * 2 + 2));
    quoted.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}
