//! What a member of the user's side found wrong: kept in its home, and logged once.

use std::error::Error;

use agent_otp_domain::RequestId;
use agent_otp_jetstream::Member;
use agent_otp_keyring::Home;
use tracing::{error, warn};

/// Keeps an alarm. What cannot be kept is logged each time.
pub(crate) fn raise(member: &Member, home: &Home, request: Option<RequestId>, wrong: &(dyn Error + 'static)) {
    let alarm = member.alarm(request, wrong);
    match home.raise(&alarm) {
        Ok(true) => error!(?request, what = alarm.what, "alarm"),
        Ok(false) => {}
        Err(error) => warn!(%error, ?request, what = alarm.what, "an alarm is not kept"),
    }
}
