//! What a server must be to hold a store that survives the loss of power.

use tokio_postgres::{Client, Error};

/// What matters of a server's settings; a setting it does not have is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    is_standby: bool,
    read_only: Option<String>,
    fsync: Option<String>,
    full_page_writes: Option<String>,
    synchronous_commit: Option<String>,
}

const READ: &str = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only', true), \
    current_setting('fsync', true), current_setting('full_page_writes', true), \
    current_setting('synchronous_commit', true)";

impl Facts {
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let row = client.query_one(READ, &[]).await?;
        Ok(Self {
            is_standby: row.try_get(0)?,
            read_only: row.try_get(1)?,
            fsync: row.try_get(2)?,
            full_page_writes: row.try_get(3)?,
            synchronous_commit: row.try_get(4)?,
        })
    }

    /// Why the server cannot hold a store, if it cannot.
    pub(super) fn fault(&self) -> Option<String> {
        let is = |setting: &Option<String>, value: &str| setting.as_deref() == Some(value);
        if self.is_standby || is(&self.read_only, "on") {
            Some("the server is a standby or read-only; name the primary".to_owned())
        } else if is(&self.fsync, "off") {
            Some("the server has fsync off: what it acknowledges a loss of power may take back".to_owned())
        } else if is(&self.full_page_writes, "off") {
            Some("the server has full_page_writes off: a loss of power may tear its pages".to_owned())
        } else if is(&self.synchronous_commit, "off") {
            Some(
                "the server keeps synchronous_commit off: what it acknowledges a crash may take back"
                    .to_owned(),
            )
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Facts {
        let some = |text: &str| Some(text.to_owned());
        Facts {
            is_standby: false,
            read_only: some("off"),
            fsync: some("on"),
            full_page_writes: some("on"),
            synchronous_commit: some("on"),
        }
    }

    #[test]
    fn a_server_that_may_take_back_what_it_acknowledged_is_refused_with_the_reason() {
        type Weaken = fn(&mut Facts);
        let cases: [(&str, Weaken); 5] = [
            ("standby", |f| f.is_standby = true),
            ("read-only", |f| f.read_only = Some("on".into())),
            ("fsync off", |f| f.fsync = Some("off".into())),
            ("full_page_writes off", |f| {
                f.full_page_writes = Some("off".into());
            }),
            ("synchronous_commit off", |f| {
                f.synchronous_commit = Some("off".into());
            }),
        ];
        assert_eq!(sound().fault(), None);
        for (reason, weaken) in cases {
            let mut facts = sound();
            weaken(&mut facts);
            let fault = facts.fault().expect(reason);
            assert!(fault.contains(reason), "{fault}");
        }
    }

    #[test]
    fn an_engine_without_a_setting_is_judged_by_the_others() {
        let facts = Facts {
            fsync: None,
            full_page_writes: None,
            ..sound()
        };
        assert_eq!(facts.fault(), None);
    }
}
