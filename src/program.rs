//! Programs from files: source or image, told apart by the first bytes.

use std::fs::{self, Permissions};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use rmt_isa::Program;
use rmt_vm::verifier::{Limits, Report, Violation, verify};

/// Reads a program from a `.rmt` source or an image.
pub fn load(path: &Path) -> Result<Program> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.starts_with(b"\x7fELF") {
        return rmt_isa::image::read(&bytes).with_context(|| path.display().to_string());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        anyhow!(
            "{}: byte {offset} is not UTF-8 text, and the file does not begin like an image; \
             give a .rmt source or an image made by `rmt build`",
            path.display()
        )
    })?;
    let files = rmt_lang::DirectoryLoader::beside(path);
    match rmt_lang::compile(&path.display().to_string(), &text, &files) {
        Ok(program) => Ok(program),
        Err(diagnostics) => {
            eprint!("{}", diagnostics.render(std::io::stderr().is_terminal()));
            bail!("{} does not compile", path.display());
        }
    }
}

/// Reads a program and verifies it.
pub fn load_verified(path: &Path, limits: &Limits) -> Result<(Program, Report)> {
    let program = load(path)?;
    match verify(&program, limits) {
        Ok(report) => Ok((program, report)),
        Err(violations) => bail!(refusal(path, &violations)),
    }
}

/// What the verifier has against a program, as one message.
pub fn refusal(path: &Path, violations: &[Violation]) -> String {
    let list: String = violations.iter().map(|violation| format!("\n\n{violation}")).collect();
    let count = match violations.len() {
        1 => "1 violation".to_owned(),
        count => format!("{count} violations"),
    };
    format!("{}: the verifier refuses the program: {count}{list}", path.display())
}

/// Writes a file as a whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        // A temporary file is for its owner alone; a result is for whom the umask lets read it.
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
