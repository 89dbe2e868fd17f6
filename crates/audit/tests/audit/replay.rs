//! Every event of the log once and in order, whoever is killed.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use agent_otp_audit::{Entry, Filter};
use agent_otp_domain::EventType;
use agent_otp_jetstream::Login;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::stage::{PATIENCE, Stage, foreign, life, projector};

const CHILD: &str = "AGENT_OTP_AUDIT_TEST_CHILD";
/// Three batches.
const MANY: u64 = 2_500;

#[tokio::test]
async fn the_trail_tells_a_life_in_json_lines() {
    let stage = Stage::set().await;
    stage.append(life(7)).await;
    stage.append([foreign(1)]).await;
    assert_eq!(stage.projector().await.catch_up().await.unwrap(), 5);
    let entries = stage.trail().await.events(&Filter::default(), 0, 100).await.unwrap();
    let lines: Vec<String> = entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn the_current_state_has_one_row_a_request() {
    let stage = Stage::set().await;
    stage.append(life(7)).await;
    stage.append(life(8).into_iter().take(2)).await;
    stage.projector().await.catch_up().await.unwrap();
    let requests = stage.trail().await.requests(&Filter::default(), 10).await.unwrap();
    insta::assert_json_snapshot!(requests);
}

#[tokio::test]
async fn a_request_is_shown_with_everything_that_happened_to_it() {
    let stage = Stage::set().await;
    stage.append(life(7)).await;
    stage.append(life(8)).await;
    stage.projector().await.catch_up().await.unwrap();
    let asked = life(8).first().unwrap().request;
    let histories = stage.trail().await.show(&asked).await.unwrap();
    let [history] = histories.as_slice() else { panic!("{histories:?}") };
    assert_eq!(history.summary.request, asked.to_string());
    let kinds: Vec<&str> = history.events.iter().filter_map(|entry| entry.kind.as_deref()).collect();
    assert_eq!(kinds, ["requested", "approved", "captured", "consumed"]);
    assert!(history.events.iter().all(Entry::is_verified));
}

#[tokio::test]
async fn a_live_event_is_there_without_anyone_asking() {
    let stage = Stage::set().await;
    let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
    running.spawn(stage.projector().await.run(stop.clone()));
    let mut trail = stage.trail().await;
    for number in 1..=3 {
        stage.append([foreign(number)]).await;
        assert!(trail.wait_for(number, PATIENCE).await.unwrap());
    }
    stop.cancel();
    running.join_next().await.unwrap().unwrap();
    assert!(!trail.wait_for(4, std::time::Duration::ZERO).await.unwrap());
}

#[tokio::test]
async fn a_projector_goes_on_where_it_stopped() {
    let stage = Stage::set().await;
    stage.append(life(7)).await;
    assert_eq!(stage.projector().await.catch_up().await.unwrap(), 4);
    stage.append(life(8)).await;
    assert_eq!(stage.projector().await.catch_up().await.unwrap(), 8);
    stage.holds_the_log().await;
}

#[tokio::test]
async fn two_projectors_on_one_file_double_nothing() {
    let stage = Stage::set().await;
    stage.append((1..=MANY).map(foreign)).await;
    let (mut one, mut other) = (stage.projector().await, stage.projector().await);
    let (one, other) = tokio::join!(one.catch_up(), other.catch_up());
    assert_eq!((one.unwrap(), other.unwrap()), (MANY, MANY));
    stage.holds_the_log().await;
}

#[tokio::test]
async fn a_projector_that_is_killed_doubles_and_loses_nothing() {
    // This test also is the process that it starts and kills.
    if let Ok(child) = env::var(CHILD) {
        return project_until_killed(&child).await;
    }
    let stage = Stage::set().await;
    stage.append((1..=MANY).map(foreign)).await;
    drop(stage.projector().await);
    let mut trail = stage.trail().await;
    for step in [1, 1_001, 2_001] {
        let (url, nkey_seed) = (&stage.auditor.server.url, stage.nkey_seed());
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "replay::a_projector_that_is_killed_doubles_and_loses_nothing"])
            .env(CHILD, format!("{url} {} {}", nkey_seed, stage.path().display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert!(trail.wait_for(step, PATIENCE).await.unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(stage.projector().await.catch_up().await.unwrap(), MANY);
    stage.holds_the_log().await;
}

async fn project_until_killed(child: &str) {
    let mut words = child.splitn(3, ' ').map(str::to_owned);
    let login = Login::plain(words.next().unwrap(), words.next().unwrap());
    let path = PathBuf::from(words.next().unwrap());
    projector(&login, &path).await.run(CancellationToken::new()).await;
}

#[tokio::test]
async fn a_projector_that_is_dropped_anywhere_doubles_and_loses_nothing() {
    let stage = Stage::set().await;
    stage.append((1..=MANY).map(foreign)).await;
    let mut cuts = 0;
    loop {
        let mut projector = stage.projector().await;
        let before = stage.trail().await.position().await.unwrap();
        let mut trail = stage.trail().await;
        tokio::select! {
            biased;
            caught_up = projector.catch_up() => {
                assert_eq!(caught_up.unwrap(), MANY);
                break;
            }
            cut = trail.wait_for(before + 1, PATIENCE) => assert!(cut.unwrap()),
        }
        cuts += 1;
    }
    assert!(cuts > 0);
    stage.holds_the_log().await;
}

#[tokio::test]
async fn a_state_is_that_of_the_last_event() {
    let stage = Stage::set().await;
    let mut projector = stage.projector().await;
    for recorded in life(7) {
        let kind: EventType = recorded.event.kind();
        stage.append([recorded]).await;
        projector.catch_up().await.unwrap();
        let requests = stage.trail().await.requests(&Filter::default(), 10).await.unwrap();
        assert_eq!(
            requests.iter().map(|request| request.state.as_str()).collect::<Vec<_>>(),
            [kind.as_str()]
        );
    }
}
