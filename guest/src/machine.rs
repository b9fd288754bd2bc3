//! Boots the guest and waits for its verdict, for a bounded time.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::NamedTempFile;

use crate::error::last_lines;
use crate::{GuestError, System, archive};

/// The port of the device by which the guest gives its verdict; `init.sh` knows it too.
const EXIT_PORT: u32 = 0xf4;
/// QEMU's exit code for the guest's verdict 0: twice 0x10, and one.
const EXIT_CODE_BASE: i32 = 33;
/// The processors: the default lacks SSSE3, which the JIT's code for vectors needs.
const PROCESSOR: &str = "Nehalem";
/// For a reply of the card. The link breaks for good when it is exceeded: RTL is slow, and
/// being late is the driver's business.
const REPLY_MILLISECONDS: u32 = 600_000;

/// Looks for the thread of a processor, 50 ms apart.
const THREAD_LOOKS: u32 = 200;
/// Serial number of the disk that takes the results; `init.sh` knows it too.
const RESULTS_SERIAL: &str = "results";
/// Its size, MiB.
const RESULTS_MIB: u32 = 64;

/// What the guest said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Exit code of the task, 0 to 15; larger ones are 15.
    pub code: i32,
    /// All that it wrote.
    pub console: String,
    /// The files that it left in `/results`, by path.
    pub results: Vec<(String, Vec<u8>)>,
    /// From starting QEMU to its end.
    pub elapsed: Duration,
}

/// A virtual machine that has not been started.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Memory, MiB.
    pub memory_mib: u32,
    /// Processors.
    pub processors: u32,
    /// NUMA nodes among which processors and memory are shared out evenly.
    pub nodes: u32,
    /// Size of a disk to swap to, MiB; 0: none. The kernel takes it for one that has seek times.
    pub swap_mib: u32,
    /// Whether the files that the guest leaves in `/results` are taken back.
    pub takes_results: bool,
    /// The socket of a vfio-user server: a card behind a root port.
    pub card: Option<PathBuf>,
    /// Whether there is an IOMMU.
    pub iommu: bool,
    /// Whether the guest's clock counts instructions: one takes 1 ns, and processors take turns.
    pub count_instructions: bool,
    /// A processor whose thread comes first on this machine, where this user may do that: what polls
    /// there must not wait behind the others, which are more than this machine has processors for.
    pub favoured_processor: Option<u32>,
    /// More words for the kernel.
    pub kernel_arguments: String,
    /// The guest must end within this time.
    pub limit: Duration,
    /// Whether the guest's console is shown as it comes.
    pub show_console: bool,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            memory_mib: 1024,
            processors: 2,
            nodes: 1,
            swap_mib: 0,
            takes_results: false,
            card: None,
            iommu: true,
            count_instructions: false,
            favoured_processor: None,
            kernel_arguments: String::new(),
            limit: Duration::from_secs(300),
            show_console: true,
        }
    }
}

impl Machine {
    /// Boots a system with an initramfs and waits for the verdict.
    ///
    /// # Errors
    /// [`GuestError::Timeout`] when there is none in time, [`GuestError::NoVerdict`] when QEMU
    /// ends by itself.
    pub fn run(&self, system: &System, initramfs: &Path) -> Result<Verdict, GuestError> {
        let begun = Instant::now();
        let swap = disk(self.swap_mib)?;
        let results = disk(if self.takes_results { RESULTS_MIB } else { 0 })?;
        let mut command = self.command(system, initramfs);
        // The first disk is /dev/vda.
        for (file, serial) in [(&swap, "swap"), (&results, RESULTS_SERIAL)] {
            let Some(file) = file else { continue };
            let path = file.path().display();
            let drive = format!("id={serial},file={path},if=none,format=raw,cache=unsafe");
            let device = format!("virtio-blk-pci,drive={serial},serial={serial}");
            command.args(["-drive", &drive, "-device", &device]);
        }
        let qemu = PathBuf::from("qemu-system-x86_64");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(GuestError::file("cannot run", &qemu))?;
        let console = Console::of(&mut child, self.show_console);
        if let Some(processor) = self.favoured_processor {
            favour(child.id(), processor);
        }
        let Some(status) = wait(&mut child, begun + self.limit)
            .map_err(GuestError::file("cannot wait for", &qemu))?
        else {
            // Killed by wait; its pipes are closed now.
            let log = last_lines(&console.text(), 30);
            return Err(GuestError::Timeout { limit: self.limit, log });
        };
        let console = console.text();
        let code = status.code().unwrap_or(-1) - EXIT_CODE_BASE;
        if code < 0 || code % 2 != 0 || code / 2 > 15 {
            let log = last_lines(&console, 30);
            return Err(GuestError::NoVerdict { status: status.to_string(), log });
        }
        let results = results.as_ref().map_or(Ok(Vec::new()), |file| files_of(file.path()))?;
        Ok(Verdict { code: code / 2, console, results, elapsed: begun.elapsed() })
    }

    fn command(&self, system: &System, initramfs: &Path) -> Command {
        let Self { memory_mib, processors, nodes, .. } = self;
        let mut command = system.qemu();
        command
            // Threads have names, by which a processor's is found.
            .args(["-name", "rmt,debug-threads=on"])
            .args(["-nographic", "-nodefaults", "-no-reboot", "-cpu", PROCESSOR])
            .args([
                "-smp",
                &format!("{processors},sockets={nodes}"),
                "-m",
                &format!("{memory_mib}M"),
            ])
            .args(["-serial", "stdio"])
            .args(["-device", &format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4")]);
        if self.count_instructions {
            command.args(["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]);
        } else {
            command.args(["-accel", "tcg,thread=multi"]);
        }
        // The card's server maps the guest's memory: without share=on it would see a stale copy
        // and nobody would be told.
        for node in 0..*nodes {
            let bytes = memory_mib / nodes;
            let memory = format!("memory-backend-memfd,id=ram{node},size={bytes}M,share=on");
            command.args(["-object", &memory]);
            if *nodes > 1 {
                let (first, count) = (node * processors / nodes, processors / nodes);
                let cpus = format!("{first}-{}", first + count - 1);
                command
                    .args(["-numa", &format!("node,nodeid={node},cpus={cpus},memdev=ram{node}")]);
            }
        }
        let memory = if *nodes > 1 { "" } else { ",memory-backend=ram0" };
        command.args(["-machine", &format!("q35{memory}")]);
        if self.iommu {
            command.args(["-device", "intel-iommu,intremap=on,caching-mode=on"]);
        }
        if let Some(socket) = &self.card {
            // Behind a root port the card is an endpoint and alone in its IOMMU group.
            let device = json!({
                "driver": "vfio-user-pci", "bus": "root_port", "x-msg-timeout": REPLY_MILLISECONDS,
                "socket": { "type": "unix", "path": socket },
            });
            command.args(["-device", "pcie-root-port,id=root_port,chassis=1"]);
            command.args(["-device", &device.to_string()]);
        }
        let iommu = if self.iommu { "intel_iommu=on" } else { "intel_iommu=off" };
        let arguments = format!(
            "console=ttyS0 quiet panic=-1 {iommu} mitigations=off cryptomgr.notests nokaslr \
             no_timer_check tsc=reliable {}",
            self.kernel_arguments
        );
        command.arg("-kernel").arg(system.kernel()).arg("-initrd").arg(initramfs);
        command.args(["-append", &arguments]);
        command
    }
}

/// A file behind a disk, if it has any size; it goes with the value.
fn disk(mib: u32) -> Result<Option<NamedTempFile>, GuestError> {
    if mib == 0 {
        return Ok(None);
    }
    let file =
        NamedTempFile::new().map_err(GuestError::file("cannot make", Path::new("a disk")))?;
    let bytes = u64::from(mib) << 20;
    file.as_file().set_len(bytes).map_err(GuestError::file("cannot size", file.path()))?;
    Ok(Some(file))
}

/// The files of the archive on a disk; none when the guest wrote nothing.
fn files_of(disk: &Path) -> Result<Vec<(String, Vec<u8>)>, GuestError> {
    let bytes = std::fs::read(disk).map_err(GuestError::file("cannot read", disk))?;
    if bytes.iter().take(512).all(|byte| *byte == 0) {
        return Ok(Vec::new());
    }
    archive::files(&bytes).map_err(|reason| GuestError::Results { reason })
}

/// Gives the thread of a processor of QEMU the highest priority, as soon as it is there; says so
/// where that is not possible.
fn favour(qemu: u32, processor: u32) {
    std::thread::spawn(move || {
        let name = format!("CPU {processor}/TCG\n");
        let tasks = format!("/proc/{qemu}/task");
        let is_it = |task: &std::fs::DirEntry| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm == name)
        };
        for _ in 0..THREAD_LOOKS {
            let mut threads = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
            let Some(thread) = threads.find(is_it) else {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            };
            let thread = thread.file_name();
            let done = Command::new("renice").args(["-n", "-20", "-p"]).arg(thread).output();
            if !done.is_ok_and(|output| output.status.success()) {
                eprintln!(
                    "guest: this user may not put processor {processor} first; answers are later"
                );
            }
            return;
        }
        eprintln!("guest: processor {processor} has no thread of its own");
    });
}

/// Waits until the child ends; kills it at the deadline.
fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Collects what a child writes.
struct Console {
    pieces: mpsc::Receiver<Vec<u8>>,
}

impl Console {
    fn of(child: &mut Child, show: bool) -> Self {
        let (send, pieces) = mpsc::channel();
        let errors = child.stderr.take();
        let output = child.stdout.take();
        if let Some(pipe) = errors {
            // QEMU's own words are for the message of a guest that gave no verdict.
            read_all(pipe, send.clone(), false);
        }
        if let Some(pipe) = output {
            read_all(pipe, send, show);
        }
        Self { pieces }
    }

    /// All of it, after the child has ended.
    fn text(&self) -> String {
        let bytes: Vec<u8> = self.pieces.iter().flatten().collect();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }
}

fn read_all(
    mut pipe: impl std::io::Read + Send + 'static,
    send: mpsc::Sender<Vec<u8>>,
    show: bool,
) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            if show {
                // As bytes: a letter of several may be cut in two here.
                let shown: Vec<u8> =
                    buffer[..count].iter().copied().filter(|byte| *byte != b'\r').collect();
                let _ = std::io::stderr().write_all(&shown);
            }
            if send.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
}
