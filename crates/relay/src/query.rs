//! Queries: a request's stored events, an owner's open requests, a roster. Nothing here changes anything.

use agent_otp_domain::{MemberId, RequestId, RequestKey, Role, State};
use agent_otp_jetstream::message::{OpenRequest, Reply};
use agent_otp_jetstream::{StoreError, clock};
use serde_bytes::ByteBuf;

use crate::refusal::Refusal;
use crate::serve::{Caller, Relay};

impl Relay {
    /// The events, byte for byte. To an agent, another's request does not exist.
    pub(crate) async fn get(
        &self,
        caller: &Caller,
        agent: MemberId,
        request: RequestId,
    ) -> Result<Reply, Refusal> {
        if caller.role == Role::Agent && agent != caller.member {
            return Err(Refusal::unknown());
        }
        let key = RequestKey { owner: caller.owner.clone(), agent, request };
        let loaded = match self.log.load(&key).await {
            Ok(loaded) => loaded,
            // To the user's side it is none, as it is for `open`: whoever waited for it would wait with all the others.
            Err(error @ StoreError::Damaged { .. }) if caller.role != Role::Agent => {
                self.damaged.tell(&key, &error);
                return Err(Refusal::unknown());
            }
            Err(error) => return Err(error.into()),
        };
        if loaded.events.is_empty() {
            // A replica may be behind: only the leader's word is a reason to say that there is none.
            let is_current = self.log.is_current(&key, loaded.last()).await?;
            return Err(if is_current { Refusal::unknown() } else { Refusal::behind() });
        }
        let events = loaded.bytes.iter().map(|bytes| ByteBuf::from(bytes.to_vec())).collect();
        Ok(Reply::Events { events, now: Some(clock::now()) })
    }

    /// One page of the owner's requests that have not ended, found by their armed timers. One that this relay cannot read
    /// is passed over: it keeps back nothing but itself.
    pub(crate) async fn open(&self, caller: &Caller, from: Option<u64>) -> Result<Reply, Refusal> {
        let armed = self.timers.armed(&caller.owner, from).await?;
        let mut requests = Vec::new();
        for key in armed.requests {
            let loaded = match self.log.load(&key).await {
                Ok(loaded) => loaded,
                Err(error @ StoreError::Damaged { .. }) => {
                    self.damaged.tell(&key, &error);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if let State::Open(_) = loaded.state() {
                requests.push(OpenRequest { agent: key.agent, request: key.request });
            }
        }
        Ok(Reply::Open { requests, next: armed.next })
    }

    /// A roster as it was signed.
    pub(crate) async fn roster(&self, caller: &Caller, number: Option<u64>) -> Result<Reply, Refusal> {
        let statement = self.rosters.read(&caller.owner, number).await?.ok_or_else(Refusal::unknown)?;
        Ok(Reply::Roster { statement })
    }
}
