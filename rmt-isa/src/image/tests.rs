use super::*;
use crate::assembly::assemble;
use crate::operand::Element;
use crate::program::*;

fn sample() -> Program {
    let code = assemble("movi r1, -7\nout out0, r1\nexit decided").unwrap();
    Program {
        name: "sample".into(),
        actions: vec![
            Action {
                name: "first".into(),
                parameters: vec![],
                arguments: 0,
                lines: vec![3, 4, 5],
                code: code.clone(),
            },
            Action {
                name: "second".into(),
                parameters: vec![],
                arguments: 2,
                lines: vec![7, 7, 9],
                code,
            },
        ],
        models: vec!["model".into()],
        tensors: [(Element::I8, -128), (Element::I16, 30_000), (Element::I32, i32::MIN)]
            .map(|(element, value)| Tensor {
                name: format!("t_{element}"),
                model: 0,
                element,
                shape: vec![1, 3],
                values: vec![value, 0, -1],
            })
            .to_vec(),
        forests: vec![Forest {
            name: "tree".into(),
            model: 0,
            mode: ForestMode::Sum,
            features: 4,
            roots: vec![0],
            nodes: vec![
                TreeNode::Branch { feature: 3, threshold: -5, left: 1 },
                TreeNode::Leaf { value: 1 },
                TreeNode::Leaf { value: -1 },
            ],
        }],
        ..Program::default()
    }
}

#[test]
fn an_image_gives_its_program_back() {
    let program = sample();
    assert_eq!(read(&write(&program).unwrap()).unwrap(), program);
}

#[test]
fn every_truncation_is_an_error() {
    let image = write(&sample()).unwrap();
    for length in 0..image.len() {
        assert!(read(&image[..length]).is_err(), "{length} of {} bytes", image.len());
    }
}

/// A flipped bit either leaves the program as it was (in padding or names of sections that
/// nobody reads) or is found.
#[test]
fn every_flipped_bit_is_found_or_harmless() {
    let program = sample();
    let image = write(&program).unwrap();
    let mut found = 0;
    for bit in 0..8 * image.len() {
        let mut damaged = image.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        match read(&damaged) {
            Ok(read) => assert_eq!(read, program, "bit {bit}"),
            Err(_) => found += 1,
        }
    }
    assert!(found > 8 * image.len() / 4);
}

#[test]
fn errors_say_what_was_found() {
    let image = write(&sample()).unwrap();
    let error = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert!(error(b"hook page_fault = 1").contains("no RMT image"));
    let place = image.windows(4).position(|bytes| bytes == MAGIC).unwrap();
    let mut other = image.clone();
    other[place + 4] = 9;
    assert!(error(&other).contains("image version 9"));
    let mut machine = image.clone();
    machine[18] = 247;
    assert!(error(&machine).contains("machine 247"));
    let mut damaged = image;
    damaged[place + 8] ^= 1;
    assert!(error(&damaged).contains("damaged"));
}

/// Found by the fuzz target `image`: the crate that writes the ELF file panics at such a name.
#[test]
fn a_zero_byte_in_the_name_of_an_action_is_refused() {
    let mut program = sample();
    program.actions[1].name = "a\0b".into();
    let error = write(&program).unwrap_err().to_string();
    assert!(
        error.contains(r"action 1 is named `a\0b`") && error.contains("another name"),
        "{error}"
    );
}

#[test]
fn a_value_outside_its_element_is_refused() {
    let mut program = sample();
    program.tensors[0].values[2] = 128;
    let error = write(&program).unwrap_err().to_string();
    assert_eq!(error, "tensor `t_i8`: value 128 at position 2 does not fit i8; quantise it again");
}

/// A backward jump and an unknown helper cannot be written in assembly; a word that would be
/// one is refused with all that is known of its place.
#[test]
fn words_that_are_no_instructions_are_refused_with_their_place() {
    let mut program = sample();
    program.source = "a.rmt".into();
    program.tables = vec![Table {
        name: "entry".into(),
        kind: MatchKind::Exact,
        key: vec![],
        capacity: 0,
        actions: vec![1],
        default: Some(ActionCall { action: 1, parameters: vec![] }),
        entries: vec![],
    }];
    program.actions[1].code = assemble("jump +1\nCALL r1, crc32c, r1, r1\nexit decided").unwrap();
    let image = write(&program).unwrap();
    let refused = |instruction: usize, bits: u64| {
        let word = program.actions[1].code[instruction].encode();
        let place = image.windows(8).position(|bytes| bytes == word.to_le_bytes()).unwrap();
        let bad = word | bits;
        let mut image = image.clone();
        image[place..][..8].copy_from_slice(&bad.to_le_bytes());
        let Err(ImageError::Checksum { expected, .. }) = read(&image) else {
            panic!("the checksum covers the code")
        };
        let version = image.windows(4).position(|bytes| bytes == MAGIC).unwrap();
        image[version + 8..][..4].copy_from_slice(&expected.to_le_bytes());
        read(&image).unwrap_err().to_string()
    };
    // A distance has no sign: the bits of one in 32 bits mean nothing.
    let backward = refused(0, 0xffff_fffe << 32);
    for part in ["`second`", "table `entry`", "instruction 0", "(a.rmt:7)", "`jump`", "rmt build"] {
        assert!(backward.contains(part), "{part}: {backward}");
    }
    let helper = refused(1, crate::operand::OFF.insert(crate::Helper::ALL.len() as u64));
    for part in
        ["`second`", "table `entry`", "instruction 1", "(a.rmt:7)", "operand `helper`", "rmt build"]
    {
        assert!(helper.contains(part), "{part}: {helper}");
    }
}
