//! A trail that is made anew from the log: the same as before, or an alarm; whole at every moment, whoever is killed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agent_otp_audit::{Filter, RebuildError, Trail};
use agent_otp_jetstream::Login;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::stage::{PATIENCE, Stage, foreign, life, rebuild};

const CHILD: &str = "AGENT_OTP_AUDIT_TEST_REBUILDER";
/// Three batches.
const MANY: u64 = 2_500;
/// So many foreign requests have different ids.
const DISTINCT: u64 = 4_095;

#[tokio::test]
async fn a_rebuilt_trail_is_the_same() {
    let stage = Stage::set().await;
    stage.append(life(7)).await;
    stage.append([foreign(1)]).await;
    stage.projector().await.catch_up().await.unwrap();
    let before = everything(&stage).await;
    let rebuilt = stage.rebuild().await.unwrap();
    assert_eq!((rebuilt.events, rebuilt.differing, rebuilt.before), (5, 0, None));
    assert_eq!(everything(&stage).await, before);
    assert_eq!(stage.alarms().await, []);
    assert_eq!(beside(&stage), ["audit.db", "audit.db.rebuild"]);
}

#[tokio::test]
async fn a_trail_that_is_missing_is_made() {
    let stage = Stage::set().await;
    stage.append(life(7)).await;
    assert_eq!(stage.rebuild().await.unwrap().events, 4);
    stage.holds_the_log().await;
}

#[tokio::test]
async fn every_row_that_was_changed_is_found_and_put_right_and_the_changed_trail_is_kept() {
    let stage = Stage::set().await;
    stage.append(life(7)).await;
    stage.append((1..=2).map(foreign)).await;
    stage.projector().await.catch_up().await.unwrap();
    let before = everything(&stage).await;
    execute(
        &stage.path(),
        "UPDATE events SET data = '{}', verification = 'verified; really' WHERE global_position = 2;
         DELETE FROM events WHERE global_position = 3;
         INSERT INTO events SELECT 99, id, stream_name, 99, type, time, actor, data, body, leaf_hash, verification
             FROM events WHERE global_position = 4;
         UPDATE requests SET reason = 'nothing special' WHERE agent = 'shopper';",
    )
    .await;
    let changed = everything(&stage).await;
    let rebuilt = stage.rebuild().await.unwrap();
    let request = &before.1[2];
    assert_eq!(
        rebuilt.differences,
        [
            "event 2 has another data, verification".to_owned(),
            "event 3 is not in the trail".to_owned(),
            "event 99 is not in the log".to_owned(),
            format!("request {}.shopper.{} has another reason", request.owner, request.request),
        ]
    );
    assert_eq!(rebuilt.differing, 4);
    assert_eq!(everything(&stage).await, before);
    let kept = rebuilt.before.unwrap();
    let mut trail = Trail::open(&kept).await.unwrap();
    let everything_kept = (
        trail.events(&Filter::default(), 0, 100).await.unwrap(),
        trail.requests(&Filter::default(), 100).await.unwrap(),
    );
    assert_eq!(everything_kept, changed);
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&kept).unwrap()) & 0o777, 0o600);
    let alarms = stage.alarms().await;
    assert!(
        matches!(&*alarms, [(6, what)] if what.contains("in 4 rows") && what.contains(&*kept.to_string_lossy())),
        "{alarms:?}"
    );
    // Once it is put right, it is right.
    assert_eq!(stage.rebuild().await.unwrap().differing, 0);
    assert_eq!(stage.alarms().await, alarms);
}

#[tokio::test]
async fn a_log_that_was_replaced_gets_a_trail_of_its_own() {
    let stage = Stage::set().await;
    stage.append((1..=3).map(foreign)).await;
    let mut projector = stage.projector().await;
    projector.catch_up().await.unwrap();
    stage.replace_log().await;
    stage.append((11..=12).map(foreign)).await;
    projector.catch_up().await.unwrap_err();
    let rebuilt = stage.rebuild().await.unwrap();
    assert_eq!(rebuilt.events, 2);
    let mut before = Trail::open(&rebuilt.before.unwrap()).await.unwrap();
    assert_eq!(before.position().await.unwrap(), 3);
    // The same projector goes on with it.
    stage.append([foreign(13), foreign(14)]).await;
    assert_eq!(projector.catch_up().await.unwrap(), 4);
    assert_eq!(stage.rebuild().await.unwrap().differing, 0);
}

#[tokio::test]
async fn while_it_is_rebuilt_a_trail_is_written_and_read_as_ever() {
    let stage = Stage::set().await;
    stage.append((1..=MANY).map(foreign)).await;
    stage.projector().await.catch_up().await.unwrap();
    let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
    running.spawn(stage.projector().await.run(stop.clone()));
    running.spawn(is_always_whole(stage.path(), stop.clone()));
    let appends = async {
        let mut number = MANY;
        while number < DISTINCT && !stop.is_cancelled() {
            number += 1;
            stage.append([foreign(number)]).await;
        }
        number
    };
    let rebuilds = async {
        for _ in 0..3 {
            let rebuilt = stage.rebuild().await.unwrap();
            assert_eq!((rebuilt.differing, rebuilt.differences), (0, Vec::new()));
        }
        stop.cancel();
    };
    let (last, ()) = tokio::join!(appends, rebuilds);
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    assert!(last > MANY);
    stage.projector().await.catch_up().await.unwrap();
    stage.holds_the_log().await;
}

/// Reads for as long as it may: never are there fewer events than the checkpoint says, nor does it go back.
async fn is_always_whole(path: PathBuf, stop: CancellationToken) {
    let mut connection = SqliteConnectOptions::new().filename(path).read_only(true).connect().await.unwrap();
    let mut last = 0;
    while !stop.is_cancelled() {
        let (count, position): (i64, i64) =
            sqlx::query_as("SELECT (SELECT count(*) FROM events), (SELECT min(position) FROM checkpoint)")
                .fetch_one(&mut connection)
                .await
                .unwrap();
        assert_eq!(count, position);
        assert!(position >= last, "{position} after {last}");
        last = position;
    }
}

#[tokio::test]
async fn a_rebuild_that_is_killed_leaves_a_whole_trail_and_the_next_one_cleans_up() {
    // This test also is the process that it starts and kills.
    if let Ok(child) = env::var(CHILD) {
        return rebuild_until_killed(&child).await;
    }
    let stage = Stage::set().await;
    stage.append((1..=MANY).map(foreign)).await;
    stage.projector().await.catch_up().await.unwrap();
    let file = |suffix: &str| PathBuf::from(format!("{}{suffix}", stage.path().display()));
    let (fresh, fresh_wal, wal) = (file(".new"), file(".new-wal"), file("-wal"));
    // First the new trail grows; then, in the middle of the switch, the one in use: nothing of that counts before its end.
    let points = [(&fresh, 0), (&fresh_wal, 1), (&fresh_wal, 512), (&fresh_wal, 1_536)];
    let in_switch = [1, 256, 512, 1_024, 2_048].map(|kib| (&wal, kib));
    for (growing, kib) in points.into_iter().chain(in_switch) {
        // What is left from before would be taken for growth.
        for leftover in [&fresh, &fresh_wal] {
            fs::remove_file(leftover).ok();
        }
        until(async || {
            execute(&stage.path(), "PRAGMA wal_checkpoint(TRUNCATE)").await;
            fs::metadata(&wal).map_or(0, |file| file.len()) == 0
        })
        .await;
        let mut child = start(&stage);
        until(async || fs::metadata(growing).is_ok_and(|file| file.len() >= kib << 10)).await;
        kill(&mut child);
        stage.holds_the_log().await;
    }
    assert!(fresh.exists(), "something is left to be cleaned up");
    assert_eq!(stage.rebuild().await.unwrap().differing, 0);
    stage.holds_the_log().await;
    assert_eq!(beside(&stage), ["audit.db", "audit.db.rebuild"]);
}

async fn rebuild_until_killed(child: &str) {
    let mut words = child.splitn(3, ' ').map(str::to_owned);
    let login = Login::plain(words.next().unwrap(), words.next().unwrap());
    let path = PathBuf::from(words.next().unwrap());
    let rebuilt = rebuild(&login, &path).await.unwrap();
    assert_eq!(rebuilt.differing, 0);
}

fn start(stage: &Stage) -> Child {
    let (url, nkey_seed) = (&stage.auditor.server.url, stage.nkey_seed());
    Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "rebuild::a_rebuild_that_is_killed_leaves_a_whole_trail_and_the_next_one_cleans_up",
        ])
        .env(CHILD, format!("{url} {} {}", nkey_seed, stage.path().display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it was killed before its end");
}

#[tokio::test]
async fn a_second_rebuild_at_the_same_time_is_refused() {
    let stage = Stage::set().await;
    stage.append((1..=10).map(foreign)).await;
    stage.projector().await.catch_up().await.unwrap();
    let (one, other) = tokio::join!(stage.rebuild(), stage.rebuild());
    let (done, refused) = if one.is_ok() { (one, other) } else { (other, one) };
    assert_eq!(done.unwrap().events, 10);
    assert!(matches!(refused, Err(RebuildError::UnderWay { .. })), "{refused:?}");
    stage.holds_the_log().await;
}

async fn until(mut look: impl AsyncFnMut() -> bool) {
    let seen = async {
        while !look().await {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, seen).await.unwrap();
}

type Everything = (Vec<agent_otp_audit::Entry>, Vec<agent_otp_audit::RequestSummary>);

async fn everything(stage: &Stage) -> Everything {
    let mut trail = stage.trail().await;
    let all = Filter::default();
    (trail.events(&all, 0, 100).await.unwrap(), trail.requests(&all, 100).await.unwrap())
}

/// The trail's files, as they are when nobody has it open.
fn beside(stage: &Stage) -> Vec<String> {
    let files = fs::read_dir(stage.path().parent().unwrap()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter(|name| name.starts_with("audit.db") && !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    names.sort();
    names
}

async fn execute(path: &Path, sql: &'static str) {
    let mut connection: SqliteConnection =
        SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
