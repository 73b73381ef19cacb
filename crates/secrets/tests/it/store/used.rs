//! On which day a secret was used: noted by whoever hands out a value, written once a day beside its row.

use dormouse_filesystem::wrapper::{FaultKind, Operation};
use dormouse_secrets::{
    AgentAt, Deletion, Filter, LeaseOptions, Need, OnAgentDelete, Purpose, SecretCategory, SecretMeta,
    Secrets, SpawnFor, due,
};
use jiff::civil::Date;

use super::environment::holder;
use super::house::{DAY, HOUR, House, after, at};

super::on_every_store! {
    a_use_is_written_once_a_day_whoever_used_it;
    what_the_agent_does_not_get_is_not_used;
    a_lease_uses_its_secret;
    a_day_goes_with_its_secret_and_a_new_one_begins_without;
    the_day_of_a_row_that_cannot_be_believed_keeps_nobody_from_theirs;
}

const ROW: &str = "t/acme/r/secret_used/shared/g";

fn day(number: i64) -> Option<Date> {
    let day = jiff::tz::Offset::UTC.to_datetime(after(number * DAY)).date();
    Some(day)
}

/// A worker of this agent gets its set.
async fn spawned(secrets: &Secrets, house: &House, agent: &AgentAt, seconds: i64) -> Vec<String> {
    let run = SpawnFor {
        run: "run_1".to_owned(),
        session: None,
        expires_at: after(seconds + HOUR),
    };
    let call = house.call(seconds);
    let set = secrets.spawn_set(&call, agent, &Need::All, &run, Vec::new());
    let names = set.await.unwrap().names;
    names.iter().map(ToString::to_string).collect()
}

async fn used(house: &House, reference: &str) -> Option<Date> {
    house.secrets.info(&at(reference)).await.unwrap().used_on
}

/// A vault, and a secret of the tenant.
async fn with_secret(house: House) -> House {
    let house = house.enabled().await;
    house
        .put("shared:G", "the value of G", SecretCategory::Tool)
        .await;
    house
}

async fn a_use_is_written_once_a_day_whoever_used_it(house: House) {
    let house = with_secret(house).await;
    let (a, b) = (house.live("a", 1), house.live("b", 2));
    assert_eq!(
        house.secrets.write_used().await.unwrap(),
        0,
        "nobody used anything"
    );
    assert_eq!(used(&house, "shared:G").await, None);

    // The spawn itself writes nothing, and is in no way of one that cannot be written.
    let before = house.text_of_rows("").await;
    house.store.next(Operation::Commit, FaultKind::Refuse);
    assert_eq!(spawned(&house.secrets, &house, &a, 0).await, ["G"]);
    assert_eq!(house.text_of_rows("").await, before);
    assert_eq!(
        used(&house, "shared:G").await,
        day(0),
        "who looks here knows it at once"
    );
    let refused = house.secrets.write_used().await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(house.secrets.write_used().await.unwrap(), 1, "it is tried again");
    let row = house.stored(ROW).await.unwrap();

    // The same day, by another agent, by another process, after a look: nothing more is written.
    spawned(&house.secrets, &house, &b, HOUR).await;
    let other = house.under(&house.vault);
    spawned(&other, &house, &a, 2 * HOUR).await;
    for secrets in [&house.secrets, &other] {
        assert_eq!(secrets.write_used().await.unwrap(), 0);
    }
    assert_eq!(house.stored(ROW).await.unwrap(), row);
    let listed = other.list(&Filter::All).await.unwrap();
    assert_eq!(days(&listed), [("shared:G".to_owned(), day(0))], "others read it");

    spawned(&other, &house, &b, 3 * DAY).await;
    assert_eq!(other.write_used().await.unwrap(), 1);
    assert_eq!(used(&house, "shared:G").await, day(3));
    // A clock that was set back takes no day back.
    spawned(&house.secrets, &house, &a, DAY).await;
    assert_eq!(house.secrets.write_used().await.unwrap(), 0);
    assert_eq!(used(&house, "shared:G").await, day(3));
}

fn days(listed: &[SecretMeta]) -> Vec<(String, Option<Date>)> {
    let day = |meta: &SecretMeta| (meta.at.to_string(), meta.used_on);
    listed.iter().map(day).collect()
}

async fn what_the_agent_does_not_get_is_not_used(house: House) {
    let house = with_secret(house).await;
    house
        .put("agent:a:G", "the own value", SecretCategory::Tool)
        .await;
    house
        .put("agent:b:KEY", "another's value", SecretCategory::Tool)
        .await;
    house
        .put("shared:S", "for the program", SecretCategory::System)
        .await;
    let a = house.live("a", 1);
    spawned(&house.secrets, &house, &a, 0).await;
    assert_eq!(house.secrets.write_used().await.unwrap(), 1);
    for filter in [Filter::All, Filter::Shared, Filter::Agent("a".parse().unwrap())] {
        for (reference, used) in days(&house.secrets.list(&filter).await.unwrap()) {
            let expected = (reference == "agent:a:G").then(|| day(0)).flatten();
            assert_eq!(used, expected, "{reference}");
        }
    }
}

async fn a_lease_uses_its_secret(house: House) {
    let house = with_secret(house).await;
    let (call, options) = (house.call(DAY), LeaseOptions::default());
    let (of, holder) = (at("shared:G"), holder());
    let lease = house
        .secrets
        .lease(&call, &of, &Purpose::Reference, &holder, options);
    let id = lease.await.unwrap().id();
    assert_eq!(used(&house, "shared:G").await, None, "it may be, and is not yet");
    house.secrets.use_lease(&call, id, &holder).await.unwrap();
    assert_eq!(house.secrets.write_used().await.unwrap(), 1);
    assert_eq!(used(&house, "shared:G").await, day(1));
}

async fn a_day_goes_with_its_secret_and_a_new_one_begins_without(house: House) {
    let house = with_secret(house).await;
    let a = house.live("a", 1);
    house
        .put("agent:a:KEY", "the value of KEY", SecretCategory::Tool)
        .await;
    spawned(&house.secrets, &house, &a, 0).await;
    assert_eq!(house.secrets.write_used().await.unwrap(), 2);
    let delete = |seconds| {
        let (secrets, call) = (house.secrets.clone(), house.call(seconds));
        async move { secrets.delete(&call, &at("shared:G"), &Deletion::Force).await }
    };
    delete(1).await.unwrap();
    assert_eq!(house.stored(ROW).await, None);
    house.put("shared:G", "another value", SecretCategory::Tool).await;
    assert_eq!(used(&house, "shared:G").await, None);
    // The day of the former one is no reason to leave this one without.
    spawned(&house.secrets, &house, &a, 2).await;
    assert_eq!(house.secrets.write_used().await.unwrap(), 1);
    assert_eq!(used(&house, "shared:G").await, day(0));

    // One that is noted and goes before it is written leaves nothing behind.
    spawned(&house.secrets, &house, &a, DAY).await;
    delete(DAY).await.unwrap();
    let ended = OnAgentDelete::Quarantine;
    house.die("a");
    house
        .secrets
        .agent_ended(&house.call(DAY), &a, ended)
        .await
        .unwrap();
    assert_eq!(house.secrets.write_used().await.unwrap(), 0);
    let later = house.call(9 * DAY);
    for (_, over) in due(&house.system, later.now, 100).await.unwrap() {
        house.secrets.retire(&later, &over).await.unwrap();
    }
    assert_eq!(house.text_of_rows("t/acme/r/secret_used").await, "");
}

async fn the_day_of_a_row_that_cannot_be_believed_keeps_nobody_from_theirs(house: House) {
    let house = with_secret(house).await;
    house
        .put("shared:H", "the value of H", SecretCategory::Tool)
        .await;
    let a = house.live("a", 1);
    spawned(&house.secrets, &house, &a, 0).await;
    house.secrets.write_used().await.unwrap();
    house
        .edit(ROW, |row| row.replace("\"used_on\":\"", "\"used_on\":\"not "))
        .await;
    let bad = house.stored(ROW).await;
    spawned(&house.secrets, &house, &a, DAY).await;
    assert_eq!(house.secrets.write_used().await.unwrap(), 1);
    assert_eq!(
        (used(&house, "shared:G").await, used(&house, "shared:H").await),
        (None, day(1))
    );
    assert_eq!(
        days(&house.secrets.list(&Filter::All).await.unwrap())[1].1,
        day(1)
    );
    assert_eq!(house.stored(ROW).await, bad, "its bytes stay");
    let (call, of) = (house.call(DAY), at("shared:G"));
    house.secrets.delete(&call, &of, &Deletion::Force).await.unwrap();
}
