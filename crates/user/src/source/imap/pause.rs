//! How long a folder waits after a failure: twice as long each time, and long where trying again soon is of no use.

use std::time::Duration;

use super::error::ImapError;

/// How long it waits the first time and at most.
pub(super) const AGAIN_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// The same where trying again soon is of no use.
const AGAIN_AFTER_LASTING: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(15));

/// How often it has failed without a success in between. A network that comes and goes says nothing of the password.
#[derive(Debug, Default)]
pub(super) struct Failures {
    lasting: u32,
    passing: u32,
}

impl Failures {
    /// How long it waits after another one.
    pub(super) fn pause(&mut self, error: &ImapError) -> Duration {
        let ((first, longest), failures) = if error.is_lasting() {
            (AGAIN_AFTER_LASTING, &mut self.lasting)
        } else {
            (AGAIN_AFTER, &mut self.passing)
        };
        let pause = first.saturating_mul(1 << (*failures).min(10)).min(longest);
        *failures += 1;
        pause
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::error::{By, refusal};
    use super::super::secret::SecretError;
    use super::*;

    #[test]
    fn only_what_the_user_has_to_mend_waits_long_and_one_kind_does_not_lengthen_the_other() {
        let logged_out = || refusal("no".to_owned(), |said| ImapError::LoggedOut { said, by: By::Password });
        let mut failures = Failures::default();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let broken = ImapError::Broken(io::ErrorKind::TimedOut.into());
            assert_eq!(failures.pause(&broken).as_secs(), seconds);
        }
        for minutes in [1, 2, 4, 8, 15, 15] {
            assert_eq!(failures.pause(&logged_out()).as_secs(), minutes * 60);
        }
    }

    #[test]
    fn a_refusal_that_is_over_soon_and_a_token_that_does_not_come_are_tried_again_soon() {
        let passing = [
            "[UNAVAILABLE] Temporary authentication failure.",
            "[inuse] try later",
            "[LIMIT] enough",
            "[SERVERBUG] oh",
            "Too many simultaneous connections. (Failure)",
        ];
        for said in passing {
            let error = refusal(said.to_owned(), |said| ImapError::LoggedOut { said, by: By::Password });
            assert!(!error.is_lasting(), "{error}");
            assert!(!error.to_string().contains("password"), "{error}");
        }
        for said in ["[AUTHENTICATIONFAILED] no", "no [UNAVAILABLE]", "[UNAVAILABLES] no", "[ALERT] no"] {
            let error = refusal(said.to_owned(), |said| ImapError::LoggedOut { said, by: By::Password });
            assert!(error.is_lasting(), "{error}");
        }
        let program = || "token".to_owned();
        for (error, is_lasting) in [
            (SecretError::Failed { program: program(), status: "exit status: 1".to_owned() }, false),
            (SecretError::Slow { program: program() }, false),
            (SecretError::NotRun { program: program(), source: io::ErrorKind::NotFound.into() }, true),
            (SecretError::Empty(program()), true),
        ] {
            assert_eq!(ImapError::from(error).is_lasting(), is_lasting);
        }
    }
}
