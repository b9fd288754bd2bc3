//! A core in simulation as an engine, for tests that run on every engine.

use rmt_core::CoreConfig;
use rmt_isa::card::update::{BankMirror, UpdateError};
use rmt_isa::card::{CardImage, LowerError, lower};
use rmt_isa::program::Ordering;
use rmt_isa::{Decision, Event, Program};
use rmt_vm::Machine;
use rmt_vm::state::{Applied, Change, CommitError, Contents, LoadError, SnapshotError, StateDump};

use crate::card::{Card, CardError, Pins};
use crate::cosim::read_state;

/// A core with a program. An interpreter runs along: from it comes what the card does not
/// keep (names, handles, rules of commits), and nothing of what is asked for as a result.
pub struct CardEngine<P> {
    card: Card<P>,
    mirror: BankMirror,
    loaded: Option<Loaded>,
}

struct Loaded {
    image: CardImage,
    machine: Machine,
}

/// Why the engine could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CardEngineError {
    /// The card does not fit the program.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The program's declarations are outside the limits.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The card does not answer.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The changes are refused.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The changes cannot be committed to a running card.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// The card holds records or map contents that do not fit its program.
    #[error(transparent)]
    Contents(#[from] SnapshotError),
    /// There is no program.
    #[error("no program is loaded; load one before events, commits and dumps")]
    NoProgram,
}

impl<P: Pins> CardEngine<P> {
    /// An engine on a core that was generated from `config`.
    ///
    /// # Errors
    /// Those of [`Card::reset`].
    pub fn new(pins: P, config: &CoreConfig) -> Result<Self, CardError> {
        let mirror = BankMirror::new(config.shape());
        Ok(Self { card: Card::reset(pins, config)?, mirror, loaded: None })
    }
}

impl<P: Pins> rmt_vm::Engine for CardEngine<P> {
    type Error = CardEngineError;

    fn load(&mut self, program: &Program) -> Result<(), CardEngineError> {
        self.loaded = None;
        // Events run one by one here, whatever order the program needs.
        let image = lower(program, Ordering::Total, self.card.shape())?;
        let machine = Machine::new(program)?;
        self.card.install(&image)?;
        self.mirror.installed(&image);
        self.loaded = Some(Loaded { image, machine });
        Ok(())
    }

    fn run(&mut self, event: &Event) -> Result<Decision, CardEngineError> {
        let loaded = self.loaded.as_mut().ok_or(CardEngineError::NoProgram)?;
        loaded.machine.run(event);
        Ok(self.card.run_alone(event)?.decision)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<Vec<Applied>, CardEngineError> {
        let loaded = self.loaded.as_mut().ok_or(CardEngineError::NoProgram)?;
        let mut state = loaded.machine.state().clone();
        let changes_contents = changes.iter().any(Change::is_to_contents);
        if changes_contents {
            // What is to change is what the card holds, not what the interpreter says of it.
            let card = &mut self.card;
            let (image, plan) = (&loaded.image, &loaded.image.programs[0]);
            let held = Contents::of_card(image, plan, |address| card.read(address))?;
            state.replace_contents(&held)?;
        }
        let applied = state.commit(changes)?;
        let image = lower(&state.current_program(), Ordering::Total, self.card.shape())?;
        let update = self.mirror.update(&image)?;
        loaded.machine.state_mut().commit(changes)?;
        loaded.image = image;
        self.card.commit(&update);
        while self.card.commits() {
            self.card.exchange(None)?;
        }
        if changes_contents {
            let plan = &loaded.image.programs[0];
            let mut writes = loaded.image.empty_contents(plan);
            writes.extend(state.contents().card_writes(&loaded.image, plan));
            for write in writes {
                self.card.write(write.address, write.value)?;
            }
        }
        Ok(applied)
    }

    fn state(&mut self) -> Result<StateDump, CardEngineError> {
        let loaded = self.loaded.as_ref().ok_or(CardEngineError::NoProgram)?;
        Ok(read_state(loaded.machine.state(), &mut self.card, &loaded.image)?)
    }

    fn steps(&self) -> Option<u64> {
        None
    }
}
