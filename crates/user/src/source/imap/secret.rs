//! What logs in: a password or an access token, read anew each time, and never kept.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use agent_otp_keyring::{KeyringError, private};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// How long a program may take to print a token: it may have to ask its service for one.
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// The longest line, in octets; tokens have up to about four thousand.
const LINE_OCTETS_MAX: u64 = 16 * 1_024;
/// What the programs of the user are not to see: see `docs/KEYS.md`.
const PASSPHRASE: &str = "AGENT_OTP_PASSPHRASE";

/// Where the secret comes from.
#[derive(Debug, Clone)]
pub(super) enum Login {
    /// A file with a password.
    Password(PathBuf),
    /// A file with an access token.
    Token(PathBuf),
    /// A program that prints an access token.
    TokenFrom(Vec<String>),
}

/// The secret itself.
pub(super) enum Secret {
    Password(Zeroizing<String>),
    Token(Zeroizing<String>),
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretError {
    #[error(transparent)]
    File(#[from] KeyringError),
    #[error("{0} begins with no line that could be a secret; write it there, alone on the first line")]
    Empty(String),
    #[error("{program} cannot be run")]
    NotRun { program: String, source: std::io::Error },
    #[error("{program} has ended with {status}; run it yourself to see why")]
    Failed { program: String, status: String },
    #[error("{program} takes longer than {} s; it may be waiting to be answered: run it yourself once", COMMAND_MAX.as_secs())]
    Slow { program: String },
}

impl SecretError {
    /// Whether only the user can mend it. A program may lack a network for a while.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::File(_) | Self::Empty(_) | Self::NotRun { .. } => true,
            Self::Failed { .. } | Self::Slow { .. } => false,
        }
    }
}

impl Login {
    /// Reads the secret, or has it printed.
    pub(super) async fn secret(&self) -> Result<Secret, SecretError> {
        Ok(match self {
            Self::Password(path) => {
                Secret::Password(first_line(&private::read(path)?, || path.display().to_string())?)
            }
            Self::Token(path) => {
                Secret::Token(first_line(&private::read(path)?, || path.display().to_string())?)
            }
            Self::TokenFrom(command) => Secret::Token(printed(command).await?),
        })
    }
}

async fn printed(command: &[String]) -> Result<Zeroizing<String>, SecretError> {
    let (program, arguments) =
        command.split_first().map_or(("", command), |(first, rest)| (first.as_str(), rest));
    let program = || program.to_owned();
    let not_run = |source| SecretError::NotRun { program: program(), source };
    let mut child = Command::new(program())
        .args(arguments)
        .env_remove(PASSPHRASE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(not_run)?;
    let mut printed =
        Zeroizing::new(Vec::with_capacity(usize::try_from(LINE_OCTETS_MAX).unwrap_or_default()));
    let stdout = child.stdout.take();
    let run = async {
        if let Some(stdout) = stdout {
            stdout.take(LINE_OCTETS_MAX).read_to_end(&mut printed).await?;
        }
        child.wait().await
    };
    let status = timeout(COMMAND_MAX, run)
        .await
        .map_err(|_elapsed| SecretError::Slow { program: program() })?
        .map_err(not_run)?;
    if !status.success() {
        return Err(SecretError::Failed { program: program(), status: status.to_string() });
    }
    first_line(&printed, program)
}

fn first_line(content: &[u8], from: impl Fn() -> String) -> Result<Zeroizing<String>, SecretError> {
    let line = content.split(|&octet| octet == b'\n').next().unwrap_or_default().trim_ascii();
    match str::from_utf8(line) {
        Ok(line) if !line.is_empty() && !line.chars().any(char::is_control) => {
            Ok(Zeroizing::new(line.to_owned()))
        }
        Ok(_) | Err(_) => Err(SecretError::Empty(from())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn the_first_line_of_a_private_file_is_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        fs::write(&path, " abcd efgh \nsecond").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let login = Login::Password(path.clone());
        assert!(matches!(login.secret().await, Ok(Secret::Password(secret)) if *secret == "abcd efgh"));
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(login.secret().await, Err(SecretError::File(KeyringError::Loose { .. }))));
    }

    #[tokio::test]
    async fn a_program_prints_a_token_or_it_is_told_why_not() {
        let run = |script: &str| Login::TokenFrom(["/bin/sh", "-c", script].map(str::to_owned).to_vec());
        assert!(
            matches!(run("echo token; echo more").secret().await, Ok(Secret::Token(token)) if *token == "token")
        );
        for (script, said) in [
            ("exit 3", "/bin/sh has ended with exit status: 3; run it yourself to see why"),
            (
                "true",
                "/bin/sh begins with no line that could be a secret; write it there, alone on the first line",
            ),
        ] {
            let Err(error) = run(script).secret().await else { panic!("{script}") };
            assert_eq!(error.to_string(), said);
        }
        let absent = Login::TokenFrom(vec!["/nowhere/token".to_owned()]);
        assert!(matches!(absent.secret().await, Err(SecretError::NotRun { .. })));
    }
}
