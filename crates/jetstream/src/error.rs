//! Why the store did not answer as it should.

/// What can go wrong between a party and JetStream.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer in time; what was asked may or may not have been done.
    #[error("the broker did not answer ({doing})")]
    Unreachable {
        /// What was being done.
        doing: &'static str,
        /// What the client says.
        #[source]
        source: async_nats::Error,
    },
    /// What is stored cannot be read.
    #[error("what is stored at {subject} cannot be read")]
    Damaged {
        /// Where.
        subject: String,
        /// Why.
        #[source]
        source: agent_otp_domain::codec::DecodeError,
    },
}

impl StoreError {
    pub(crate) fn unreachable(doing: &'static str) -> impl FnOnce(async_nats::Error) -> Self {
        move |source| Self::Unreachable { doing, source }
    }
}
