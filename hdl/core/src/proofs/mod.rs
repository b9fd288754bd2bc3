//! Proofs of the control side, for every input and every state that can be reached.
//!
//! - [`fetch`]: a thread that can run is fetched before any other one is fetched twice more.
//! - [`inline`]: inline events are neither lost nor doubled, changed or reordered.
//! - [`life`]: dispatcher, bank switch and retire unit together: every event that is taken ends in exactly one decision
//!   with its tag, and sees one bank only; nothing waits without bound.
//! - [`requantiser`]: a lane equals the integer definition.
//!
//! Each harness is a component round the units that it proves, see `rtl_builder::formal`. What its environment promises
//! is stated with `assume`; covers show that the promises leave room.

mod fetch;
mod inline;
mod life;
mod requantiser;

use rtl_builder::formal::{Goal, Outcome, Proof, Sby};
use rtl_builder::prelude::*;
use std::path::Path;
use std::time::Duration;

/// Far above what a proof takes on a machine that does other work too.
const LIMIT: Duration = Duration::from_secs(1200);

/// Every assertion holds (for [`Goal::Always`]: always), and every cover is reached within 24 cycles.
fn prove(harness: impl Component, goal: Goal) {
    let design = elaborate(harness).expect("the harness is right");
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/venv/bin");
    let sby = match Sby::locate(&tools) {
        Ok(sby) => sby,
        Err(missing) => {
            eprintln!("SKIPPED proof of {}: {missing}; ./x test installs it", design.top_name());
            return;
        }
    };
    let folder = tempfile::tempdir().expect("the system has a folder for temporary files");
    for (name, goal) in [("assert", goal), ("cover", Goal::Reachable { cycles: 24 })] {
        let proof = Proof::new(&design, goal).expect("there is something to prove");
        let outcome = sby.run(&proof, &folder.path().join(name), LIMIT).expect("the tools run");
        assert_eq!(outcome, Outcome::Holds, "{} of {}", name, design.top_name());
    }
}
