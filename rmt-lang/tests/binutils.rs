//! The image under the tools that every kernel engineer has: `readelf` and `objdump -h` of GNU
//! binutils read it without a complaint and show its sections. `./x setup test` installs them.

use std::path::Path;
use std::process::Command;

use rmt_lang::DirectoryLoader;

/// Every section that the image's format promises.
const SECTIONS: [&str; 6] =
    [".rmt.version", ".rmt.program", ".text", ".rmt.lines", ".rmt.tensors", ".rmt.trees"];

/// Output of a tool on a file; it must succeed and have nothing to say on standard error.
fn output(tool: &str, option: &str, file: &Path) -> String {
    let output = Command::new(tool)
        .arg(option)
        .arg(file)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{tool}: {error}; `./x setup test` installs binutils"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{tool} {option}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Size in bytes that `objdump -h` prints for a section.
fn size(headers: &str, section: &str) -> Option<usize> {
    headers.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        if words.next() != Some(section) {
            return None;
        }
        words.next().and_then(|size| usize::from_str_radix(size, 16).ok())
    })
}

#[test]
fn binutils_read_an_image() {
    for name in ["page_prefetch", "can_migrate_task"] {
        let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware");
        let source = firmware.join(name).with_extension("rmt");
        let text = std::fs::read_to_string(&source).unwrap();
        let program = rmt_lang::compile(name, &text, &DirectoryLoader::beside(&source))
            .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false)));
        let image = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("elf");
        std::fs::write(&image, rmt_isa::image::write(&program).unwrap()).unwrap();

        let all = output("readelf", "-a", &image);
        assert!(all.contains("ELF64") && all.contains("little endian"), "{all}");
        // `-W` as well: without it long names of symbols are cut.
        let symbols = output("readelf", "-sW", &image);
        for action in &program.actions {
            let shown = symbols.split_whitespace().any(|word| word == action.name);
            assert!(shown, "no symbol for action {}:\n{symbols}", action.name);
        }
        let sections = output("readelf", "-SW", &image);
        let headers = output("objdump", "-h", &image);
        for section in SECTIONS {
            assert!(sections.split_whitespace().any(|word| word == section), "{sections}");
            assert!(size(&headers, section).is_some(), "no {section}:\n{headers}");
        }
        // Eight bytes an instruction, and the source line of each in four.
        let instructions: usize = program.actions.iter().map(|action| action.code.len()).sum();
        assert_eq!(size(&headers, ".text"), Some(8 * instructions), "{headers}");
        assert_eq!(size(&headers, ".rmt.lines"), Some(4 * instructions), "{headers}");
    }
}
