//! A key of the vault in the key store of the kernel.

use crate::home::Home;
use crate::secrets::{TOKEN, fed, set, worker};

/// Takes the key out of the kernel again, whatever became of the test.
struct Taken<'a>(&'a Home, String);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.dormouse(["secret", "slots", "remove", &self.1, "--yes"]);
    }
}

#[test]
fn a_key_in_the_kernel_opens_the_vault_of_a_machine_that_was_unlocked_once() {
    let home = Home::new();
    set(&home, "GH_TOKEN", &["--agent", "alice"], TOKEN);
    let added = home.dormouse(["secret", "slots", "add", "--keyring", "-o", "json"]);
    if added.code() == Some(6) {
        eprintln!(
            "SKIPPED: the kernel gives this process no key store: {}",
            added.stderr
        );
        return;
    }
    added.exits(0);
    let id = added.json()["id"].to_string();
    let mut taken = Taken(&home, id.clone());
    assert_eq!(added.json()["source"], "keyring");
    let doctor = home.type_line("secret doctor");
    assert!(
        doctor
            .stdout
            .contains(&format!("the key of slot {id} is in the system's key store")),
        "{doctor:?}"
    );

    // No vault relies on it alone.
    let file = home.items("secret slots");
    let file = file.iter().find(|slot| slot["source"] == "file").unwrap();
    home.dormouse(["secret", "slots", "remove", &file["id"].to_string(), "--yes"])
        .exits(7)
        .hints();
    home.type_line("secret rekey --keyring").exits(2).hints();

    // A rekey drops its slot, and it is let in again.
    home.type_line("secret rekey").exits(0);
    let again = home.dormouse(["secret", "slots", "add", "--keyring", "-o", "json"]);
    again.exits(0);
    taken.1 = again.json()["id"].to_string();
    assert_ne!(taken.1, id);

    // The machine's passphrase was typed once; the key file is elsewhere.
    fed(
        &home,
        &["secret", "slots", "add", "--passphrase"],
        "correct horse battery",
    )
    .exits(0);
    std::fs::remove_file(home.path().join("config/secrets.key")).unwrap();
    let ran = worker(&home, "alice", "echo $GH_TOKEN");
    assert_eq!(ran.stdout, "[redacted:GH_TOKEN]\n", "{ran:?}");
    assert_eq!(home.json("secret status")["opens_by_itself"], true);
    home.type_line("secret lock").exits(0);
    home.type_line("secret unlock --keyring").exits(0);

    // Taken away, it is nowhere: nothing but the passphrase opens the vault now.
    drop(taken);
    assert_eq!(home.json("secret status")["vault"], "sealed");
    home.type_line("secret unlock --keyring").exits(4).hints();
    fed(
        &home,
        &["secret", "unlock", "--passphrase"],
        "correct horse battery",
    )
    .exits(0);
}
