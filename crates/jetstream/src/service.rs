//! The relay's side of the command bus: a NATS micro service (ADR-32), so that `nats micro` finds it and counts.

use agent_otp_domain::codec::{self, DecodeError};
use agent_otp_domain::{MemberId, OwnerId, Role, visible};
use async_nats::HeaderMap;
use async_nats::service::{Request, Service as MicroService, ServiceExt as _};
use futures_util::stream::{SelectAll, StreamExt as _};
use tracing::{debug, warn};

use crate::connection::Connection;
use crate::error::StoreError;
use crate::message::{Ask, Reply};
use crate::subject::{self, Verb};

/// The largest command, in bytes: a statement, a sealed link and some air.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;

/// The relay's endpoints, one a verb.
pub struct Service {
    requests: SelectAll<futures_util::stream::BoxStream<'static, (Verb, Request)>>,
    /// Dropping it ends the service.
    service: MicroService,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service(agent-otp-relay)")
    }
}

/// Something that was asked, and the way to answer.
pub struct Incoming {
    /// Whose member asks.
    pub owner: OwnerId,
    /// In which role, as NATS's permissions let it.
    pub role: Role,
    /// Under which name.
    pub member: MemberId,
    /// What it asks by the subject.
    pub verb: Verb,
    /// What it asks by the body.
    pub ask: Result<Ask, Unreadable>,
    request: Request,
}

/// Why a command's body says nothing.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is larger than any command.
    #[error("it has {bytes} bytes, and no command has more than {COMMAND_BYTES_MAX}")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// It is no command.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Incoming({} by {}:{})", self.verb.as_str(), self.role, self.member)
    }
}

impl Service {
    /// Registers the service and its endpoints; any number of relays share the work.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the broker refuses.
    pub async fn start(connection: &Connection) -> Result<Self, StoreError> {
        let doing = "registration of the service";
        let service = connection
            .client
            .service_builder()
            .description("Agent OTP: decides commands, appends events, keeps and erases sealed codes")
            .queue_group(subject::RELAY_QUEUE)
            .start("agent-otp-relay", env!("CARGO_PKG_VERSION"))
            .await
            .map_err(StoreError::unreachable(doing))?;
        let mut requests = SelectAll::new();
        for verb in Verb::ALL {
            let endpoint = service
                .endpoint_builder()
                .name(verb.as_str())
                .add(subject::commands(verb))
                .await
                .map_err(StoreError::unreachable(doing))?;
            requests.push(endpoint.map(move |request| (verb, request)).boxed());
        }
        Ok(Self { requests, service })
    }

    /// The next thing that is asked; none when the connection is closed for good.
    pub async fn next(&mut self) -> Option<Incoming> {
        loop {
            let (verb, request) = self.requests.next().await?;
            let subject = request.message.subject.as_str();
            let Some((owner, role, member)) = subject::caller(subject) else {
                debug!(subject, "command from nobody");
                continue;
            };
            // NATS lets anyone name any subject for the answer, and the relay may publish where others may not: an
            // answer that went to a log's or a roster's subject would be stored there for ever.
            let inbox = format!("{}.", subject::inbox(&owner, role, &member));
            if !request.message.reply.as_ref().is_some_and(|reply| reply.starts_with(&inbox)) {
                warn!(subject, "an answer was asked for elsewhere than in the asker's own inbox");
                continue;
            }
            let payload = &request.message.payload;
            let ask = if payload.len() > COMMAND_BYTES_MAX {
                Err(Unreadable::TooLarge { bytes: payload.len() })
            } else {
                codec::decode(payload).map_err(Unreadable::from)
            };
            return Some(Incoming { owner, role, member, verb, ask, request });
        }
    }

    /// Takes no more, so that another relay gets what comes.
    pub async fn stop(self) {
        if let Err(error) = self.service.stop().await {
            debug!(%error, "service was gone");
        }
    }
}

impl Incoming {
    /// Answers. What NATS's own tools read stands in the headers, and the body says the same.
    pub async fn answer(&self, reply: &Reply) {
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", "application/msgpack");
        if let Reply::Refused { code, message } = reply {
            // A header holds no line break, and a message may quote what a member sent.
            headers.insert("Nats-Service-Error", visible(message).as_str());
            headers.insert("Nats-Service-Error-Code", code.status().to_string().as_str());
        }
        if let Err(error) = self.request.respond_with_headers(Ok(codec::encode(reply).into()), headers).await
        {
            debug!(%error, "nobody waits for the answer");
        }
    }
}
