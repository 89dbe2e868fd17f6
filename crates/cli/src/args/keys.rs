//! What can be typed behind `keys`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::named::Named;

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Lists the keys: whose, fingerprint, sealed or not. Never a key.
    Show {
        /// Prints a JSON object instead.
        #[arg(long)]
        json: bool,
    },
    /// Seals all keys with a passphrase: argon2id and XChaCha20-Poly1305.
    ///
    /// The passphrase is the one of --passphrase-file or `AGENT_OTP_PASSPHRASE`, or asked for. Broken off, the same
    /// command goes on. No plain key stays in the directory; flash memory, snapshots and backups may hold one that lay there.
    Protect {
        /// Seals with another passphrase than before: the one of a file, or one that is asked for.
        #[arg(long, value_name = "FILE")]
        #[expect(clippy::option_option, reason = "given or not, with a file or without")]
        change: Option<Option<PathBuf>>,
    },
    /// Writes all keys as they are, for whoever can read their files.
    Unprotect,
    /// Gives a member a new key: the next roster names it and revokes the old one.
    ///
    /// The user's side must not run meanwhile. Broken off, the same command goes on.
    Rotate {
        /// Which member, such as `agent:shopper`.
        member: Named,
    },
    /// Makes the key that you keep offline, in case the owner's key is lost or stolen.
    Recovery {
        #[command(subcommand)]
        verb: Recovery,
    },
    /// Makes a new owner key with the recovery key's help, and signs the next roster with it.
    ///
    /// Members follow by themselves: the roster proves that the recovery key has named the new one. The old one signs no
    /// roster any more. The directory owner/rosters must hold the latest roster.
    Recover {
        /// The file with the recovery key [default: asked for].
        #[arg(long, value_name = "FILE")]
        recovery_file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Recovery {
    /// Prints a new recovery key, once, and has the next roster name it.
    ///
    /// If the rosters name one already, that one is asked for: it alone can name another.
    New {
        /// Writes it to a new file instead.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// The file with the recovery key that the rosters name already [default: asked for].
        #[arg(long, value_name = "FILE")]
        recovery_file: Option<PathBuf>,
    },
}
