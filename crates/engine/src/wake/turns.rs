//! Whose turn it is: tenants in turn by weight, and in a tenant its agents, one claim each. So whoever has much to do
//! keeps nobody waiting longer than one claim of every other.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Lanes that wait for their turn. Each is in it once.
#[derive(Debug)]
pub(crate) struct Turns<T, A> {
    order: VecDeque<T>,
    tenants: HashMap<T, Tenant<A>>,
}

#[derive(Debug)]
struct Tenant<A> {
    agents: VecDeque<A>,
    /// Turns it has left before the next tenant's.
    left: u32,
}

impl<T, A> Default for Turns<T, A> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            tenants: HashMap::new(),
        }
    }
}

impl<T: Clone + Eq + Hash, A: Eq> Turns<T, A> {
    /// Adds a lane behind the others of its tenant; one that waits already keeps its place.
    pub(crate) fn push(&mut self, tenant: &T, agent: A) {
        if let Some(known) = self.tenants.get_mut(tenant) {
            if !known.agents.contains(&agent) {
                known.agents.push_back(agent);
            }
            return;
        }
        self.order.push_back(tenant.clone());
        let agents = VecDeque::from([agent]);
        self.tenants.insert(tenant.clone(), Tenant { agents, left: 0 });
    }

    /// The next lane, which leaves: it is pushed again when it wants another turn.
    pub(crate) fn next(&mut self, weight: impl Fn(&T) -> u32) -> Option<(T, A)> {
        let name = self.order.front()?.clone();
        let tenant = self.tenants.get_mut(&name).expect("whoever is in order is known");
        if tenant.left == 0 {
            tenant.left = weight(&name).max(1);
        }
        tenant.left -= 1;
        let agent = tenant
            .agents
            .pop_front()
            .expect("whoever has no lane is forgotten");
        if tenant.agents.is_empty() {
            self.tenants.remove(&name);
            self.order.pop_front();
        } else if tenant.left == 0 {
            self.order.rotate_left(1);
        }
        Some((name, agent))
    }

    /// Takes a lane out.
    pub(crate) fn remove(&mut self, tenant: &T, agent: &A) {
        let Some(known) = self.tenants.get_mut(tenant) else {
            return;
        };
        known.agents.retain(|other| other != agent);
        if known.agents.is_empty() {
            self.tenants.remove(tenant);
            self.order.retain(|other| other != tenant);
        }
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(turns: &mut Turns<char, u32>, weight: impl Fn(&char) -> u32, count: usize) -> Vec<(char, u32)> {
        let mut order = Vec::new();
        for _ in 0..count {
            let (tenant, agent) = turns.next(&weight).unwrap();
            order.push((tenant, agent));
            turns.push(&tenant, agent);
        }
        order
    }

    #[test]
    fn tenants_take_turns_however_many_lanes_one_has() {
        let mut turns = Turns::default();
        (0..100).for_each(|agent| turns.push(&'a', agent));
        turns.push(&'b', 0);
        let served = order(&mut turns, |_| 1, 6);
        assert_eq!(
            served,
            [('a', 0), ('b', 0), ('a', 1), ('b', 0), ('a', 2), ('b', 0)]
        );
    }

    #[test]
    fn agents_of_a_tenant_take_turns() {
        let mut turns = Turns::default();
        (0..3).for_each(|agent| turns.push(&'a', agent));
        let served = order(&mut turns, |_| 1, 4);
        assert_eq!(served, [('a', 0), ('a', 1), ('a', 2), ('a', 0)]);
    }

    #[test]
    fn a_tenant_of_weight_two_has_two_turns_to_the_other_s_one() {
        let mut turns = Turns::default();
        (0..2).for_each(|agent| turns.push(&'a', agent));
        (0..2).for_each(|agent| turns.push(&'b', agent));
        let served = order(&mut turns, |tenant| if *tenant == 'a' { 2 } else { 1 }, 6);
        let tenants: String = served.iter().map(|(tenant, _)| *tenant).collect();
        assert_eq!(tenants, "aabaab");
    }

    #[test]
    fn a_lane_is_in_it_once_and_can_be_taken_out() {
        let mut turns = Turns::default();
        turns.push(&'a', 1);
        turns.push(&'a', 1);
        turns.push(&'a', 2);
        turns.remove(&'a', &1);
        assert_eq!(turns.next(|_| 1), Some(('a', 2)));
        assert!(turns.is_empty());
        assert_eq!(turns.next(|_| 1), None);
    }
}
