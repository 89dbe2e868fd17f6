//! Whose file it is, who may read it, and what a person reads who named the wrong one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use agent_otp_audit::{Entry, Filter, OpenError, Projector, Trail};
use agent_otp_domain::Role;
use agent_otp_jetstream::{Bus, Connection, Who};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use crate::stage::{OWNER, Stage, key, life, name, owner, projector, rebuild};

#[tokio::test]
async fn a_new_file_is_for_its_owner_alone() {
    let stage = Stage::set().await;
    stage.append(life(7)).await;
    stage.projector().await.catch_up().await.unwrap();
    for path in [stage.path(), stage.path().with_extension("db-wal"), stage.path().with_extension("db-shm")] {
        if let Ok(metadata) = fs::metadata(&path) {
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn a_foreign_file_is_refused_and_stays_as_it_is() {
    let stage = Stage::set().await;
    let who = Who::Member { owner: owner(), role: Role::Auditor, name: name("desk") };
    let connection = Connection::open(&stage.auditor, &who).await.unwrap();
    let bus = Bus::new(connection, owner(), Role::Auditor, name("desk"));
    let text = stage.path().with_file_name("notes.txt");
    fs::write(&text, "to whom it may concern\n".repeat(100)).unwrap();
    let database = stage.path().with_file_name("other.db");
    execute(&database, "CREATE TABLE accounts (id INTEGER)").await;
    let newer = stage.path().with_file_name("newer.db");
    execute(&newer, "PRAGMA application_id = 1634694256; PRAGMA user_version = 3;").await;
    for path in [&text, &database, &newer] {
        let before = fs::read(path).unwrap();
        let writer = Projector::open(path, bus.clone(), key(OWNER).id()).await.unwrap_err();
        let reader = Trail::open(path).await.unwrap_err();
        assert_eq!(writer.to_string(), reader.to_string());
        let expected = if path == &newer {
            matches!(writer, OpenError::Newer { found: 3, .. })
        } else {
            matches!(writer, OpenError::Foreign { .. })
        };
        assert!(expected, "{writer:?}");
        assert_eq!(fs::read(path).unwrap(), before);
    }
}

#[tokio::test]
async fn a_reader_of_no_file_learns_what_writes_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.db");
    assert!(matches!(Trail::open(&path).await, Err(OpenError::Missing { .. })));
    assert!(!path.exists(), "a reader makes no file");
}

#[tokio::test]
async fn every_row_holds_the_exact_bytes_and_their_leaf_hash() {
    let stage = Stage::set().await;
    stage.append(life(7)).await;
    stage.projector().await.catch_up().await.unwrap();
    let mut connection = connect(&stage.path()).await;
    let rows = sqlx::query("SELECT body, leaf_hash FROM events ORDER BY global_position")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    for (row, recorded) in rows.iter().zip(life(7)) {
        let (body, leaf_hash): (Vec<u8>, Vec<u8>) = (row.get(0), row.get(1));
        assert_eq!(body, agent_otp_domain::codec::encode(&recorded));
        assert_eq!(leaf_hash, agent_otp_domain::Digest::of(&[&[0], &body]).as_bytes());
    }
    assert_eq!(rows.len(), 4);
}

#[tokio::test]
async fn a_trail_of_the_schema_before_is_read_and_goes_on() {
    let stage = Stage::set().await;
    stage.append(life(7)).await;
    stage.projector().await.catch_up().await.unwrap();
    let older = stage.path().with_file_name("older.db");
    let mut connection = connect(&older).await;
    sqlx::raw_sql(include_str!("../data/schema_1.sql")).execute(&mut connection).await.unwrap();
    let fill = "ATTACH DATABASE '{}' AS present;
         INSERT INTO events SELECT global_position, id, stream_name, stream_version, type, time, actor, data, body,
             leaf_hash, verification FROM present.events;
         INSERT INTO requests SELECT * FROM present.requests;
         INSERT INTO rosters SELECT * FROM present.rosters;
         UPDATE checkpoint SET position = 4;
         INSERT INTO alarms VALUES ('an old one', 3, '2026-01-31T12:00:00.000Z');
         PRAGMA main.journal_mode = WAL;";
    let fill = fill.replace("{}", &stage.path().to_string_lossy());
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let shopper = Filter { agents: vec![name("shopper")], ..Filter::default() };
    let mut trail = Trail::open(&older).await.unwrap();
    assert_eq!(trail.events(&shopper, 0, 10).await.unwrap().len(), 4);
    stage.append(life(8)).await;
    assert_eq!(projector(&stage.auditor, &older).await.catch_up().await.unwrap(), 8);
    assert!(trail.events(&shopper, 0, 10).await.unwrap().iter().all(Entry::is_verified));
    let alarms = trail.alarms().await.unwrap();
    assert_eq!(alarms.iter().map(|alarm| &*alarm.what).collect::<Vec<_>>(), ["an old one"]);
    assert_eq!(rebuild(&stage.auditor, &older).await.unwrap().differing, 0);
}

#[test]
fn a_refusal_says_what_to_do_next() {
    let path = || "audit.db".into();
    let refusals = [
        OpenError::Missing { path: path() },
        OpenError::Foreign { path: path() },
        OpenError::Newer { path: path(), found: 3 },
    ];
    insta::assert_snapshot!(refusals.map(|refusal| refusal.to_string()).join("\n"));
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

async fn execute(path: &Path, sql: &'static str) {
    let mut connection = connect(path).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
