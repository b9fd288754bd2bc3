//! Writing an image.

use object::Endianness;
use object::elf;
use object::write::elf::{FileHeader, SectionHeader, Sym, Writer};

use super::{Bulk, ELF_MACHINE, MAGIC, SECTIONS, Stored, VERSION, VERSION_SECTION, checksum};
use crate::program::Program;

/// Why a program cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A value of a tensor is outside its element type and would be cut.
    #[error(
        "tensor `{tensor}`: value {value} at position {index} does not fit {element}; quantise it again"
    )]
    TensorValue {
        /// Name of the tensor.
        tensor: String,
        /// Position of the value.
        index: usize,
        /// The value.
        value: i32,
        /// The element type.
        element: crate::Element,
    },
    /// The name of an action has a zero byte: it becomes a symbol, which ends there.
    #[error("action {action} is named `{}`: a name in an image has no zero byte; choose another name", name.escape_debug())]
    ActionName {
        /// Index of the action.
        action: usize,
        /// Its name.
        name: String,
    },
    /// The program's description cannot be encoded.
    #[error("the program cannot be encoded: {0}")]
    Encode(#[from] postcard::Error),
    /// The file cannot be laid out.
    #[error("the ELF file cannot be written: {0}")]
    Elf(#[from] object::write::Error),
}

fn check_tensors(program: &Program) -> Result<(), WriteError> {
    for tensor in &program.tensors {
        let range = tensor.element.min()..=tensor.element.max();
        if let Some(index) = tensor.values.iter().position(|value| !range.contains(value)) {
            return Err(WriteError::TensorValue {
                tensor: tensor.name.clone(),
                index,
                value: tensor.values[index],
                element: tensor.element,
            });
        }
    }
    Ok(())
}

fn check_names(program: &Program) -> Result<(), WriteError> {
    match program.actions.iter().position(|action| action.name.contains('\0')) {
        None => Ok(()),
        Some(action) => {
            Err(WriteError::ActionName { action, name: program.actions[action].name.clone() })
        }
    }
}

/// The program as an image. The same program always gives the same bytes.
///
/// # Errors
/// [`WriteError`] when a tensor's value is outside its element type, or an action's name holds
/// a zero byte.
pub fn write(program: &Program) -> Result<Vec<u8>, WriteError> {
    check_tensors(program)?;
    check_names(program)?;
    let stored = Stored {
        instructions: program.actions.iter().map(|action| action.code.len() as u32).collect(),
        nodes: program.forests.iter().map(|forest| forest.nodes.len() as u32).collect(),
        program,
    };
    let bulk = Bulk::of(program);
    let contents =
        [postcard::to_allocvec(&stored)?, bulk.text, bulk.lines, bulk.tensors, bulk.trees];

    let mut version = MAGIC.to_vec();
    version.extend(VERSION.to_le_bytes());
    version.extend(checksum(contents.iter().map(Vec::as_slice)).to_le_bytes());

    let mut sections = vec![(VERSION_SECTION, 4, version.as_slice())];
    sections.extend(
        SECTIONS.iter().zip(&contents).map(|(&(name, align), content)| (name, align, &content[..])),
    );
    Ok(write_elf(program, &sections)?)
}

/// Lays the sections out in a file; the writer wants all places reserved first, in order.
fn write_elf(
    program: &Program,
    sections: &[(&str, u64, &[u8])],
) -> Result<Vec<u8>, object::write::Error> {
    let mut file = Vec::new();
    let mut writer = Writer::new(Endianness::Little, true, &mut file);
    writer.reserve_file_header();
    let mut reserved = Vec::new();
    for &(name, align, content) in sections {
        let name = writer.add_section_name(name.as_bytes());
        let index = writer.reserve_section_index();
        reserved.push((name, index, writer.reserve(content.len() as u64, align)));
    }
    let text = sections.iter().position(|&(name, ..)| name == ".text").map(|n| reserved[n].1);
    let names: Vec<_> =
        program.actions.iter().map(|action| writer.add_string(action.name.as_bytes())).collect();
    writer.reserve_null_symbol_index();
    for _ in &names {
        writer.reserve_symbol_index(text);
    }
    writer.reserve_symtab_section_index();
    writer.reserve_symtab();
    writer.reserve_strtab_section_index();
    writer.reserve_strtab()?;
    writer.reserve_shstrtab_section_index();
    writer.reserve_shstrtab()?;
    writer.reserve_section_headers();

    writer.write_file_header(&FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_REL,
        e_machine: ELF_MACHINE,
        e_entry: 0,
        e_flags: elf::FileFlags(0),
    })?;
    for (&(_, align, content), &(.., offset)) in sections.iter().zip(&reserved) {
        writer.write_align(align);
        writer.pad_until(offset);
        writer.write(content);
    }
    writer.write_null_symbol();
    let mut offset = 0;
    for (action, name) in program.actions.iter().zip(names) {
        let size = 8 * action.code.len() as u64;
        let st_name = writer.string_offset(Some(name));
        writer.write_symbol(&Sym {
            section: text.map(|index| index.0),
            st_name,
            st_info: elf::SymbolInfo::new(elf::STB_GLOBAL, elf::STT_FUNC),
            st_other: elf::SymbolOther(0),
            st_shndx: elf::SymbolSection(0),
            st_value: offset,
            st_size: size,
        });
        offset += size;
    }
    writer.write_strtab();
    writer.write_shstrtab();
    writer.write_null_section_header();
    for (&(name, align, content), &(name_id, _, offset)) in sections.iter().zip(&reserved) {
        let flags = if name == ".text" {
            elf::SHF_ALLOC | elf::SHF_EXECINSTR
        } else {
            elf::SectionFlags(0)
        };
        let sh_name = writer.section_name_offset(Some(name_id));
        writer.write_section_header(&SectionHeader {
            sh_name,
            sh_type: elf::SHT_PROGBITS,
            sh_flags: flags,
            sh_addr: 0,
            sh_offset: offset,
            sh_size: content.len() as u64,
            sh_link: 0,
            sh_info: 0,
            sh_addralign: align,
            sh_entsize: 0,
        });
    }
    writer.write_symtab_section_header(1);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    Ok(file)
}
