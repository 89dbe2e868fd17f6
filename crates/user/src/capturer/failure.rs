//! Why a code did not get to the relay, and what the user can do.

use agent_otp_domain::{RequestId, causes};
use agent_otp_jetstream::CallError;

use crate::sealer::CaptureError;
use crate::spent::SpendError;

/// Why a code did not get to the relay.
#[derive(Debug)]
pub(super) enum Failure {
    Unsealed(CaptureError),
    Refused(CallError),
    BrokeDown,
}

impl Failure {
    /// What the user is told, and what to do.
    pub(super) fn advice(&self, id: RequestId) -> String {
        match self {
            Self::Unsealed(
                error @ (CaptureError::Spend(SpendError::Unwritten(_)) | CaptureError::Seal(_)),
            ) => {
                let causes = causes(error);
                format!("a message came, but {causes}; hand it in yourself: agent-otp capture {id}")
            }
            Self::Unsealed(error) => format!("a message came, but {}", causes(error)),
            Self::Refused(error) => format!(
                "a code was sealed, but the relay refuses it: {}; deny the request, and have the agent ask again: \
                 agent-otp deny {id}",
                causes(error)
            ),
            Self::BrokeDown => {
                format!(
                    "a message came, but its capture broke down; hand it in yourself: agent-otp capture {id}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use agent_otp_domain::Wanted;
    use agent_otp_jetstream::message::RefusalCode;
    use agent_otp_keyring::KeyringError;
    use agent_otp_seal::SealError;

    use super::*;

    #[test]
    fn the_user_is_told_what_to_do_of_whatever_keeps_a_code_back() {
        let id: RequestId = "01a20756-84c9-74e8-a286-bf88276fd7db".parse().unwrap();
        let full =
            KeyringError::Unwritable { path: "spent".into(), source: std::io::ErrorKind::StorageFull.into() };
        let told = [
            Failure::Unsealed(CaptureError::Spend(SpendError::Unwritten(full))),
            Failure::Unsealed(CaptureError::Seal(SealError::Content { wanted: Wanted::Link })),
            Failure::Unsealed(CaptureError::Spend(SpendError::Twice)),
            Failure::Refused(CallError::Refused { code: RefusalCode::Mismatch, message: "no".to_owned() }),
            Failure::BrokeDown,
        ]
        .map(|failure| failure.advice(id));
        insta::assert_snapshot!(told.join("\n"), @r"
        a message came, but the record cannot be written: cannot write spent: no storage space; hand it in yourself: agent-otp capture 01a20756-84c9-74e8-a286-bf88276fd7db
        a message came, but the code cannot be sealed: what was captured is no link; hand it in yourself: agent-otp capture 01a20756-84c9-74e8-a286-bf88276fd7db
        a message came, but the approval was acted on before
        a code was sealed, but the relay refuses it: no; deny the request, and have the agent ask again: agent-otp deny 01a20756-84c9-74e8-a286-bf88276fd7db
        a message came, but its capture broke down; hand it in yourself: agent-otp capture 01a20756-84c9-74e8-a286-bf88276fd7db
        ");
    }
}
