//! How the streams are kept, as it is typed: a relay is told the same as `provision`.

use agent_otp_jetstream::provision::{Settings, VaultStorage};
use clap::{Args, ValueEnum};

/// How the streams are kept.
#[derive(Debug, Clone, Copy, Args)]
pub struct Streams {
    /// On how many servers each stream is kept: 1, 3 or 5.
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// Where sealed codes are kept until they are erased.
    #[arg(long, value_enum, default_value_t = Vault::Memory)]
    vault: Vault,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Vault {
    /// In memory: no byte of them reaches a file.
    Memory,
    /// In files: they outlive a restart of the broker.
    File,
}

impl Streams {
    /// What `provision` and a relay are told.
    #[must_use]
    pub fn settings(self) -> Settings {
        let vault = match self.vault {
            Vault::Memory => VaultStorage::Memory,
            Vault::File => VaultStorage::File,
        };
        Settings { replicas: self.replicas, vault }
    }
}
