//! Servers that could take back what they acknowledged, and ways on which somebody could listen: refused.

use dormouse_filesystem::{OpenError, OpenOptions, Postgres, PostgresOptions, open};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::place::{Database, NOW, beside, is_here, run};
use super::private::{Folder, Server};

async fn reason(url: &str) -> String {
    match Postgres::open(url, PostgresOptions::new(NOW, 7)).await {
        Err(OpenError::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// FS-69
#[test]
fn a_server_that_may_take_back_what_it_acknowledged_is_refused_with_the_reason() {
    type Prepare = fn(Folder) -> Server;
    let cases: [(&str, Prepare); 3] = [
        ("fsync off", |folder| folder.start(&["fsync=off"])),
        ("full_page_writes off", |folder| {
            folder.start(&["full_page_writes=off"])
        }),
        ("a standby", |folder| {
            folder.put("standby.signal", "");
            folder.start(&[])
        }),
    ];
    for (said, prepare) in cases {
        let Some(folder) = Folder::new() else { return };
        let server = prepare(folder);
        let reason = run(reason(&server.url("127.0.0.1", "")));
        assert!(reason.contains(said), "{reason}");
    }
}

/// FS-69: sessions turn `synchronous_commit` on, so it is a server that does not let them.
#[test]
fn a_server_on_which_commits_cannot_be_made_to_wait_is_refused_with_the_reason() {
    if !is_here() {
        return;
    }
    run(async {
        let database = Database::make().await;
        let client = beside(&database.url()).await;
        let without = "CREATE SCHEMA deaf; CREATE FUNCTION deaf.set_config(text, text, boolean) RETURNS text \
                       LANGUAGE sql AS 'SELECT $2'";
        client.batch_execute(without).await.unwrap();
        drop(client);
        database.set("synchronous_commit", "off").await;
        database.set("search_path", "deaf, pg_catalog, public").await;
        let reason = reason(&database.url()).await;
        assert!(reason.contains("synchronous_commit off"), "{reason}");
    });
}

/// FS-69
#[test]
fn plain_text_to_another_machine_is_refused_before_anything_is_sent() {
    run(async {
        for mode in ["disable", "allow", "prefer"] {
            let url = format!("postgres://u:hunter2@db.example.invalid/d?sslmode={mode}");
            let reason = reason(&url).await;
            assert!(reason.contains("plain text"), "{reason}");
        }
    });
}

/// An authority of the test's own, and a server that shows a certificate of it for `localhost`.
fn encrypted() -> Option<(Server, tempfile::NamedTempFile)> {
    let folder = Folder::new()?;
    let (key_of_authority, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&key_of_authority).unwrap();
    let issuer = Issuer::new(authority, key_of_authority);
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    folder.put("server.crt", &certificate.pem());
    folder.put("server.key", &key.serialize_pem());
    folder.put(
        "pg_hba.conf",
        "hostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n",
    );
    let roots = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(roots.path(), root.pem()).unwrap();
    Some((folder.start(&["ssl=on"]), roots))
}

/// The way is judged by the certificate that the server shows, each time with a store that is opened.
#[test]
fn an_encrypted_way_is_verified_against_the_authority_and_the_name_that_were_given() {
    let Some((server, roots)) = encrypted() else {
        return;
    };
    let distrusting = PostgresOptions::new(NOW, 7);
    let trusting = PostgresOptions {
        root_certificates: Some(roots.path().to_owned()),
        ..distrusting.clone()
    };
    let opens = |host: &str, mode: &str, options: &PostgresOptions| {
        let url = server.url(host, &format!("?sslmode={mode}"));
        let opened = run(async {
            let opened = Postgres::open(&url, options.clone()).await;
            opened.map(drop)
        });
        opened.map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!("{cause:?}"));
            format!("{error} {}", cause.unwrap_or_default())
        })
    };
    assert_eq!(opens("localhost", "verify-full", &trusting), Ok(()));
    assert_eq!(
        opens("127.0.0.1", "verify-ca", &trusting),
        Ok(()),
        "another name, and it is not asked for"
    );
    assert_eq!(opens("127.0.0.1", "require", &distrusting), Ok(()), "spelled out");
    let refused = [
        opens("127.0.0.1", "verify-full", &trusting),
        opens("localhost", "verify-full", &distrusting),
        opens("localhost", "verify-ca", &distrusting),
        // The server takes nobody without.
        opens("localhost", "disable", &trusting),
    ];
    assert!(refused.iter().all(Result::is_err), "{refused:?}");
    assert!(
        refused[1]
            .as_ref()
            .unwrap_err()
            .to_lowercase()
            .contains("certificate"),
        "{refused:?}"
    );
}

#[test]
fn a_store_is_opened_by_its_url_with_the_certificates_of_the_options() {
    let Some((server, roots)) = encrypted() else {
        return;
    };
    let mut options = OpenOptions::new(NOW, 7);
    options.root_certificates = Some(roots.path().to_owned());
    let url = server.url("localhost", "?sslmode=verify-full");
    run(async {
        let store = open(&url, &options).await.unwrap();
        assert!(
            store.to_string().starts_with("postgres://dormouse@localhost"),
            "{store}"
        );
    });
}
