//! The table of a slot.

use dormouse_secrets::{Key, KeyError, Others, SlotDecision, SlotEvent, SlotState, Vault, VaultState};

use super::super::house::{DAY, House};
use super::super::tables;
use super::{clear, edit};

/// How a slot is by the list of them, after so many seconds.
async fn state(house: &House, vault: &Vault, id: u32, seconds: i64) -> SlotState {
    let slots = vault.slots(house.call(seconds).now).await.unwrap();
    let slot = slots.iter().find(|slot| slot.id == id);
    slot.map_or(SlotState::Removed, |slot| slot.state)
}

/// A vault that the first key opens, with a second slot in this state.
async fn begun(house: &House, before: SlotState) -> (Vault, u32) {
    clear(house).await;
    let (vault, _) = house.another(Vec::new());
    let call = house.call(0);
    vault.enable(&call, &house.key(1)).await.unwrap();
    let id = vault.add_slot(&call, &house.key(2)).await.unwrap();
    match before {
        SlotState::Removed => vault.remove_slot(&call, id).await.unwrap(),
        SlotState::Pending => {}
        SlotState::Active => vault.confirm_slot(&call, id, &house.key(2)).await.unwrap(),
    }
    assert_eq!(state(house, &vault, id, 0).await, before);
    (vault, id)
}

/// The first slot goes, as nobody should make it: no verb leaves a vault without an active one.
async fn first_goes(house: &House) {
    edit(house, "s/r/secret_vault/one", |vault| {
        vault["slots"]
            .as_array_mut()
            .unwrap()
            .retain(|slot| slot["id"] != 1);
    })
    .await;
}

async fn decided(house: &House, before: SlotState, event: SlotEvent) -> SlotDecision {
    let (vault, id) = begun(house, before).await;
    if event == SlotEvent::Remove(Others::None) {
        first_goes(house).await;
    }
    let vault_before = house.stored("s/r/secret_vault/one").await;
    let call = house.call(1);
    let (done, seconds) = match event {
        SlotEvent::Confirm(Key::Fits) => (vault.confirm_slot(&call, id, &house.key(2)).await, 1),
        SlotEvent::Confirm(Key::Wrong) => (vault.confirm_slot(&call, id, &house.key(3)).await, 1),
        SlotEvent::Remove(_) => (vault.remove_slot(&call, id).await, 1),
        SlotEvent::Elapsed => (Ok(()), DAY),
    };
    let after = state(house, &vault, id, seconds).await;
    let is_as_before = house.stored("s/r/secret_vault/one").await == vault_before;
    opens_when_active(house, &vault, after).await;
    let rejected = |reason| {
        assert!(is_as_before && after == before, "{event:?} changes nothing");
        SlotDecision::Reject(reason)
    };
    match done {
        Ok(()) if after != before => SlotDecision::Become(after),
        Ok(()) => {
            assert!(is_as_before, "{event:?} changes nothing");
            SlotDecision::Ignore(match (event, before) {
                (SlotEvent::Elapsed, SlotState::Removed) => "none",
                (SlotEvent::Elapsed, SlotState::Active) => "active",
                (SlotEvent::Confirm(_), SlotState::Active) => "same",
                other => panic!("{other:?}"),
            })
        }
        Err(KeyError::UnknownSlot) => rejected("unknown"),
        Err(KeyError::LastSlot) => rejected("last_slot"),
        Err(KeyError::WrongKey) => rejected("wrong_key"),
        Err(other) => panic!("{other:?}"),
    }
}

/// The slot's key opens the vault in another process when it is active, and never else.
async fn opens_when_active(house: &House, vault: &Vault, after: SlotState) {
    assert_eq!(vault.state().await.unwrap(), VaultState::Unlocked);
    let (other, _) = house.another(Vec::new());
    let opened = other.unlock(&house.call(2), &house.key(2)).await;
    match after {
        SlotState::Active => opened.unwrap(),
        SlotState::Pending | SlotState::Removed => {
            assert!(matches!(opened, Err(KeyError::WrongKey)), "{after:?}: {opened:?}");
        }
    }
}

pub(super) async fn every_cell_of_a_slots_table_is_what_its_verbs_do(house: House) {
    let mut driven = String::new();
    for before in SlotState::ALL {
        for event in SlotEvent::ALL {
            driven += &tables::line(before, event, decided(&house, before, event).await);
        }
    }
    tables::holds("slot", &driven);
}
