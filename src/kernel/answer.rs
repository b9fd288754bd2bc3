//! Programs of this process answer the kernel's hooks.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use rmt_driver::shim::{CpuRings, Shim, ShimControl};
use rmt_isa::shim::control::{Counter, Mode};
use rmt_isa::shim::{HOOKS, KernelHook};
use rmt_isa::{Decision, Event, Status};
use rmt_vm::Engine as _;
use rmt_vm::jit::Jit;

use super::Limits;
use super::status::{discrepancy, value};
use crate::program;

/// Looks at empty rings before this process sleeps.
const IDLE_ROUNDS: u32 = 2_000;
/// A sleep ends after this time at the latest, to look at the clock.
const SLEEP: Duration = Duration::from_millis(100);

/// Answer hooks by programs in this process.
#[derive(Args)]
pub struct AnswerHooks {
    /// The programs, each for another hook: .rmt sources or images
    #[arg(required = true)]
    programs: Vec<PathBuf>,
    /// The mode of their hooks: off, shadow, advise or act
    #[arg(long, default_value = "shadow")]
    mode: Mode,
    #[command(flatten)]
    limits: Limits,
    /// Stop after this time
    #[arg(long)]
    seconds: Option<u64>,
    /// Stop after so many events, of all hooks together
    #[arg(long)]
    events: Option<u64>,
    /// Never sleep: a hook that waits is answered sooner, and one processor is busy
    #[arg(long)]
    poll: bool,
}

/// A program at its hook.
struct Decider {
    hook: &'static KernelHook,
    jit: Jit,
}

impl Decider {
    fn load(path: &Path) -> Result<Self> {
        let (program, _) = program::load_verified(path, &Default::default())?;
        let number = program.hook.number;
        let hook = KernelHook::from_number(number).with_context(|| {
            let list: Vec<_> =
                HOOKS.iter().map(|hook| format!("{} = {}", hook.name, hook.number)).collect();
            format!(
                "{} is for hook {} = {number}, which the kernel module does not know; it knows {}",
                path.display(),
                program.hook.name,
                list.join(", ")
            )
        })?;
        let mut jit = Jit::default();
        jit.load(&program)?;
        Ok(Self { hook, jit })
    }

    fn decide(&mut self, event: &Event) -> Decision {
        // Only a program that is gone makes the engine fail.
        self.jit.run(event).unwrap_or(Decision {
            tag: event.tag(),
            status: Status::NoProgram,
            written: 0,
            cycles: 0,
            outputs: [0; rmt_isa::limits::MAX_OUTPUTS],
        })
    }
}

impl AnswerHooks {
    pub fn run(self) -> Result<()> {
        let mut deciders: Vec<Decider> =
            self.programs.iter().map(|path| Decider::load(path)).collect::<Result<_>>()?;
        for (index, decider) in deciders.iter().enumerate() {
            if deciders[..index].iter().any(|other| other.hook == decider.hook) {
                bail!("two programs are for hook {}; give one", decider.hook.name);
            }
        }
        let (shim, mut rings) = ShimControl::open()?.attach()?;
        for decider in &deciders {
            shim.set(&self.limits.settings(decider.hook.number, self.mode))?;
        }
        let begun = Instant::now();
        let answered = self.answer_until(begun, &shim, &mut rings, &mut deciders)?;
        for decider in &deciders {
            shim.set(&self.limits.settings(decider.hook.number, Mode::Off))?;
        }
        println!("{answered} events in {:.1} s", begun.elapsed().as_secs_f64());
        deciders.iter().try_for_each(|decider| summary(&shim, decider.hook))
    }

    fn answer_until(
        &self,
        begun: Instant,
        shim: &Shim,
        rings: &mut [CpuRings],
        deciders: &mut [Decider],
    ) -> Result<u64> {
        let limit = self.seconds.map_or(Duration::MAX, Duration::from_secs);
        let most = self.events.unwrap_or(u64::MAX);
        let (mut answered, mut idle) = (0, 0);
        while answered < most && begun.elapsed() < limit {
            let before = answered;
            for ring in &mut *rings {
                while let Some(event) = ring.take_event() {
                    if let Some(decider) =
                        deciders.iter_mut().find(|decider| decider.hook.number == event.hook())
                    {
                        ring.answer(&decider.decide(&event));
                    }
                    answered += 1;
                }
                while ring.take_outcome().is_some() {}
            }
            idle = if answered > before { 0 } else { idle + 1 };
            if idle > IDLE_ROUNDS && !self.poll {
                shim.sleep(rings, SLEEP)?;
                idle = 0;
            }
        }
        Ok(answered)
    }
}

/// What became of a hook's events.
fn summary(shim: &Shim, hook: &KernelHook) -> Result<()> {
    let counters = shim.counters(hook.number)?;
    let settings = shim.settings(hook.number)?;
    let count = |counter| value(&counters, counter);
    let share = |part: u64, all: u64| 100.0 * part as f64 / all.max(1) as f64;
    let (agreed, differed) = (count(Counter::Agreed), count(Counter::Disagreed));
    println!(
        "{}: {} calls, {} events; {:.1} % answered in time, {} late, {} not answered",
        hook.name,
        count(Counter::Calls),
        count(Counter::Sent),
        share(count(Counter::InTime), count(Counter::Sent)),
        count(Counter::Late),
        count(Counter::Unanswered),
    );
    if agreed + differed > 0 {
        println!(
            "{}: agreement with the kernel {:.2} % of {} decisions; {} used, {} of them changed \
             the kernel's answer, {} overruled",
            hook.name,
            share(agreed, agreed + differed),
            agreed + differed,
            count(Counter::Used),
            count(Counter::Changed),
            count(Counter::Overruled),
        );
    }
    match discrepancy(hook, settings.mode, &counters) {
        None => Ok(()),
        Some(what) => bail!("the counters do not add up: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_of_firmware_read_the_events_that_the_module_sends() {
        for name in ["page_prefetch.rmt", "can_migrate_task.rmt"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware").join(name);
            let declared = program::load(&path).unwrap().hook;
            let hook = KernelHook::from_number(declared.number).unwrap();
            assert_eq!(hook.name, declared.name);
            // The key is of every event, by whatever name.
            for field in declared.fields.iter().filter(|field| field.offset != 8) {
                let sent = hook
                    .argument(&field.name)
                    .map(|argument| (argument.field.offset, argument.field.bytes, argument.signed));
                let read = (usize::from(field.offset), field.kind.bytes(), field.kind.signed());
                assert_eq!(sent, Some(read), "{name}: {}", field.name);
            }
        }
    }
}
