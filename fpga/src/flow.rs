//! The steps from a configuration to a bitstream. What is the same for all parts stands here, what differs in `trellis` (ECP5)
//! and `xray` (7-series); how both map to tables in `mapping`; place and route in `route`, and how it is asked in `router`;
//! how far a tool is in `progress`; a part of the card alone in [`unit`].

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rmt_core::CoreConfig;
use rtl_builder::prelude::Design;
use serde_json::Value;

use crate::boards::{Board, Flow, Link, Part, TOP};
use crate::cache::{Cache, Key};
use crate::depth::deepest;
use crate::error::FpgaError;
use crate::modules::{module_use, registered_multipliers};
use crate::pll::PllKind;
use crate::process::run;
use crate::report::{ModuleUse, Report, Timing};
use crate::resources::Resources;
use crate::tools::{LOADER, Search, Tool, YOSYS};
use crate::vivado;

mod mapping;
mod progress;
mod route;
mod router;
mod seeds;
mod trellis;
pub mod unit;
mod xray;

use progress::Passes;
use router::{Asks, Router};
use seeds::{Routed, Seeds};

/// What is built.
pub struct Request<'a> {
    /// For which board.
    pub board: &'static Board,
    /// Which card.
    pub config: &'a CoreConfig,
    /// Clock of the card, MHz.
    pub mhz: f64,
    /// First seed of place and route.
    pub seed: u32,
    /// Seeds to try, from the first one on, until one can be routed.
    pub tries: u32,
    /// Seeds to route: the fastest one is taken.
    pub best_of: u32,
    /// Speed grade to route for in place of the part's own.
    pub speed: Option<u32>,
    /// What the router is asked of the card's clock, MHz; without it, what the placement is expected to reach and a little
    /// more. Clocks of the bitstream are those of `mhz`.
    pub aim_mhz: Option<f64>,
    /// How long each tool may run.
    pub limit: Duration,
    /// Stop when the netlist is known to fit.
    pub only_synthesis: bool,
}

/// A step that is under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The step.
    pub step: &'static str,
    /// How much of it is done, 0 to 1, as far as the tool's output tells.
    pub done: f64,
    /// What it does.
    pub doing: String,
}

/// Where things are.
pub struct Build {
    /// The report.
    pub report: Report,
    /// The bitstream, if it was made.
    pub bitstream: Option<PathBuf>,
    /// The netlist.
    pub netlist: PathBuf,
}

/// Runs steps and tells how far they are.
pub struct Builder<'a> {
    /// Where tools are.
    pub search: Search,
    /// Where results are kept.
    pub cache: Cache,
    /// Is told of progress.
    pub progress: &'a mut dyn FnMut(Progress),
}

/// What differs between the families of parts.
struct Family {
    /// What yosys is told for synthesis of [`TOP`], which ends in `mapped.json`, by whether the design has a second clock.
    synthesis: fn(bool) -> String,
    /// What changes in the netlist that it makes.
    mend: Mend,
    /// Tools that come after it.
    tools: [Tool; 2],
    /// What makes the card's clock.
    pll: PllKind,
    /// Whether what the tools need beside themselves is there.
    check: fn(&Search, &Board) -> Result<(), FpgaError>,
    /// How nextpnr is run.
    router: fn(&Search, &Goal) -> Result<Router, FpgaError>,
    /// What a card is routed for first.
    first: Asks,
    /// How often a placement is asked for less when it was not routed.
    eases: i32,
    /// How often a card is routed again, for more than it has reached.
    asks_beyond: u32,
    /// Adds to nextpnr's timing what it does not know, from the folder of what it made.
    complete: fn(&Search, &Part, &Path, &mut Timing) -> Result<(), FpgaError>,
    /// From the folder of what nextpnr made to the bitstream.
    pack: Pack,
}

/// The family of a flow whose tools run here.
fn family(flow: Flow) -> Option<&'static Family> {
    match flow {
        Flow::Trellis => Some(&trellis::FAMILY),
        Flow::Xray => Some(&xray::FAMILY),
        Flow::Vivado => None,
    }
}

type Mend = fn(&mut Value) -> Result<(), FpgaError>;

type Pack =
    fn(&mut Builder<'_>, &Board, &BTreeMap<String, String>, &Path) -> Result<PathBuf, FpgaError>;

/// What place and route aims at.
#[derive(Clone, Copy)]
struct Goal {
    board: &'static Board,
    speed: u32,
    mhz: f64,
    aim_mhz: Option<f64>,
    seed: u32,
    /// Seeds that were given up before.
    attempt: i32,
    /// A whole card; else one of its units.
    whole: bool,
    /// The array's clock is so many times faster than the card's.
    array_clock_ratio: u32,
    /// What it takes.
    used: Resources,
}

/// Files that synthesis and place and route leave.
const NETLIST: &str = "netlist.json";
const TIMING: &str = "timing.json";
/// What the last tool writes.
const BITSTREAM: &str = "board.bit";
/// Ways of a report that say where a design is deepest.
const WAYS: usize = 12;
/// How long it may run: it takes seconds.
const BITSTREAM_LIMIT: Duration = Duration::from_secs(600);

/// A file of the design: name and text.
pub type File = (String, String);

/// The card under the top of a board.
///
/// # Errors
/// When the configuration cannot be built.
pub fn design(board: &Board, config: &CoreConfig, mhz: f64) -> Result<Design, FpgaError> {
    let config = board.adapt(config);
    Ok(match board.link {
        Link::Serial { baud } => {
            let clocks = (mhz * 1e6 / f64::from(baud)).round() as u32;
            rmt_core::elaborate_serial_card(&config, clocks)?
        }
        Link::Pcie { .. } => rmt_core::elaborate_pcie_card(&config)?,
    })
}

/// The Verilog of a board: its top and the card under it.
///
/// # Errors
/// When the configuration cannot be built, or the clock cannot be made.
pub fn sources(request: &Request<'_>) -> Result<Vec<File>, FpgaError> {
    let board = request.board;
    let design = design(board, request.config, request.mhz)?;
    let mut files = design.files();
    if matches!(board.link, Link::Pcie { stream_bits: 128, .. }) {
        let realign = rtl_builder::prelude::elaborate(rmt_core::tlp::realign::Realign);
        files.extend(realign.map_err(rmt_core::Error::from)?.files());
    }
    let name =
        |path: &str| Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    files.extend(board.top.iter().map(|(path, text)| {
        (name(path).unwrap_or_else(|| (*path).to_owned()), (*text).to_owned())
    }));
    Ok(files)
}

/// Parameters of the top that make the card's clock, and that of its array if it has its own.
pub(crate) fn clock_parameters(
    request: &Request<'_>,
    kind: &PllKind,
) -> Result<Vec<(&'static str, u32)>, FpgaError> {
    let ratio = request.config.shape().engine.array_clock_ratio;
    let pll = kind.dividers(request.board.input_mhz, request.mhz, ratio)?;
    let mut dividers =
        vec![("PLL_INPUT", pll.input), ("PLL_FEEDBACK", pll.feedback), ("PLL_OUTPUT", pll.output)];
    if ratio > 1 {
        dividers.push(("PLL_ARRAY", pll.output / ratio));
    }
    Ok(dividers)
}

/// Macros of the top, which connects a clock of the array only where the card has one.
pub fn defines(config: &CoreConfig) -> &'static [&'static str] {
    if has_array_clock(config) { &["ARRAY_CLOCK"] } else { &[] }
}

fn has_array_clock(config: &CoreConfig) -> bool {
    config.shape().engine.array_clock_ratio > 1
}

impl<'a> Builder<'a> {
    /// With tools and cache as the environment says.
    pub fn from_environment(progress: &'a mut dyn FnMut(Progress)) -> Self {
        Self { search: Search::from_environment(), cache: Cache::shared(), progress }
    }
}

impl Builder<'_> {
    fn tell(&mut self, step: &'static str, done: f64, doing: impl Into<String>) {
        (self.progress)(Progress { step, done, doing: doing.into() });
    }

    /// Builds what was asked for.
    ///
    /// # Errors
    /// A missing tool is an error before anything runs; a configuration that does not fit, before place and route.
    pub fn build(&mut self, request: &Request<'_>) -> Result<Build, FpgaError> {
        let board = request.board;
        let Some(family) = family(board.flow) else {
            let folder = vivado::write_project(request, &self.cache)?;
            return Err(FpgaError::NeedsVivado { board: board.name, folder });
        };
        let after: &[Tool] = if request.only_synthesis { &[] } else { &family.tools };
        let versions = self.versions(after)?;
        if !request.only_synthesis {
            (family.check)(&self.search, board)?;
        }
        let files = sources(request)?;
        let mut parameters = clock_parameters(request, &family.pll)?;
        parameters.push(("LIGHTS_LOW", board.lights_low.into()));
        let defines = defines(request.config);
        let synthesis = (family.synthesis)(has_array_clock(request.config));
        let script = script(&synthesis, &files, defines, &parameters);
        let begun = Instant::now();
        let (netlist, modules, packed) =
            self.synthesise(&files, (&script, family.mend), &versions, request.limit)?;
        let used = modules.first().map(|module| module.total).unwrap_or_default();
        let synthesis_seconds = begun.elapsed().as_secs_f64();
        used.fits(&board.part.resources).map_err(|shortage| FpgaError::TooLarge {
            board: board.name,
            part: board.part.name,
            shortage,
        })?;
        let mut report = Report {
            board: board.name.to_owned(),
            part: board.part.name.to_owned(),
            speed: request.speed.unwrap_or(board.part.speed),
            configuration: request.config.clone(),
            asked_mhz: request.mhz,
            seed: request.seed,
            tools: versions,
            used,
            available: board.part.resources,
            modules,
            packed_multipliers: packed,
            deepest: deepest(&read_json(&netlist)?, WAYS),
            timing: None,
            synthesis_seconds,
            route_seconds: None,
        };
        if request.only_synthesis {
            return Ok(Build { report, bitstream: None, netlist });
        }
        let begun = Instant::now();
        let goal = Goal {
            board,
            speed: report.speed,
            mhz: request.mhz,
            aim_mhz: request.aim_mhz,
            seed: request.seed,
            attempt: 0,
            whole: true,
            array_clock_ratio: request.config.shape().engine.array_clock_ratio,
            used,
        };
        let seeds = Seeds { request, family, versions: &report.tools, netlist: &netlist };
        let Routed { seed, folder, timing } = self.best_seed(&seeds, goal)?;
        report.seed = seed;
        report.timing = Some(timing);
        report.route_seconds = Some(begun.elapsed().as_secs_f64());
        let bitstream = (family.pack)(self, board, &report.tools, &folder)?;
        Ok(Build { report, bitstream: Some(bitstream), netlist })
    }

    /// Versions of yosys and the tools after it.
    fn versions(&self, after: &[Tool]) -> Result<BTreeMap<String, String>, FpgaError> {
        let tools = [YOSYS].into_iter().chain(after.iter().copied());
        tools.map(|tool| Ok((tool.name.to_owned(), self.search.version(tool)?))).collect()
    }

    /// yosys, then what its netlist lacks: the netlist, what each module takes, and how many multipliers have
    /// all their registers.
    fn synthesise(
        &mut self,
        files: &[File],
        (script, mend): (&str, Mend),
        versions: &BTreeMap<String, String>,
        limit: Duration,
    ) -> Result<(PathBuf, Vec<ModuleUse>, u64), FpgaError> {
        let mut key = Key::default().with("synthesis 4").with(&versions[YOSYS.name]).with(script);
        for (name, text) in files {
            key = key.with(name).with(text);
        }
        let yosys = self.search.find(YOSYS)?;
        let count = files.len();
        self.tell("synthesis", 0.0, format!("{count} modules"));
        let cache = self.cache.clone();
        let (folder, hit) = cache.step("synthesis", key, |folder| {
            for (name, text) in files {
                write(&folder.join(name), text)?;
            }
            write(&folder.join("synthesis.ys"), script)?;
            // The program runs in a sandbox that sees only what is below its folder.
            let mut command = Command::new(&yosys);
            command.current_dir(folder).arg("synthesis.ys");
            let log = folder.join("yosys.log");
            let mut passes = Passes::default();
            run(YOSYS.name, &mut command, &log, limit, &mut |line| {
                if let Some(done) = passes.take(line) {
                    self.tell("synthesis", done, line.split("Executing").last().unwrap_or(line));
                }
                ControlFlow::Continue(())
            })?;
            let path = folder.join("mapped.json");
            let mut netlist = read_json(&path)?;
            mend(&mut netlist)?;
            write(&folder.join(NETLIST), netlist.to_string())?;
            let modules = module_use(&netlist);
            let packed = registered_multipliers(&netlist);
            let result = serde_json::json!({ "modules": modules, "packed_multipliers": packed });
            write(&folder.join("result.json"), result.to_string())
        })?;
        self.tell("synthesis", 1.0, if hit { "was there already" } else { "done" });
        let result = read_json(&folder.join("result.json"))?;
        let modules = serde_json::from_value(result["modules"].clone())
            .map_err(FpgaError::json("a kept synthesis"))?;
        let packed = result["packed_multipliers"].as_u64().unwrap_or(0);
        Ok((folder.join(NETLIST), modules, packed))
    }
}

impl Builder<'_> {
    /// Runs the last tool, which makes the bitstream of one file.
    fn bitstream(
        &mut self,
        tool: Tool,
        key: Key,
        (name, content): (&str, &[u8]),
        arguments: &[String],
    ) -> Result<PathBuf, FpgaError> {
        let program = self.search.find(tool)?;
        self.tell("bitstream", 0.5, "");
        let (folder, _) = self.cache.step("bitstream", key, |folder| {
            write(&folder.join(name), content)?;
            let mut command = Command::new(&program);
            command.current_dir(folder).args(arguments);
            let log = folder.join(format!("{}.log", tool.name));
            run(tool.name, &mut command, &log, BITSTREAM_LIMIT, &mut |_| ControlFlow::Continue(()))
        })?;
        self.tell("bitstream", 1.0, "done");
        Ok(folder.join(BITSTREAM))
    }
}

/// How often what is known of ports is carried across modules.
const PORT_ROUNDS: u32 = 3;

/// What yosys is told. What is constant, tied together or unused across ports of modules is simplified first.
fn script(synthesis: &str, files: &[File], defines: &[&str], parameters: &[(&str, u32)]) -> String {
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let defines: String = defines.iter().map(|name| format!("-D{name} ")).collect();
    let mut script = format!("read_verilog -sv {defines}{}\n", names.join(" "));
    let set: Vec<String> =
        parameters.iter().map(|(name, value)| format!("-chparam {name} {value}")).collect();
    // Without -check: the cells of the part are known to the synthesis only, which checks then.
    script += &format!("hierarchy -top {TOP} {}\n", set.join(" "));
    // Tables of constants stay choices: a memory made of one has a difference before its address.
    script += "proc -norom\nopt_clean\n";
    // What one round finds may be what the next one needs on its way up or down. Fine: a port's constant bits are
    // most often the gaps between the fields of a line.
    for _ in 0..PORT_ROUNDS {
        script += "opt_expr -fine\nopt_clean\nopt_hier\n";
    }
    script + synthesis
}

fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), FpgaError> {
    std::fs::write(path, content).map_err(FpgaError::file("write", path))
}

fn read_json(path: &Path) -> Result<Value, FpgaError> {
    let text = std::fs::read_to_string(path).map_err(FpgaError::file("read", path))?;
    serde_json::from_str(&text).map_err(|error| FpgaError::BadOutput {
        what: "a tool's JSON",
        problem: format!("{}: {error}", path.display()),
    })
}

/// The program and arguments that load a bitstream, for people to read and for [`Command`].
///
/// # Errors
/// When the loader is missing.
pub fn loader_command(
    search: &Search,
    board: &Board,
    bitstream: &Path,
    permanent: bool,
) -> Result<Vec<String>, FpgaError> {
    let program = search.find(LOADER)?;
    let mut words = vec![program.display().to_string()];
    words.extend(board.loader.iter().map(|word| (*word).to_owned()));
    // Into the flash memory, or into the FPGA until the power goes.
    words.extend(permanent.then(|| "--write-flash".to_owned()));
    words.push(bitstream.display().to_string());
    Ok(words)
}

#[cfg(test)]
mod tests;
