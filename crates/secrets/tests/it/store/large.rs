//! The largest import there is, killed by `kill -9`.
//!
//! Its commits are some two hundred, and its pages are alike. So it is killed once of each kind, in one store, each process
//! going on with what the one before left: between two pages in the middle, behind the last page, behind the one commit,
//! between two pages in the middle that are folded in. After one commit and before the next the store is the same. A
//! small import is killed at each of its commits.

use dormouse_secrets::{Existing, Filter, Generator, ImportError};
use serde_json::Value;

use super::children::{Ended, killed};
use super::dying::Side;
use super::house::{House, at};
use super::place::Place;
use super::staged;

/// Whether what takes minutes with optimisation is wanted, as `cargo xtask crash --secrets` says.
pub(super) fn is_large() -> bool {
    std::env::var_os("DORMOUSE_TEST_SECRETS_LARGE").is_some()
}

/// Secrets of it, and of one page.
pub(super) const ALL: usize = 10_000;
const PAGE: usize = 100;

/// How an import stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// None is under way.
    None,
    /// It is under way.
    Open,
    /// All of it is in force.
    Applied,
}

/// Behind which commit a process is killed that goes on with it, and what it leaves.
struct Kill {
    commit: usize,
    stands: Stands,
    /// Rows with something staged.
    staged: usize,
}

/// In the order in which the import comes by. The first commit of each process opens the vault.
fn kills() -> [Kill; 4] {
    let (pages, half) = (ALL / PAGE, ALL / PAGE / 2);
    let kill = |commit, stands, staged| Kill {
        commit,
        stands,
        staged,
    };
    [
        // Behind those that make the tenant's ring and begin.
        kill(3 + half, Stands::Open, half * PAGE),
        // Pages that are staged are passed over with a commit each that proves that the import goes on.
        kill(1 + pages, Stands::Open, ALL),
        kill(1 + pages + 1, Stands::Applied, ALL),
        kill(1 + half, Stands::Applied, ALL - half * PAGE),
    ]
}

async fn stands(house: &House) -> Stands {
    let ring = house.stored("t/acme/r/secret_keys/ring").await.unwrap();
    let ring: Value = serde_json::from_slice(&ring.value).unwrap();
    let import = &ring["value"]["import"];
    if import.is_null() {
        Stands::None
    } else if import["applied_at"].is_null() {
        Stands::Open
    } else {
        Stands::Applied
    }
}

async fn staged_rows(house: &House) -> usize {
    let rows = house.text_of_rows("t/acme/r/secret").await;
    rows.lines().filter(|row| row.contains("\"staged\":")).count()
}

/// All of it is seen, or none.
async fn is_all_or_none(house: &House, is_applied: bool) {
    let seen = house.secrets.list(&Filter::All).await.unwrap();
    assert_eq!(seen.len(), if is_applied { ALL } else { 0 });
    for number in [0, ALL / 2, ALL - 1] {
        let reference = staged::reference(number);
        let info = house.secrets.info(&at(&reference)).await;
        assert_eq!(info.is_ok(), is_applied);
        if is_applied {
            let value = super::environment::value_or(&house.secrets, house, &reference).await;
            assert_eq!(value.unwrap(), format!("new-{number:06}"));
        }
    }
}

async fn opened(place: Place) -> House {
    let store = place.open().await;
    let house = House::over(store, place, Generator::from_system().unwrap()).await;
    staged::live_all(&house);
    house.vault.unlock(&house.call(1), &house.key(1)).await.unwrap();
    house
}

#[tokio::test]
async fn the_largest_import_killed_once_at_each_kind_of_commit_is_all_or_none_and_a_repeat_ends_with_all() {
    let mut place = House::in_sled().await.enabled().await.closed().await;
    for Kill {
        commit,
        stands: expected,
        staged,
    } in kills()
    {
        let ended = killed("import_all", &place, Side::After, commit as u64);
        assert_eq!(ended, Ended::Killed, "{commit}");
        let house = opened(place).await;
        let found = (stands(&house).await, staged_rows(&house).await);
        assert_eq!(found, (expected, staged), "{commit}");
        is_all_or_none(&house, expected == Stands::Applied).await;
        place = house.closed().await;
    }
    let house = opened(place).await;
    let repeated = staged::import(&house, ALL, "new", Existing::Refuse)
        .await
        .unwrap();
    assert_eq!((repeated.written.len(), repeated.unchanged.len()), (0, ALL));
    assert_eq!(
        (stands(&house).await, staged_rows(&house).await),
        (Stands::None, 0)
    );
    is_all_or_none(&house, true).await;
    staged::try_put(&house).await.unwrap();
    if is_large() {
        killed_at_each_commit().await;
    }
    let one_more = staged::import(&house, ALL + 1, "new", Existing::Refuse).await;
    assert!(matches!(one_more, Err(ImportError::TooLarge { max: ALL })));
}

/// Behind each commit in turn, each time in another store: before a commit it is as it was behind the one before.
async fn killed_at_each_commit() {
    let mut kills = 0;
    // Ends with the first that is behind the last commit.
    loop {
        let place = House::in_sled().await.enabled().await.closed().await;
        if killed("import_all", &place, Side::After, kills + 1) == Ended::Done {
            break;
        }
        kills += 1;
        let house = opened(place).await;
        let is_applied = !house.secrets.list(&Filter::All).await.unwrap().is_empty();
        is_all_or_none(&house, is_applied).await;
        let repeated = staged::import(&house, ALL, "new", Existing::Refuse).await;
        let repeated = repeated.unwrap();
        assert_eq!(repeated.written.len() + repeated.unchanged.len(), ALL, "{kills}");
        let left = (stands(&house).await, staged_rows(&house).await);
        assert_eq!(left, (Stands::None, 0), "{kills}");
        is_all_or_none(&house, true).await;
    }
    assert!(
        kills > 2 * ALL as u64 / PAGE as u64,
        "{kills} commits were come by"
    );
}
