//! The contract of RMT: instructions, image, assembler, disassembler, registers and descriptors
