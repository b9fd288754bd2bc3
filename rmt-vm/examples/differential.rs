//! Compares JIT and interpreter on random programs of three grades.
//!
//! ```text
//! cargo run --release -p rmt-vm --features jit --example differential -- --inputs 10000000
//! ```
//!
//! An input is what both engines get and answer alike: a program that they refuse, or an event
//! on a program that they run. For a tenth of the inputs programs are random words, for a tenth
//! random instructions, for the rest verified programs. Decisions and numbers of executed
//! instructions are compared after each event, whole states after each commit and at the end.
//!
//! Everything follows from `--seed`. A difference names its grade and seed, and
//! `--only GRADE --seed N --inputs 1` runs that program again.

#[cfg(feature = "jit")]
fn main() -> std::process::ExitCode {
    driver::main()
}

#[cfg(not(feature = "jit"))]
fn main() {
    eprintln!("built without the feature `jit`; there is nothing to compare");
}

#[cfg(feature = "jit")]
mod driver {
    use std::process::ExitCode;
    use std::time::Instant;

    use rmt_vm::generate::Grade;
    use rmt_vm::jit::differential::{Difference, compare};
    use rmt_vm::jit::{Jit, JitError};

    struct Arguments {
        inputs: u64,
        seed: u64,
        events: usize,
        only: Option<Grade>,
    }

    fn arguments() -> Result<Arguments, String> {
        let mut found = Arguments { inputs: 100_000, seed: 1, events: 256, only: None };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().unwrap_or_default();
            let number = value.parse::<u64>().map_err(|_| format!("`{name}` wants a number"));
            match name.as_str() {
                "--inputs" => found.inputs = number?,
                "--seed" => found.seed = number?,
                "--events" => found.events = number? as usize,
                "--only" => {
                    let grade = Grade::ALL.into_iter().find(|grade| grade.text() == value);
                    found.only = Some(grade.ok_or(format!("`{value}` is no grade"))?);
                }
                _ => return Err(format!("`{name}` is no argument")),
            }
        }
        Ok(found)
    }

    /// What became of the programs of one grade.
    #[derive(Default)]
    struct Tally {
        programs: u64,
        refused: u64,
        events: u64,
    }

    impl Tally {
        fn inputs(&self) -> u64 {
            self.refused + self.events
        }
    }

    /// Runs seeds from `seed` on until there were so many inputs.
    fn run(
        grade: Grade,
        inputs: u64,
        seed: u64,
        events: usize,
    ) -> Result<Tally, (u64, Difference)> {
        let start = Instant::now();
        let (mut jit, mut tally, mut reported) = (Jit::default(), Tally::default(), 0);
        for seed in (0..).map(|number| seed.wrapping_add(number)) {
            if tally.inputs() >= inputs {
                break;
            }
            tally.programs += 1;
            match grade.case(seed, events).map(|case| compare(&case, &mut jit)) {
                Some(Ok(ran)) => tally.events += ran as u64,
                None | Some(Err(Difference::Jit(JitError::Unverified(_)))) => {
                    // The generator of the third grade promises that nothing is refused.
                    if grade == Grade::Verified {
                        let refusal = Difference::Jit(JitError::NoProgram);
                        return Err((seed, refusal));
                    }
                    tally.refused += 1;
                }
                Some(Err(difference)) => return Err((seed, difference)),
            }
            if start.elapsed().as_secs() / 30 > reported {
                reported = start.elapsed().as_secs() / 30;
                eprintln!("{}: {} of {inputs} inputs", grade.text(), tally.inputs());
            }
        }
        Ok(tally)
    }

    pub fn main() -> ExitCode {
        let Arguments { inputs, seed, events, only } = match arguments() {
            Ok(arguments) => arguments,
            Err(error) => {
                eprintln!(
                    "differential: {error}; usage: [--inputs N] [--seed N] [--events N] [--only words|decodable|verified]"
                );
                return ExitCode::FAILURE;
            }
        };
        let mut total = 0;
        for grade in Grade::ALL.into_iter().filter(|&grade| only.is_none_or(|only| only == grade)) {
            let share = match (only, grade) {
                (None, Grade::Words | Grade::Decodable) => inputs / 10,
                (None, Grade::Verified) => inputs - total,
                (Some(_), _) => inputs,
            };
            match run(grade, share, seed, events) {
                Ok(tally) => {
                    println!(
                        "{}: {} programs from seed {seed}, {} refused, {} events on the others",
                        grade.text(),
                        tally.programs,
                        tally.refused,
                        tally.events
                    );
                    total += tally.inputs();
                }
                Err((seed, difference)) => {
                    eprintln!("{}, seed {seed}: {difference}", grade.text());
                    eprintln!(
                        "again: --only {} --seed {seed} --inputs 1 --events {events}",
                        grade.text()
                    );
                    return ExitCode::FAILURE;
                }
            }
        }
        println!("{total} inputs, no difference");
        ExitCode::SUCCESS
    }
}
