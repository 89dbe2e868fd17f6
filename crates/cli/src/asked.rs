//! One request, in what is typed about it: its id, how it is shown, and how long its relay may take.

use std::future::Future;
use std::time::Duration;

use agent_otp_domain::{IdError, RequestId};
use agent_otp_jetstream::clock;
use agent_otp_trust::VerifiedRequest;
use agent_otp_user::{Notices, View, row};
use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use crate::place::Place;
use crate::print;

/// After how long a person is told that the relay does not answer; it is asked for some seconds more.
const SILENCE: Duration = Duration::from_secs(1);

/// A text is no request's id.
#[derive(Debug, thiserror::Error)]
#[error("{0}; `agent-otp pending` lists open requests, `agent-otp audit list` all")]
pub(crate) struct NoId(IdError);

/// A request's id, as it is typed.
pub(crate) fn id(text: &str) -> Result<RequestId, NoId> {
    text.trim().parse().map_err(NoId)
}

/// What a person sees of a request, with the services that are known here.
pub(crate) fn view(place: &Place, request: &VerifiedRequest) -> View {
    let view = View::new(request, &Notices::open(place.notices()), clock::now());
    match place.services() {
        Ok(services) => view.among(&services, request),
        Err(error) => {
            print::say(&format!("{error:#}"));
            view
        }
    }
}

/// Tells of every request that waits for the user, as long as anything runs.
pub(crate) async fn announce(place: &Place, asked: Option<mpsc::Receiver<VerifiedRequest>>) {
    if let Some(mut asked) = asked {
        while let Some(request) = asked.recv().await {
            for line in announced(&view(place, &request), &place.typed()) {
                print::say(&line);
            }
        }
    }
    std::future::pending::<()>().await;
}

/// What is asked, and how it is answered.
fn announced(view: &View, program: &str) -> Vec<String> {
    let View { id, agent, sender, warning, .. } = view;
    let asked = format!("asked      {id}  by {agent}");
    let asked = [asked, row("  says     ", &view.words()), row("  sender   ", sender)];
    let careful = warning.as_ref().map(|warning| row("  careful  ", warning));
    let answer = format!("  answer   {program} approve {id}   (or deny)");
    asked.into_iter().chain(careful).chain([answer]).collect()
}

/// Asks the relay, and tells if it takes long because nobody answers.
pub(crate) async fn patiently<T>(asking: impl Future<Output = T>) -> T {
    let mut asking = Box::pin(asking);
    // What is done before anybody is asked takes time too: a sealed key is opened.
    if let Some(answer) = (&mut asking).now_or_never() {
        return answer;
    }
    tokio::select! {
        answer = &mut asking => return answer,
        () = tokio::time::sleep(SILENCE) => {}
    }
    print::say("the relay does not answer yet; still trying (is `agent-otp up` running?)");
    asking.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_as_it_was_copied_and_nothing_else() {
        let text = "019a0000-0000-7000-8000-000000000000";
        assert_eq!(id(&format!(" {text}\n")).unwrap().to_string(), text);
        let wrong = id("nonsense").unwrap_err().to_string();
        assert!(wrong.contains("`nonsense`") && wrong.contains("agent-otp pending"), "{wrong}");
    }
}
