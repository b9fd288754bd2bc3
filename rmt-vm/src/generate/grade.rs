//! The three grades of random cases, from dumb to smart.

use super::{Case, Options, decodable_case, verified_case, word_case};

/// How much a random case knows of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Random words as code: most are no instruction.
    Words,
    /// Random instructions: most programs are refused by the verifier.
    Decodable,
    /// Programs that the verifier accepts, with tables, contexts, models and commits.
    Verified,
}

impl Grade {
    /// All grades.
    pub const ALL: [Self; 3] = [Self::Words, Self::Decodable, Self::Verified];

    /// Its name.
    pub fn text(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Decodable => "decodable",
            Self::Verified => "verified",
        }
    }

    /// The case of a seed, with about so many events if it can run; `None` when it is no
    /// program. Short vectors, long ones and long programs take turns.
    pub fn case(self, seed: u64, events: usize) -> Option<Case> {
        let events = events.max(1);
        let mut options = Options::default();
        options.events = events.div_ceil(2)..=events + events / 2;
        // A commit costs as much as many events, as states are compared after it.
        options.commit_every = (events / 4).max(8);
        match self {
            Self::Words => word_case(seed, &options),
            Self::Decodable => {
                options.instructions_per_action = 1..=4;
                Some(decodable_case(seed, &options))
            }
            Self::Verified => {
                match seed % 3 {
                    0 => {}
                    1 => (options.lanes, options.ring_depth) = (256, 256),
                    _ => options.instructions_per_action = 60..=200,
                }
                Some(verified_case(seed, &options))
            }
        }
    }
}
