//! Unlocking by passphrase and by key file.

use dormouse_secrets::{Argon2Params, FileKeyring, Keyring, PassphraseKeyring, Vault, VaultOptions};
use dormouse_tests::measure::{Figure, Samples, Target};
use tokio::time::Instant;

use crate::Context;
use crate::house::{self, House};
use crate::scrubbing::against_number;

const PASSPHRASE: &[u8] = b"nobody guesses this one";

pub(crate) async fn run(context: &Context) -> Vec<Figure> {
    let house = House::sled(&context.folder.join("unlock")).await;
    let file = FileKeyring::new(context.folder.join("bench.key"), house.random.clone());
    file.ensure().await.expect("the folder can be written");
    let by_passphrase = passphrase(&house);
    for keyring in [&file as &dyn Keyring, &by_passphrase] {
        let id = house
            .vault
            .add_slot(&house::call(), keyring)
            .await
            .expect("there is room");
        let confirmed = house.vault.confirm_slot(&house::call(), id, keyring).await;
        confirmed.expect("it is the key of the slot");
    }
    let mut samples = Samples::default();
    for _ in 0..context.rounds {
        samples.push("argon2", argon2());
        samples.push("passphrase", unlock(&house, &passphrase(&house)).await);
        samples.push("file", unlock(&house, &file).await);
    }
    house.close().await;
    let passphrase = Figure {
        name: "unlock by passphrase".to_owned(),
        value: samples.of("passphrase"),
        unit: "ms",
        against: Some(("one call of Argon2id".to_owned(), samples.of("argon2"))),
        target: Target::AtMost(1.1),
    };
    vec![
        passphrase,
        against_number("unlock by key file", samples.of("file"), "ms", 5.0),
    ]
}

fn passphrase(house: &House) -> PassphraseKeyring {
    PassphraseKeyring::new(PASSPHRASE, Argon2Params::default(), house.random.clone()).expect("it is long")
}

/// The milliseconds in which a process that starts now has the vault open.
async fn unlock(house: &House, keyring: &dyn Keyring) -> f64 {
    let vault = Vault::new(&house.system, VaultOptions::default(), house.random.clone());
    let start = Instant::now();
    vault
        .unlock(&house::call(), keyring)
        .await
        .expect("it has a slot");
    start.elapsed().as_secs_f64() * 1e3
}

/// The milliseconds of one call with the parameters of a passphrase's slot.
fn argon2() -> f64 {
    let Argon2Params {
        memory_kib,
        passes,
        lanes,
    } = Argon2Params::default();
    let params = argon2::Params::new(memory_kib, passes, lanes, Some(32)).expect("they are the defaults");
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let start = Instant::now();
    let mut key = [0; 32];
    let made = argon2.hash_password_into(PASSPHRASE, &[5; 16], &mut key);
    made.expect("there is memory");
    start.elapsed().as_secs_f64() * 1e3
}
