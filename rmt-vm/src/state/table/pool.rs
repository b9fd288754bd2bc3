//! What entries run, each different action with its parameters kept once.
//!
//! Entries of large tables mostly run the same few actions with the same few parameters. The
//! search structures hold a number of four bytes for each entry instead of a copy, so that
//! a look-up touches little memory.

use hashbrown::HashMap;

use super::BoundAction;

/// Number of an action in its pool.
pub(super) type ActionNumber = u32;

/// The different actions of one table.
#[derive(Clone, Debug, Default)]
pub(super) struct ActionPool {
    actions: Vec<BoundAction>,
    /// Entries that use each action; 0: its place is free.
    uses: Vec<u32>,
    numbers: HashMap<BoundAction, ActionNumber>,
    free: Vec<ActionNumber>,
}

impl ActionPool {
    /// The action with this number, which is in use.
    #[inline]
    pub(super) fn get(&self, number: ActionNumber) -> &BoundAction {
        &self.actions[number as usize]
    }

    /// The number of an action; one more entry uses it.
    pub(super) fn acquire(&mut self, action: BoundAction) -> ActionNumber {
        if let Some(&number) = self.numbers.get(&action) {
            self.uses[number as usize] += 1;
            return number;
        }
        let number = match self.free.pop() {
            Some(number) => {
                self.actions[number as usize] = action;
                self.uses[number as usize] = 1;
                number
            }
            None => {
                self.actions.push(action);
                self.uses.push(1);
                (self.actions.len() - 1) as ActionNumber
            }
        };
        self.numbers.insert(action, number);
        number
    }

    /// One entry less uses an action.
    pub(super) fn release(&mut self, action: &BoundAction) {
        let Some(&number) = self.numbers.get(action) else { return };
        let uses = &mut self.uses[number as usize];
        *uses -= 1;
        if *uses == 0 {
            self.numbers.remove(action);
            self.free.push(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::program::ActionCall;

    fn action(parameter: u64) -> BoundAction {
        BoundAction::new(&ActionCall { action: 1, parameters: vec![parameter] })
    }

    #[test]
    fn equal_actions_share_a_number_until_the_last_is_gone() {
        let mut pool = ActionPool::default();
        let (a, b) = (pool.acquire(action(1)), pool.acquire(action(2)));
        assert_eq!(pool.acquire(action(1)), a);
        assert_ne!(a, b);
        pool.release(&action(1));
        assert_eq!(pool.get(a), &action(1));
        pool.release(&action(1));
        let c = pool.acquire(action(3));
        assert_eq!((c, pool.get(c), pool.get(b)), (a, &action(3), &action(2)));
    }
}
