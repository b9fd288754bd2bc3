//! The guest's whole file system, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::archive::Archive;
use crate::{GuestError, System};

const INIT: &str = include_str!("../init.sh");
/// Modules that the guest may load, with what they need.
const MODULES: &[&str] = &["vfio-pci", "vfio_iommu_type1", "virtio_blk", "zram"];
/// Libraries that kmod loads when it meets a compressed module.
const LOADED_AT_RUN_TIME: &[&str] = &["liblzma.so.5", "libzstd.so.1"];
/// Programs of kmod, told apart by their name.
const KMOD_NAMES: &[&str] = &["modprobe", "insmod", "lsmod", "rmmod"];
/// Where the program of the host and its libraries stand.
const HOST_FOLDER: &str = "host";

/// What is carried into the guest.
#[derive(Debug, Default)]
pub struct Initramfs {
    /// Content by path; the folders follow from the paths.
    files: BTreeMap<String, Vec<u8>>,
    links: BTreeMap<String, String>,
}

impl Initramfs {
    /// The base: busybox, kmod, lspci, kernel modules, the first process.
    ///
    /// # Errors
    /// When the unpacked system lacks something.
    pub fn new(system: &System) -> Result<Self, GuestError> {
        let mut initramfs = Self::default();
        initramfs.files.insert("init".to_owned(), INIT.into());
        initramfs.links.insert("lib".to_owned(), "usr/lib".to_owned());
        initramfs.add_busybox(system)?;
        initramfs.add_programs(system)?;
        initramfs.add_modules(system)?;
        Ok(initramfs)
    }

    /// Adds a file of the host.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn add_file(&mut self, path: &str, source: &Path) -> Result<(), GuestError> {
        let content = fs::read(source).map_err(GuestError::file("cannot read", source))?;
        self.add(path, content);
        Ok(())
    }

    /// Adds a file with this content.
    pub fn add(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.files.insert(path.trim_start_matches('/').to_owned(), content.into());
    }

    /// Adds a program of this machine with the libraries that it uses here, under a name on
    /// the guest's `PATH`. It brings its own loader: the two C libraries need not agree.
    ///
    /// # Errors
    /// When a library is missing or a file cannot be read.
    pub fn add_host_program(&mut self, name: &str, program: &Path) -> Result<(), GuestError> {
        let output = Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1").output();
        let output = output.map_err(GuestError::file("cannot run", program))?;
        let mut loader = None;
        for library in libraries_of(program, &String::from_utf8_lossy(&output.stdout))? {
            let file = file_name(&library);
            if file.starts_with("ld-") {
                loader = Some(file.clone());
            }
            self.add_file(&format!("{HOST_FOLDER}/lib/{file}"), &library)?;
        }
        let binary = format!("{HOST_FOLDER}/{name}");
        self.add(&binary, stripped(program)?);
        // A static program has no loader.
        let command = loader.map_or_else(String::new, |loader| {
            format!("/{HOST_FOLDER}/lib/{loader} --library-path /{HOST_FOLDER}/lib ")
        });
        self.add(&format!("bin/{name}"), format!("#!/bin/sh\nexec {command}/{binary} \"$@\"\n"));
        Ok(())
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), GuestError> {
        let write = || -> std::io::Result<()> {
            let file = fs::File::create(path)?;
            let mut archive = Archive::new(std::io::BufWriter::new(file));
            for folder in self.folders() {
                archive.directory(&folder)?;
            }
            for (path, target) in &self.links {
                archive.link(path, target)?;
            }
            for (path, content) in &self.files {
                archive.file(path, content)?;
            }
            archive.finish()?;
            Ok(())
        };
        write().map_err(GuestError::file("cannot write", path))
    }

    /// All folders, each behind the one that holds it.
    fn folders(&self) -> BTreeSet<String> {
        let mut folders: BTreeSet<String> =
            ["dev", "proc", "sys", "tmp", "run"].map(str::to_owned).into();
        for path in self.files.keys().chain(self.links.keys()) {
            for folder in Path::new(path).ancestors().skip(1) {
                if folder != Path::new("") {
                    folders.insert(folder.display().to_string());
                }
            }
        }
        folders
    }

    fn add_busybox(&mut self, system: &System) -> Result<(), GuestError> {
        let busybox = system.folder().join("usr/bin/busybox");
        self.add_file("bin/busybox", &busybox)?;
        let list = Command::new(&busybox).arg("--list").output();
        let list = list.map_err(GuestError::file("cannot run", &busybox))?;
        for name in String::from_utf8_lossy(&list.stdout).lines() {
            let own = ["busybox", "lspci"].contains(&name) || KMOD_NAMES.contains(&name);
            if !own {
                self.links.insert(format!("bin/{name}"), "busybox".to_owned());
            }
        }
        Ok(())
    }

    fn add_programs(&mut self, system: &System) -> Result<(), GuestError> {
        self.add_file("lib64/ld-linux-x86-64.so.2", &system.loader())?;
        let mut libraries: BTreeSet<PathBuf> =
            LOADED_AT_RUN_TIME.iter().map(|name| system.libraries().join(name)).collect();
        for name in ["kmod", "lspci", "setpci"] {
            let program = system.folder().join("usr/bin").join(name);
            let output = Command::new(system.loader())
                .arg("--library-path")
                .arg(system.libraries())
                .arg("--list")
                .arg(&program)
                .output()
                .map_err(GuestError::file("cannot run", &program))?;
            let list = libraries_of(&program, &String::from_utf8_lossy(&output.stdout))?;
            libraries.extend(list.into_iter().filter(|path| !file_name(path).starts_with("ld-")));
            self.add_file(&format!("bin/{name}"), &program)?;
        }
        for library in libraries {
            self.add_file(&format!("usr/lib/x86_64-linux-gnu/{}", file_name(&library)), &library)?;
        }
        for name in KMOD_NAMES {
            self.links.insert(format!("bin/{name}"), "kmod".to_owned());
        }
        Ok(())
    }

    fn add_modules(&mut self, system: &System) -> Result<(), GuestError> {
        let folder = system.modules();
        let guest_folder = format!("usr/lib/modules/{}", system.release());
        let list_path = folder.join("modules.dep");
        let list =
            fs::read_to_string(&list_path).map_err(GuestError::file("cannot read", &list_path))?;
        for name in MODULES {
            let paths = module_paths(&list, name).ok_or_else(|| GuestError::Incomplete {
                folder: folder.clone(),
                what: format!("kernel module {name}"),
            })?;
            for path in paths {
                self.add_file(&format!("{guest_folder}/{path}"), &folder.join(path))?;
            }
        }
        for name in ["modules.dep", "modules.dep.bin", "modules.builtin", "modules.builtin.bin"] {
            self.add_file(&format!("{guest_folder}/{name}"), &folder.join(name))?;
        }
        Ok(())
    }
}

/// The files of a module and of all that it needs, from the text of `modules.dep`.
fn module_paths<'l>(list: &'l str, module: &str) -> Option<Vec<&'l str>> {
    let (path, needs) =
        list.lines().filter_map(|line| line.split_once(':')).find(|(path, _)| {
            path.rsplit('/').next().and_then(|file| file.split('.').next()) == Some(module)
        })?;
    Some(std::iter::once(path).chain(needs.split_whitespace()).collect())
}

/// The libraries in a loader's list: lines of the form `name => path (address)`, or
/// `path (address)` for the loader itself.
fn libraries_of(program: &Path, list: &str) -> Result<Vec<PathBuf>, GuestError> {
    let mut libraries = Vec::new();
    for line in list.lines() {
        let (name, path) = line.split_once("=>").unwrap_or(("", line));
        let path = path.trim();
        if path == "not found" {
            let library = name.trim().to_owned();
            return Err(GuestError::NoLibrary { program: program.to_owned(), library });
        }
        // The kernel's own object, linux-vdso, has no path.
        if let Some(path) = path.split(" (").next().filter(|path| path.starts_with('/')) {
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

/// The program without symbols, which are most of a debug build; as it is where there is no `strip`.
fn stripped(program: &Path) -> Result<Vec<u8>, GuestError> {
    let folder = tempfile::tempdir().map_err(GuestError::file("cannot use", program))?;
    let copy = folder.path().join("program");
    let status = Command::new("strip").arg("-o").arg(&copy).arg(program).status();
    let source = if status.is_ok_and(|status| status.success()) { &copy } else { program };
    fs::read(source).map_err(GuestError::file("cannot read", source))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_with_what_it_needs() {
        let list = "kernel/a/vfio.ko.xz:\n\
                    kernel/a/pci/vfio-pci.ko.xz: kernel/a/core.ko.xz kernel/a/vfio.ko.xz\n";
        let paths = module_paths(list, "vfio-pci").unwrap();
        assert_eq!(
            paths,
            ["kernel/a/pci/vfio-pci.ko.xz", "kernel/a/core.ko.xz", "kernel/a/vfio.ko.xz"]
        );
        assert_eq!(module_paths(list, "vfio"), Some(vec!["kernel/a/vfio.ko.xz"]));
        assert_eq!(module_paths(list, "zram"), None);
    }

    #[test]
    fn a_missing_library_is_named() {
        let list = "\tlinux-vdso.so.1 (0x1)\n\tlibz.so.1 => /lib/libz.so.1 (0x2)\n\
                    \t/lib64/ld.so.2 (0x3)\n";
        let program = Path::new("/bin/program");
        assert_eq!(
            libraries_of(program, list).unwrap(),
            [PathBuf::from("/lib/libz.so.1"), PathBuf::from("/lib64/ld.so.2")]
        );
        let error = libraries_of(program, "\tlibq.so.1 => not found\n").unwrap_err();
        assert!(error.to_string().contains("libq.so.1"), "{error}");
    }

    #[test]
    fn folders_come_before_what_they_hold() {
        let mut initramfs = Initramfs::default();
        initramfs.add("/a/b/c", "text");
        let folders: Vec<String> = initramfs.folders().into_iter().collect();
        let place = |name: &str| folders.iter().position(|folder| folder == name).unwrap();
        assert!(place("a") < place("a/b"));
    }
}
