//! Finds or installs nats-server, writes its configuration, runs it as a child.
//!
//! It knows no subject of ours: permissions are handed in as plain strings.

mod broker;
mod cache;
mod certificate;
mod child;
mod config;
mod directory;
mod find;
mod install;
mod log;
mod orphan;
mod package;
mod private;
mod process;
mod ready;
mod scope;
mod user_key;
mod version;

pub use broker::{Broker, ReloadError, StartError, StopError};
pub use certificate::{Certificate, CertificateError};
pub use config::{Config, Listen, Permissions, Responses, User, authorization};
pub use directory::ClaimError;
pub use find::{ENVIRONMENT, FindError, Found, find};
pub use install::{InstallError, find_or_install, find_or_install_blocking};
pub use orphan::{OrphanError, stop_orphan};
pub use private::SecretError;
pub use process::ProcessError;
pub use scope::Scope;
pub use user_key::{CreateKeyError, LoadKeyError, UserKey};
pub use version::{OLDEST, Unsuitable, Version};
