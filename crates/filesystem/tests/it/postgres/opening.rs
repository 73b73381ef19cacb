//! Opening: who may, on what, and what is said when not.

use dormouse_filesystem::{
    Deadline, Key, OpenError, Postgres, PostgresOptions, RecordKind, RecordStore, RecordStoreExt,
};
use futures::future::join_all;

use super::place::{Database, NOW, Place, beside, is_here, run, url};

/// FS-68, but for an old schema: there is only one yet.
#[test]
fn many_openers_at_once_make_one_store() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        // Somebody died while making it: what they did is gone with their connection.
        let dead = beside(&url()).await;
        let begun = format!(
            "BEGIN; CREATE SCHEMA \"{0}\"; CREATE TABLE \"{0}\".dormouse_meta (x int)",
            place.schema
        );
        dead.batch_execute(&begun).await.unwrap();
        drop(dead);
        let stores = join_all((0..6).map(|_| place.open(NOW))).await;
        let client = beside(&url()).await;
        let sql = format!(
            "SELECT count(*), max(schema) FROM \"{}\".dormouse_meta",
            place.schema
        );
        let row = client.query_one(&sql, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i32>(1)), (1, 1));
        let key = Key::parse("a").unwrap();
        let deadline = Deadline::after(std::time::Duration::from_secs(10));
        stores[0]
            .create(key.clone(), RecordKind::of("test"), "", deadline)
            .await
            .unwrap();
        assert!(stores[5].get(&key).await.unwrap().is_some(), "it is one store");
    });
}

/// FS-68, its last part.
#[test]
fn a_newer_schema_is_left_as_it_is() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        drop(place.open(NOW).await);
        let client = beside(&url()).await;
        let sql = format!("UPDATE \"{}\".dormouse_meta SET schema = 99", place.schema);
        client.batch_execute(&sql).await.unwrap();
        let refused = Postgres::open(&url(), place.options(NOW)).await;
        assert!(
            matches!(refused, Err(OpenError::TooNew { found: 99, known: 1 })),
            "{refused:?}"
        );
    });
}

#[test]
fn tables_of_somebody_else_are_left_as_they_are() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let client = beside(&url()).await;
        let sql = format!(
            "CREATE SCHEMA \"{0}\"; CREATE TABLE \"{0}\".dormouse_meta (x int)",
            place.schema
        );
        client.batch_execute(&sql).await.unwrap();
        let refused = Postgres::open(&url(), place.options(NOW)).await;
        assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
    });
}

#[test]
fn a_server_that_takes_no_writes_is_refused_with_the_reason() {
    if !is_here() {
        return;
    }
    run(async {
        let database = Database::make().await;
        database.set("default_transaction_read_only", "on").await;
        let place = Place::default();
        let refused = Postgres::open(&database.url(), place.options(NOW)).await;
        let Err(OpenError::Refused { reason, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert!(reason.contains("read-only"), "{reason}");
        drop(place);
    });
}

/// A database that does without is told otherwise in each session, so what is acknowledged is durable.
#[test]
fn sessions_commit_durably_whatever_the_database_does_by_default() {
    if !is_here() {
        return;
    }
    run(async {
        let database = Database::make().await;
        database.set("synchronous_commit", "off").await;
        let place = Place::default();
        let store = Postgres::open(&database.url(), place.options(NOW)).await;
        assert!(store.is_ok(), "{store:?}");
    });
}

/// FS-70, but for logs: they get the errors looked at here.
#[test]
fn a_password_is_in_no_error_and_no_debug() {
    if !is_here() {
        return;
    }
    run(async {
        let place = Place::default();
        let options = PostgresOptions {
            listen_url: Some("postgres://u:hunter2@localhost/d".to_owned()),
            ..place.options(NOW)
        };
        assert!(!format!("{options:?}").contains("hunter2"));
        let urls = [
            "postgres://nobody:hunter2@127.0.0.1:1/d".to_owned(),
            "postgres://nobody:hunter2@no-such-host.invalid/d".to_owned(),
            "postgres://nobody:hunter2@host/d?sslmode=disable".to_owned(),
            url()
                .replace("postgres://", "postgres://nobody:hunter2%40")
                .replace("%40dormouse", ""),
        ];
        for url in urls {
            if let Err(error) = Postgres::open(&url, place.options(NOW)).await {
                let mut said = format!("{error} {error:?}");
                let mut source: Option<&dyn std::error::Error> = std::error::Error::source(&error);
                while let Some(error) = source {
                    said.push_str(&format!(" {error} {error:?}"));
                    source = error.source();
                }
                assert!(!said.contains("hunter2"), "{said}");
            }
        }
        let store = place.open(NOW).await;
        let said = format!("{store} {store:?}");
        let config: tokio_postgres::Config = url().parse().unwrap();
        if let Some(password) = config.get_password() {
            assert!(!said.contains(std::str::from_utf8(password).unwrap()), "{said}");
        }
    });
}
