//! Lanes that a shared account refused: as many ask again as it has room for, one after the other, and no more.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;

use super::known::Lane;
use super::serving::{Key, Serving};
use crate::TenantId;
use crate::budget::AccountPath;

impl Serving {
    /// Hears that an account has more to give. Which is not said, nor how much: of those whom the same one refused the first
    /// asks again, and the next when that had what it wanted. Those that are being refused meanwhile ask once more.
    pub(super) fn accounts_have_more(&mut self) {
        let tried = |(key, lane): (&Key, &Lane)| Some((key.0.clone(), lane.tries.clone()?));
        // Who tries it out sees what it has by then.
        let tried: HashSet<(TenantId, AccountPath)> = self.lanes.iter().filter_map(tried).collect();
        let mut first: HashMap<(TenantId, AccountPath), (Instant, Key)> = HashMap::new();
        for (key, lane) in &mut self.lanes {
            lane.has_more |= !lane.claiming.is_empty();
            let (Some(since), Some(by)) = (lane.phase.refused_since(), &lane.refused_by) else {
                continue;
            };
            let account = (key.0.clone(), by.clone());
            if tried.contains(&account) {
                continue;
            }
            let of_account = first.entry(account);
            let earliest = of_account.or_insert_with(|| (since, key.clone()));
            if since < earliest.0 {
                *earliest = (since, key.clone());
            }
        }
        for ((_, account), (_, key)) in first {
            self.tries(&key, account);
        }
    }

    /// A lane asks soon, for all whom this account refused.
    fn tries(&mut self, key: &Key, account: AccountPath) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.tries = Some(account);
            lane.phase.ask_soon();
        }
    }

    /// A lane tried out the room of an account, and there may be more: the next that was refused by it asks.
    pub(super) fn hand_on(&mut self, key: &Key) {
        let tried = self.lanes.get_mut(key).and_then(|lane| lane.tries.take());
        let Some(account) = tried else { return };
        let of_account = self.lanes.iter().filter(|((tenant, _), lane)| {
            *tenant == key.0 && lane.refused_by.as_ref() == Some(&account) && lane.tries.is_none()
        });
        let refused = of_account.filter_map(|(key, lane)| Some((lane.phase.refused_since()?, key)));
        let next = refused
            .min_by_key(|(since, _)| *since)
            .map(|(_, key)| key.clone());
        if let Some(next) = next {
            self.tries(&next, account);
        }
    }
}
