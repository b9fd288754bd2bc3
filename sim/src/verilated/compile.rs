//! From Verilog to a shared library: Verilator, the C++ compiler on several files at once, the
//! linker.
//!
//! Verilator's runtime takes longer to compile than a small model, so it is a cache entry of its
//! own, shared by all models with the same options. Verilator's generated Makefile is not used: the
//! wheel's names the compiler of the machine that made the wheel.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::cache::{Cache, KeyBuilder};
use super::error::Error;
use super::ffi::ABI_VERSION;
use super::ports;
use super::process;
use super::spec::{self, Optimisation, Trace, VerilatedBuild};
use super::toolchain::Toolchain;

/// The library's name in its cache entry.
pub(super) const LIBRARY: &str = "model.so";

const SHIM: &str = include_str!("shim.cpp");

/// This file is part of every key: whoever changes how models are made gets new ones.
const RECIPE: &str = include_str!("compile.rs");

/// Statements in one generated C++ file. Verilator's default of 20,000 makes files on which the
/// optimiser is slower than on the parts, and with fewer files than cores (16 x 16 array, -O2: 17 s
/// against 12 s of processor time).
const OUTPUT_SPLIT: &str = "4000";

/// Small generated files are compiled together up to this size: each pays a second for Verilator's
/// headers.
const BATCH_BYTES: u64 = 200_000;

/// Only the table of functions is visible: models must not see each other's symbols, nor share C++
/// static objects.
const VERSION_SCRIPT: &str = "{ global: rmt_verilated_abi; local: *; };\n";

/// Where the time of a build went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildReport {
    /// True if nothing was built: the library came from the cache.
    pub from_cache: bool,
    /// True if Verilator's runtime came from the cache, or was not needed because the library did.
    pub runtime_from_cache: bool,
    /// Verilator's run time; zero if it did not run.
    pub verilate: Duration,
    /// Compiling and linking, without the runtime; zero if nothing was compiled.
    pub compile: Duration,
}

impl VerilatedBuild {
    /// The hash of everything that the library depends on.
    pub(super) fn key(&self, toolchain: &Toolchain) -> String {
        let pairs = |list: &[(String, String)]| {
            list.iter().map(|(a, b)| format!("{a}\n{b}")).collect::<Vec<_>>()
        };
        self.base_key("model", toolchain)
            .add(SHIM)
            .add(format!("{:?} {}", self.optimisation, self.threads))
            .add(match self.optimisation {
                Optimisation::Build => String::new(),
                Optimisation::Run => processor(),
            })
            .add(&self.top)
            .add_all(pairs(&self.sources).iter())
            .add_all(pairs(&self.defines).iter())
            .add_all(self.ports.iter().map(|port| format!("{port:?}")))
            .add_all(self.multiples.iter().map(|multiple| format!("{multiple:?}")))
            .finish()
    }

    /// What the model and the runtime both depend on.
    fn base_key(&self, kind: &str, toolchain: &Toolchain) -> KeyBuilder {
        KeyBuilder::new(kind)
            .add(RECIPE)
            .add(format!("{ABI_VERSION} {} {:?}", std::env::consts::ARCH, self.trace))
            .add(toolchain.identity())
    }

    /// Makes the library in `output`, an empty folder that becomes the cache entry; all else goes
    /// to `folder`.
    pub(super) fn make(
        &self,
        toolchain: &Toolchain,
        cache: &Cache,
        output: &Path,
        folder: &Path,
    ) -> Result<BuildReport, Error> {
        let start = Instant::now();
        self.verilate(toolchain, folder)?;
        let verilate = start.elapsed();

        let mut generated = Generated::read(folder)?;
        let header = read(&folder.join("Vmodel.h"))?;
        write(&folder.join("ports.inc"), &ports::match_ports(self, &header)?)?;
        write(&folder.join("shim.cpp"), SHIM)?;
        write(&folder.join("exports.map"), VERSION_SCRIPT)?;
        let runtime = self.runtime(toolchain, cache, &generated.runtime)?;

        let start = Instant::now();
        generated.cycle.push("shim".to_owned());
        let mut jobs = batch(folder, &generated.cycle, Code::Cycle)?;
        jobs.extend(batch(folder, &generated.once, Code::Once)?);
        self.compile(toolchain, folder, &jobs)?;
        let objects = jobs.iter().map(|job| folder.join(object_name(&job.source)));
        self.link(toolchain, folder, objects.chain(runtime.objects), &output.join(LIBRARY))?;
        Ok(BuildReport {
            from_cache: false,
            runtime_from_cache: runtime.from_cache,
            verilate,
            compile: start.elapsed(),
        })
    }

    fn verilate(&self, toolchain: &Toolchain, folder: &Path) -> Result<(), Error> {
        let names = spec::write_sources(&self.sources, folder)?;
        let mut command = toolchain.verilator_command();
        command.current_dir(folder).args([
            "--cc",
            "--prefix",
            "Vmodel",
            "--Mdir",
            ".",
            "--top-module",
            &self.top,
        ]);
        command.args([
            "-O3",
            "--output-split",
            OUTPUT_SPLIT,
            "--no-timing",
            "--timescale-override",
            "1ns/1ns",
        ]);
        // What the source leaves open (X, registers before reset) is decided when the model runs,
        // by InitialState.
        command.args(["--x-assign", "unique", "--x-initial", "unique"]);
        // Names that C++ reserves are nothing to a Verilog author: Verilator renames them.
        command.arg("-Wno-SYMRSVDWORD");
        if self.trace == Trace::Fst {
            command.args(["--trace-fst", "--trace-structs"]);
        }
        if self.threads > 1 {
            command.args(["--threads", &self.threads.to_string()]);
        }
        for (name, value) in &self.defines {
            command.arg(format!("+define+{name}={value}"));
        }
        toolchain.run_verilator(command.args(names), &self.top)
    }

    /// The runtime's object files, from the cache or compiled now.
    fn runtime(
        &self,
        toolchain: &Toolchain,
        cache: &Cache,
        sources: &[String],
    ) -> Result<Runtime, Error> {
        let key = self.base_key("runtime", toolchain).add_all(sources.iter()).finish();
        let entry = cache.entry(&key, "Verilator's runtime", |output, folder| {
            let mut jobs = Vec::new();
            for name in sources {
                // A file of one line, so that runtime sources are compiled as the generated ones
                // are.
                let source = format!("runtime_{name}.cpp");
                write(&folder.join(&source), &format!("#include \"{name}.cpp\"\n"))?;
                jobs.push(Job { source, code: Code::Runtime });
            }
            self.compile(toolchain, folder, &jobs)?;
            for job in &jobs {
                let object = folder.join(object_name(&job.source));
                let place = output.join(object_name(&job.source));
                std::fs::rename(&object, &place).map_err(Error::io("move", &object))?;
            }
            Ok(())
        })?;
        let object = |name| entry.folder.join(object_name(&format!("runtime_{name}.cpp")));
        let objects = sources.iter().map(object).collect();
        Ok(Runtime { objects, from_cache: entry.from_cache })
    }

    /// Compiles each job's source in `folder` to an object file beside it, one job for each core at
    /// a time. After the first failure no further job is started.
    fn compile(&self, toolchain: &Toolchain, folder: &Path, jobs: &[Job]) -> Result<(), Error> {
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let first_error = Mutex::new(None);
        let worker = || {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if failed.load(Ordering::Relaxed) {
                    return;
                }
                let mut command = self.compile_command(toolchain, folder, job);
                if let Err(error) =
                    process::run_checked("the C++ compiler", &mut command, toolchain.limits.command)
                {
                    failed.store(true, Ordering::Relaxed);
                    first_error
                        .lock()
                        .unwrap_or_else(|poison| poison.into_inner())
                        .get_or_insert(error);
                }
            }
        };
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        std::thread::scope(|scope| {
            for _ in 0..cores.min(jobs.len()) {
                scope.spawn(worker);
            }
        });
        match first_error.into_inner().unwrap_or_else(|poison| poison.into_inner()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn compile_command(&self, toolchain: &Toolchain, folder: &Path, job: &Job) -> Command {
        let include = toolchain.include_folder();
        let traced = u32::from(self.trace == Trace::Fst);
        let mut command = toolchain.compiler_command();
        command.current_dir(folder).args([
            "-std=gnu++17",
            "-w",
            "-fPIC",
            "-fvisibility=hidden",
            "-pthread",
        ]);
        command.args(match (job.code, self.optimisation) {
            (Code::Cycle, Optimisation::Run) if cfg!(target_arch = "x86_64") => {
                ["-O2", "-march=native"].as_slice()
            }
            (Code::Cycle, Optimisation::Run) => &["-O2", "-mcpu=native"],
            (Code::Cycle, Optimisation::Build) => &["-O1"],
            (Code::Once, _) => &["-O0"],
            (Code::Runtime, _) => &["-O2"],
        });
        command.args([
            "-DVM_COVERAGE=0",
            "-DVM_SC=0",
            "-DVM_TIMING=0",
            "-DVM_TRACE_SAIF=0",
            "-DVM_TRACE_VCD=0",
        ]);
        command.args([format!("-DVM_TRACE={traced}"), format!("-DVM_TRACE_FST={traced}")]);
        command.args(["-DVL_USER_FINISH", "-DVL_USER_STOP", "-DVL_USER_FATAL"]);
        command.arg(format!("-DRMT_ABI_VERSION={ABI_VERSION}"));
        command.arg("-I.").arg("-I").arg(&include).arg("-I").arg(include.join("vltstd"));
        command.args(["-c", &job.source, "-o", &object_name(&job.source)]);
        command
    }

    fn link(
        &self,
        toolchain: &Toolchain,
        folder: &Path,
        objects: impl Iterator<Item = PathBuf>,
        library: &Path,
    ) -> Result<(), Error> {
        let mut command = toolchain.compiler_command();
        // -z defs: a symbol that is missing is an error here and not when the model is loaded.
        command.current_dir(folder).args([
            "-shared",
            "-pthread",
            "-Wl,-z,defs",
            "-Wl,--version-script=exports.map",
        ]);
        command.arg("-o").arg(library).args(objects);
        if self.trace == Trace::Fst {
            command.args(["-llz4", "-lz"]);
        }
        process::run_checked("the C++ linker", &mut command, toolchain.limits.command).map(drop)
    }
}

/// The runtime's object files.
struct Runtime {
    objects: Vec<PathBuf>,
    from_cache: bool,
}

/// One run of the compiler.
struct Job {
    source: String,
    code: Code,
}

/// How often code runs, which decides how it is compiled.
#[derive(Clone, Copy)]
enum Code {
    /// The design's own code, in every cycle.
    Cycle,
    /// Constructors and first evaluations: optimising them costs more than it brings.
    Once,
    /// Verilator's runtime: the same for every [`Optimisation`], so that one cache entry serves
    /// them all.
    Runtime,
}

fn object_name(source: &str) -> String {
    format!("{source}.o")
}

/// What Verilator says of its output in `Vmodel_classes.mk`: file names without `.cpp`.
struct Generated {
    cycle: Vec<String>,
    once: Vec<String>,
    runtime: Vec<String>,
}

impl Generated {
    fn read(folder: &Path) -> Result<Self, Error> {
        let text = read(&folder.join("Vmodel_classes.mk"))?;
        let mut generated = Generated { cycle: Vec::new(), once: Vec::new(), runtime: Vec::new() };
        let mut list = None;
        for line in text.lines() {
            if let Some((variable, _)) = line.split_once(" += \\") {
                list = match variable {
                    "VM_CLASSES_FAST" | "VM_SUPPORT_FAST" => Some(&mut generated.cycle),
                    "VM_CLASSES_SLOW" | "VM_SUPPORT_SLOW" => Some(&mut generated.once),
                    "VM_GLOBAL_FAST" | "VM_GLOBAL_SLOW" => Some(&mut generated.runtime),
                    _ => None,
                };
            } else if let (Some(list), Some(name)) =
                (list.as_deref_mut(), line.trim().strip_suffix(" \\"))
            {
                list.push(name.to_owned());
            } else {
                list = None;
            }
        }
        Ok(generated)
    }
}

/// Groups generated files into compiler runs: large ones alone, small ones together.
fn batch(folder: &Path, names: &[String], code: Code) -> Result<Vec<Job>, Error> {
    let mut batches: Vec<(u64, String)> = Vec::new();
    for name in names {
        let path = folder.join(format!("{name}.cpp"));
        let bytes = path.metadata().map_err(Error::io("find the generated file", &path))?.len();
        let line = format!("#include \"{name}.cpp\"\n");
        match batches.iter_mut().find(|(total, _)| total + bytes <= BATCH_BYTES) {
            Some((total, text)) => {
                *total += bytes;
                text.push_str(&line);
            }
            None => batches.push((bytes, line)),
        }
    }
    // The longest first, so that no core idles while another one works on the last.
    batches.sort_by_key(|(total, _)| std::cmp::Reverse(*total));
    let kind = if matches!(code, Code::Once) { "once" } else { "cycle" };
    let mut jobs = Vec::new();
    for (number, (_, text)) in batches.iter().enumerate() {
        let source = format!("{kind}{number}.cpp");
        write(&folder.join(&source), text)?;
        jobs.push(Job { source, code });
    }
    Ok(jobs)
}

/// The processor's model and features: `-march=native` code must not be reused on another one.
fn processor() -> String {
    let facts = ["vendor_id", "model name", "flags", "CPU implementer", "CPU part", "Features"];
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let first = text.split("\n\n").next().unwrap_or_default();
    let is_fact = |line: &&str| facts.iter().any(|fact| line.starts_with(fact));
    first.lines().filter(is_fact).collect::<Vec<_>>().join("\n")
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::io("read", path))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(Error::io("write", path))
}
