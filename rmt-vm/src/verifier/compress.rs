//! Asking for smaller models when a program exceeds a budget.
//!
//! A pruning pass implements [`Compressor`]. [`verify_with`] calls it for the model that takes
//! most of an exceeded budget, puts the smaller objects in place and verifies again: what
//! comes back is verified like any other program.

use std::collections::BTreeSet;

use rmt_isa::Program;
use rmt_isa::program::{Forest, Scale, Tensor};

use super::check;
use super::cost::Overrun;
use super::findings::Findings;
use super::limits::Limits;
use super::report::Report;
use super::rules::Rule;
use super::violation::Violation;

/// Most times that models are compressed for one verification.
const MOST_ROUNDS: usize = 8;

/// Makes models smaller.
pub trait Compressor {
    /// A smaller version of model `overrun.model`, so that an event saves at least
    /// [`Overrun::excess`] of `overrun.resource`.
    ///
    /// # Errors
    /// [`Refusal`] when the model cannot become that small without losing too much.
    fn compress(&mut self, program: &Program, overrun: &Overrun) -> Result<SmallerModel, Refusal>;
}

/// Objects to put in the place of a model's old ones, by index into the program's lists.
///
/// Objects that are not named stay. Only objects of the model that was asked for may be
/// named, and they keep their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SmallerModel {
    /// Tensors; shapes may change as long as the instructions still fit.
    pub tensors: Vec<(usize, Tensor)>,
    /// Requantisation scales.
    pub scales: Vec<(usize, Scale)>,
    /// Forests.
    pub forests: Vec<(usize, Forest)>,
    /// What was done, for people: "pruned hidden units 10 to 7".
    pub summary: String,
}

/// Why a model was not compressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the compressor refuses: {reason}")]
pub struct Refusal {
    /// In words.
    pub reason: String,
}

/// A program that was accepted, possibly with smaller models.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The program to load, when models were compressed; `None`: load the one that was given.
    pub compressed: Option<Program>,
    /// What each compression did, in order.
    pub steps: Vec<String>,
    /// The report on the program to load.
    pub report: Report,
}

/// Checks a program as [`verify`](super::verify) does; when nothing but budgets is exceeded,
/// and models are to blame, asks `compressor` for smaller ones, at most 8 times.
///
/// # Errors
/// The violations of the last attempt. Where the compressor refused, or what it gave is no
/// smaller version of the model, the violation's remedy says so.
pub fn verify_with(
    program: &Program,
    limits: &Limits,
    mut compressor: Option<&mut dyn Compressor>,
) -> Result<Verified, Vec<Violation>> {
    let mut compressed: Option<Program> = None;
    let mut steps = Vec::new();
    loop {
        let current = compressed.as_ref().unwrap_or(program);
        let mut findings = Findings::new(current, limits.violations);
        let (report, overruns) = check(&mut findings, limits);
        let mut violations = match (findings.finish(), report) {
            (Ok(warnings), Some(report)) => {
                let report = Report { warnings, ..report };
                return Ok(Verified { compressed, steps, report });
            }
            // Every stage that gives up has said why; should one not, nothing is accepted.
            (Ok(_), None) => return Err(vec![Findings::new(current, 1).unexplained()]),
            (Err(violations), _) => violations,
        };
        let only_budgets = violations.iter().all(|violation| is_budget(violation.rule));
        let blamed = overruns.iter().find(|overrun| overrun.model.is_some());
        let (Some(overrun), Some(compressor)) =
            (blamed.filter(|_| only_budgets), compressor.as_deref_mut())
        else {
            return Err(violations);
        };
        let attempt = if steps.len() < MOST_ROUNDS {
            compressor
                .compress(current, overrun)
                .map_err(|refusal| refusal.to_string())
                .and_then(|smaller| apply(current, overrun, smaller))
        } else {
            Err(format!("{MOST_ROUNDS} compressions were not enough"))
        };
        match attempt {
            Ok((smaller, summary)) => {
                compressed = Some(smaller);
                steps.push(summary);
            }
            Err(reason) => {
                let rule = overrun.resource.rule();
                let blamed = violations.iter_mut().filter(|violation| violation.rule == rule);
                blamed.for_each(|violation| violation.remedy += &format!(" ({reason})"));
                return Err(violations);
            }
        }
    }
}

fn is_budget(rule: Rule) -> bool {
    matches!(rule, Rule::InstructionBudget | Rule::MacBudget | Rule::ByteBudget | Rule::CycleBudget)
}

/// The program with the smaller objects, when they are the model's own.
fn apply(
    program: &Program,
    overrun: &Overrun,
    smaller: SmallerModel,
) -> Result<(Program, String), String> {
    let mut program = program.clone();
    let mut changed = BTreeSet::new();
    macro_rules! replace {
        ($list:ident, $what:literal) => {
            for (index, object) in smaller.$list {
                let place = program.$list.get_mut(index);
                let place = place.filter(|old| {
                    Some(old.model) == overrun.model
                        && old.model == object.model
                        && old.name == object.name
                });
                let Some(place) = place else {
                    return Err(format!(
                        concat!("the compressor changed ", $what, " {}, which is not the model's"),
                        index
                    ));
                };
                if *place != object {
                    changed.insert(($what, index));
                }
                *place = object;
            }
        };
    }
    replace!(tensors, "tensor");
    replace!(scales, "scale");
    replace!(forests, "forest");
    if changed.is_empty() {
        return Err("the compressor changed nothing".into());
    }
    Ok((program, smaller.summary))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::testing::Fixture;
    use crate::verifier::{Resource, verify};

    const LAYERS: &str = "RMT_VECTOR_LD_EVENT v0, x8, i8, event+32\n\
        RMT_MAT_MUL v1, v0, tensor0, tensor1\nRMT_ARGMAX r1, v1\nexit decided";

    /// Drops outputs of the layer until the budget is met; keeps at least `least`.
    struct DropOutputs {
        least: u32,
        asked: usize,
    }

    impl Compressor for DropOutputs {
        fn compress(
            &mut self,
            program: &Program,
            overrun: &Overrun,
        ) -> Result<SmallerModel, Refusal> {
            self.asked += 1;
            assert_eq!((overrun.resource, overrun.model), (Resource::Macs, Some(0)));
            let (mut weights, mut bias) = (program.tensors[0].clone(), program.tensors[1].clone());
            let outputs = weights.shape[0] - (overrun.excess() as u32).div_ceil(8);
            if outputs < self.least {
                let reason = format!("accuracy would suffer below {} outputs", self.least);
                return Err(Refusal { reason });
            }
            (weights.shape[0], bias.shape[0]) = (outputs, outputs);
            weights.values.truncate(outputs as usize * 8);
            bias.values.truncate(outputs as usize);
            let summary = format!("kept {outputs} outputs");
            let tensors = vec![(0, weights), (1, bias)];
            Ok(SmallerModel { tensors, summary, ..SmallerModel::default() })
        }
    }

    fn fixture(macs: u64) -> Fixture {
        let mut fixture = Fixture::new(LAYERS);
        fixture.limits.event.macs = macs;
        fixture
    }

    #[test]
    fn a_program_within_its_budget_is_left_alone() {
        let mut compressor = DropOutputs { least: 1, asked: 0 };
        let Fixture { program, limits } = fixture(32);
        let verified = verify_with(&program, &limits, Some(&mut compressor)).unwrap();
        assert_eq!((verified.compressed, compressor.asked), (None, 0));
    }

    #[test]
    fn a_model_over_budget_is_compressed_and_verified_again() {
        let mut compressor = DropOutputs { least: 1, asked: 0 };
        let Fixture { program, limits } = fixture(20);
        let verified = verify_with(&program, &limits, Some(&mut compressor)).unwrap();
        assert_eq!(verified.steps, ["kept 2 outputs"]);
        assert_eq!(verified.report.event.macs, 16);
        let smaller = verified.compressed.unwrap();
        assert_eq!(verify(&smaller, &limits).unwrap().event.macs, 16);
        assert_eq!(smaller.tensors[1].values, program.tensors[1].values[..2]);
    }

    #[test]
    fn a_refusal_is_told() {
        let mut compressor = DropOutputs { least: 3, asked: 0 };
        let Fixture { program, limits } = fixture(20);
        let violations = verify_with(&program, &limits, Some(&mut compressor)).unwrap_err();
        assert_eq!(violations.len(), 1);
        let remedy = &violations[0].remedy;
        assert!(
            remedy.contains("the compressor refuses: accuracy would suffer below 3"),
            "{remedy}"
        );
    }

    #[test]
    fn other_violations_are_not_compressed_away() {
        let mut compressor = DropOutputs { least: 1, asked: 0 };
        let Fixture { mut program, limits } = fixture(20);
        program.outputs[0].name = "two words".into();
        verify_with(&program, &limits, Some(&mut compressor)).unwrap_err();
        assert_eq!(compressor.asked, 0);
    }

    /// Gives back what it was given, or something that is not the model's.
    struct Useless(SmallerModel);

    impl Compressor for Useless {
        fn compress(&mut self, _: &Program, _: &Overrun) -> Result<SmallerModel, Refusal> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn useless_answers_end_the_attempts() {
        let Fixture { mut program, limits } = fixture(20);
        program.models.push("other".into());
        program.tensors[2].model = 1;
        let smaller = |index: usize| SmallerModel {
            tensors: vec![(
                index,
                program.tensors.get(index).unwrap_or(&program.tensors[0]).clone(),
            )],
            ..SmallerModel::default()
        };
        for (answer, reason) in [
            (smaller(0), "changed nothing"),
            (smaller(2), "tensor 2, which is not the model's"),
            (smaller(99), "tensor 99, which is not the model's"),
        ] {
            let violations =
                verify_with(&program, &limits, Some(&mut Useless(answer))).unwrap_err();
            assert!(violations[0].remedy.contains(reason), "{}", violations[0].remedy);
        }
    }

    /// Changes something every time, without ever saving anything.
    struct Restless(i32);

    impl Compressor for Restless {
        fn compress(&mut self, program: &Program, _: &Overrun) -> Result<SmallerModel, Refusal> {
            self.0 += 1;
            let mut weights = program.tensors[0].clone();
            weights.values[0] = self.0;
            Ok(SmallerModel { tensors: vec![(0, weights)], ..SmallerModel::default() })
        }
    }

    #[test]
    fn the_number_of_rounds_is_bounded() {
        let Fixture { program, limits } = fixture(20);
        let mut restless = Restless(0);
        let violations = verify_with(&program, &limits, Some(&mut restless)).unwrap_err();
        assert_eq!(restless.0 as usize, MOST_ROUNDS);
        assert!(violations[0].remedy.contains("8 compressions were not enough"));
    }
}
