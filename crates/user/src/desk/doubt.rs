//! Why nothing is released although something fits, and what the user is told and asked.

use agent_otp_domain::{Purpose, RequestKey};

use crate::mail::authentication::NotAuthentic;

/// Why nothing is released although something fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// One message fits several approved requests.
    Requests,
    /// Several codes fit the request.
    Codes,
    /// The code that fits was released to another request.
    Copy,
    /// The code is for something that the request does not ask for.
    Purpose(Purpose),
    /// A code that fits came, but was written or received before the request by the clock of another machine.
    Late,
    /// Another code came after the one that was released.
    Newer,
    /// A mail that claims to be from the sender asked for was refused.
    Sender(NotAuthentic),
}

/// Something that the user has to decide about a request, or to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which request.
    pub request: RequestKey,
    /// What is in doubt.
    pub doubt: Doubt,
    /// What fits: codes, each masked (`4•••13`), or the agents of other requests.
    pub choices: Vec<String>,
}

impl Question {
    /// What the user is told, and what to do.
    #[must_use]
    pub fn advice(&self) -> String {
        let choices = match self.choices.as_slice() {
            [] => String::new(),
            choices => format!(" ({})", choices.join(", ")),
        };
        let id = self.request.request;
        match self.doubt {
            Doubt::Requests => format!(
                "a message fits this request and another one{choices}, so neither gets it; deny the other, and this one gets it"
            ),
            Doubt::Codes => format!(
                "more than one code fits this request{choices}, so none is released; deny it and have the agent \
                 ask again, or hand in the right one: agent-otp capture {id}"
            ),
            Doubt::Copy => {
                "the code that fits this request was released before, so it is not released again; have the agent ask the service for a new one"
                    .to_owned()
            }
            Doubt::Purpose(purpose) => format!(
                "a message came, but its code is for something else ({purpose}), so it is not released; deny the request \
                 unless you expect that, and have the agent ask with --purpose {purpose}"
            ),
            Doubt::Late => {
                "a message came with a code that fits, but by the clock of whoever sent or kept it it is from before this request, so it is not released; have the agent ask the service for a new one; if that goes on, set the clock of this machine"
                    .to_owned()
            }
            Doubt::Newer => {
                "a newer code came after one was released for this request; it replaces nothing: if the service refuses \
                 the first, have the agent ask again"
                    .to_owned()
            }
            Doubt::Sender(why) => why.advice(id),
        }
    }
}
