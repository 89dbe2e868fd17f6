//! What every party of a data directory found wrong is what `agent-otp alarms` shows.

use std::collections::BTreeSet;

use agent_otp_domain::{Event, EventType};
use agent_otp_jetstream::{Log, clock};
use agent_otp_tests::{Place, eventually};

use crate::forgery::statement_of;

#[tokio::test]
async fn the_alarms_of_every_party_are_shown_and_none_of_them_twice() {
    let place = Place::new();
    let up = place.up().await;
    let none = place.agent_otp(&["alarms"]).await.well();
    assert_eq!(none.stdout, "No alarms.\n");

    // A relay that stores what was never signed.
    let mut watch = place.watch().await;
    let mut asked = place.request(&[]).await;
    let mut forged = watch.until(&asked.id, EventType::Requested).await;
    forged.version = forged.version.next();
    let statement = statement_of(&mut forged.event).clone();
    forged.event = Event::Approved { statement, expires_at: forged.time, capturers: Vec::new() };
    forged.id = clock::event_id();
    let log = Log::new(place.connection("relay").await);
    let last = log.load(&forged.key()).await.unwrap().last();
    log.append(last, &forged).await.unwrap();

    let ended = asked.ended().await;
    assert_eq!(ended.code, Some(15), "{ended:?}");
    let refused = place.agent_otp(&["approve", &asked.id]).await;
    assert!(refused.stderr.contains("no open request has the id"), "{refused:?}");
    let everybody = ["agent:shopper", "approver:local", "auditor", "capturer:local"];
    let alarms = eventually("everybody's alarm", async || {
        let shown = place.agent_otp(&["alarms", "--json"]).await;
        let alarms = shown.json().as_array().unwrap().clone();
        let noticed: BTreeSet<&str> =
            alarms.iter().map(|alarm| alarm["noticed_by"].as_str().unwrap()).collect();
        noticed.iter().eq(&everybody).then_some(alarms)
    })
    .await;
    for alarm in &alarms {
        assert_eq!(alarm["request"], asked.id.as_str(), "{alarm}");
        let what = alarm["what"].as_str().unwrap();
        assert!(what.contains("stands where application/vnd.agent-otp.decision.v1"), "{what}");
    }

    // What is found again is known already, and what is not running keeps what it found.
    place.agent_otp(&["approve", &asked.id]).await;
    up.stop().await.well();
    let again = place.agent_otp(&["alarms", "--json"]).await;
    assert_eq!((again.code, again.json().as_array().unwrap()), (Some(16), &alarms));
    let shown = place.agent_otp(&["alarms"]).await;
    assert_eq!(shown.code, Some(16));
    for who in everybody {
        assert!(shown.stdout.contains(&format!("  {who}  ")), "{}", shown.stdout);
    }
}
