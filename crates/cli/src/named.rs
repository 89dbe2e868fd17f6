//! A member as it is typed and listed: by role and name, as `agent:shopper`.

use std::fmt;
use std::str::FromStr;

use agent_otp_domain::{IdError, MemberId, Role};

/// Which member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) role: Role,
    pub(crate) name: MemberId,
}

/// A text names no member.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NameError {
    #[error("a member is called by role and name, as `agent:shopper`; `agent-otp keys show` lists them")]
    Shape,
    #[error(
        "only agents, approvers, capturers and auditors are members; for the owner see `agent-otp keys recover`"
    )]
    Role,
    #[error(transparent)]
    Name(#[from] IdError),
}

/// The roles of members, in the order in which they are listed.
pub(crate) const ROLES: [Role; 4] = [Role::Agent, Role::Approver, Role::Capturer, Role::Auditor];

impl FromStr for Named {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (role, name) = text.split_once(':').ok_or(NameError::Shape)?;
        let role: Role = role.parse().map_err(|_| NameError::Shape)?;
        if !ROLES.contains(&role) {
            return Err(NameError::Role);
        }
        Ok(Self { role, name: name.parse()? })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.role, self.name)
    }
}
