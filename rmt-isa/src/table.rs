//! The table: every instruction and every helper, defined once.
//!
//! `for_each_instruction!` hands the rows to a consumer macro. A row is
//!
//! ```text
//! Name = opcode, "mnemonic", Class, "equation", "Rust equivalent", { operand: Type @ SLOT Role, ... };
//! ```
//!
//! Encoder, decoder, assembler, disassembler, reference page, verifier (through the roles),
//! RTL decode constants and random generators all come from these rows.
//!
//! In the equations `event`, `record`, `parameter` and `out` are the state of the event that
//! runs; `sat` saturates to the element type of the result; registers are 64 bits and
//! arithmetic wraps unless the equation says otherwise. No instruction can fault once the
//! program is verified: every equation is total.

/// Calls `$consumer!` with all instruction rows.
#[macro_export]
macro_rules! for_each_instruction {
    ($consumer:ident) => { $consumer! {
        // Control: 0x01.
        Exit = 0x01, "exit", Control,
            "end the event with `verdict`", "return verdict",
            { verdict: Verdict @ OFF Constant };
        Jump = 0x02, "jump", Control,
            "pc = pc + 1 + target", "break 'target",
            { target: Jump @ OFF Constant };
        TailCall = 0x03, "TAIL_CALL", Control,
            "match `table` and run the action found; `r1` to `r4` are handed over; does not return",
            "return table(r1, r2, r3, r4)",
            { table: TableId @ OFF Constant };
        Call = 0x04, "CALL", Control,
            "d = helper(a, b)", "d = helper(a, b)",
            { d: Scalar @ D Write, helper: Helper @ OFF Constant, a: Scalar @ A Read, b: Scalar @ B Read };
        Out = 0x05, "out", Control,
            "out[index] = a", "out[index] = a",
            { index: OutputIndex @ OFF Constant, a: Scalar @ A Read };

        // Arithmetic on registers: 0x10 + operation.
        Add = 0x10, "add", Alu, "d = a + b", "a.wrapping_add(b)",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        Sub = 0x11, "sub", Alu, "d = a - b", "a.wrapping_sub(b)",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        Mul = 0x12, "mul", Multiply, "d = low 64 bits of a * b", "a.wrapping_mul(b)",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        Div = 0x13, "div", Divide, "d = a / b signed, toward zero; 0 when b = 0; wraps",
            "if b == 0 { 0 } else { a.wrapping_div(b) }",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        DivU = 0x14, "divu", Divide, "d = a / b unsigned; 0 when b = 0", "a.checked_div(b).unwrap_or(0)",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        Rem = 0x15, "rem", Divide, "d = a mod b signed, sign of a; a when b = 0",
            "if b == 0 { a } else { a.wrapping_rem(b) }",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        RemU = 0x16, "remu", Divide, "d = a mod b unsigned; a when b = 0", "a.checked_rem(b).unwrap_or(a)",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        And = 0x17, "and", Alu, "d = a AND b", "a & b",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        Or = 0x18, "or", Alu, "d = a OR b", "a | b",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        Xor = 0x19, "xor", Alu, "d = a XOR b", "a ^ b",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        Shl = 0x1a, "shl", Alu, "d = a << (b mod 64)", "a.wrapping_shl(b as u32)",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        Shr = 0x1b, "shr", Alu, "d = a >> (b mod 64) signed", "(a as i64).wrapping_shr(b as u32)",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        ShrU = 0x1c, "shru", Alu, "d = a >> (b mod 64) unsigned", "a.wrapping_shr(b as u32)",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        Min = 0x1d, "min", Alu, "d = the smaller of a and b, signed", "(a as i64).min(b as i64)",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        MinU = 0x1e, "minu", Alu, "d = the smaller of a and b, unsigned", "a.min(b)",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        Max = 0x1f, "max", Alu, "d = the larger of a and b, signed", "(a as i64).max(b as i64)",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        MaxU = 0x20, "maxu", Alu, "d = the larger of a and b, unsigned", "a.max(b)",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        SetEq = 0x21, "seteq", Alu, "d = 1 if a = b, else 0", "(a == b) as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        SetNe = 0x22, "setne", Alu, "d = 1 if a ≠ b, else 0", "(a != b) as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        SetLt = 0x23, "setlt", Alu, "d = 1 if a < b signed, else 0", "((a as i64) < b as i64) as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        SetLe = 0x24, "setle", Alu, "d = 1 if a ≤ b signed, else 0", "(a as i64 <= b as i64) as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        SetLtU = 0x25, "setltu", Alu, "d = 1 if a < b unsigned, else 0", "(a < b) as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };
        SetLeU = 0x26, "setleu", Alu, "d = 1 if a ≤ b unsigned, else 0", "(a <= b) as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, b: Scalar @ B Read };

        // Arithmetic with a constant: the register form's opcode + 0x20.
        AddImm = 0x30, "addi", Alu, "d = a + imm", "a.wrapping_add(imm)",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        SubImm = 0x31, "subi", Alu, "d = a - imm", "a.wrapping_sub(imm)",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        MulImm = 0x32, "muli", Multiply, "d = low 64 bits of a * imm", "a.wrapping_mul(imm)",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        DivImm = 0x33, "divi", Divide, "d = a / imm signed, toward zero; 0 when imm = 0; wraps",
            "if imm == 0 { 0 } else { a.wrapping_div(imm) }",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        DivUImm = 0x34, "divui", Divide, "d = a / imm unsigned; 0 when imm = 0", "a.checked_div(imm).unwrap_or(0)",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        RemImm = 0x35, "remi", Divide, "d = a mod imm signed, sign of a; a when imm = 0",
            "if imm == 0 { a } else { a.wrapping_rem(imm) }",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        RemUImm = 0x36, "remui", Divide, "d = a mod imm unsigned; a when imm = 0", "a.checked_rem(imm).unwrap_or(a)",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        AndImm = 0x37, "andi", Alu, "d = a AND imm", "a & imm",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        OrImm = 0x38, "ori", Alu, "d = a OR imm", "a | imm",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        XorImm = 0x39, "xori", Alu, "d = a XOR imm", "a ^ imm",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        ShlImm = 0x3a, "shli", Alu, "d = a << (imm mod 64)", "a.wrapping_shl(imm)",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        ShrImm = 0x3b, "shri", Alu, "d = a >> (imm mod 64) signed", "(a as i64).wrapping_shr(imm)",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        ShrUImm = 0x3c, "shrui", Alu, "d = a >> (imm mod 64) unsigned", "a.wrapping_shr(imm)",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        MinImm = 0x3d, "mini", Alu, "d = the smaller of a and imm, signed", "(a as i64).min(imm)",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        MinUImm = 0x3e, "minui", Alu, "d = the smaller of a and imm, unsigned", "a.min(imm)",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        MaxImm = 0x3f, "maxi", Alu, "d = the larger of a and imm, signed", "(a as i64).max(imm)",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        MaxUImm = 0x40, "maxui", Alu, "d = the larger of a and imm, unsigned", "a.max(imm)",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        SetEqImm = 0x41, "seteqi", Alu, "d = 1 if a = imm, else 0", "(a == imm) as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        SetNeImm = 0x42, "setnei", Alu, "d = 1 if a ≠ imm, else 0", "(a != imm) as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        SetLtImm = 0x43, "setlti", Alu, "d = 1 if a < imm signed, else 0", "((a as i64) < imm) as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        SetLeImm = 0x44, "setlei", Alu, "d = 1 if a ≤ imm signed, else 0", "(a as i64 <= imm) as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        SetLtUImm = 0x45, "setltui", Alu, "d = 1 if a < imm unsigned, else 0", "(a < imm) as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        SetLeUImm = 0x46, "setleui", Alu, "d = 1 if a ≤ imm unsigned, else 0", "(a <= imm) as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };

        // Moves and arithmetic on one register: 0x50.
        Move = 0x50, "mov", Alu, "d = a", "a",
            { d: Scalar @ D Write, a: Scalar @ A Read };
        MoveImm = 0x51, "movi", Alu, "d = imm", "imm as i64 as u64",
            { d: Scalar @ D Write, imm: i32 @ IMM Constant };
        MoveHigh = 0x52, "movhi", Alu, "d = imm in bits 63..32, low half of a in bits 31..0",
            "(imm as u64) << 32 | a & 0xffff_ffff",
            { d: Scalar @ D Write, a: Scalar @ A Read, imm: i32 @ IMM Constant };
        MoveIf = 0x53, "movif", Alu, "d = b if a ≠ 0, else d", "if a != 0 { b } else { d }",
            { d: Scalar @ D Modify, a: Scalar @ A Read, b: Scalar @ B Read };
        Extend = 0x54, "extend", Alu, "d = a cut to `type` and extended again", "a as type as u64",
            { d: Scalar @ D Write, a: Scalar @ A Read, kind: IntType @ OFF Constant };
        Not = 0x55, "not", Alu, "d = NOT a", "!a",
            { d: Scalar @ D Write, a: Scalar @ A Read };
        Neg = 0x56, "neg", Alu, "d = 0 - a", "a.wrapping_neg()",
            { d: Scalar @ D Write, a: Scalar @ A Read };
        Abs = 0x57, "abs", Alu, "d = |a|; wraps", "(a as i64).wrapping_abs()",
            { d: Scalar @ D Write, a: Scalar @ A Read };
        LeadingZeros = 0x58, "clz", Alu, "d = number of leading zero bits of a, 64 when a = 0", "a.leading_zeros()",
            { d: Scalar @ D Write, a: Scalar @ A Read };
        TrailingZeros = 0x59, "ctz", Alu, "d = number of trailing zero bits of a, 64 when a = 0", "a.trailing_zeros()",
            { d: Scalar @ D Write, a: Scalar @ A Read };
        CountOnes = 0x5a, "popcnt", Alu, "d = number of one bits of a", "a.count_ones()",
            { d: Scalar @ D Write, a: Scalar @ A Read };

        // Branches on registers: 0x60; with a constant: 0x70.
        JumpEq = 0x60, "jeq", Branch, "if a = b: pc = pc + 1 + target", "if a == b { break 'target }",
            { a: Scalar @ A Read, b: Scalar @ B Read, target: Jump @ OFF Constant };
        JumpNe = 0x61, "jne", Branch, "if a ≠ b: pc = pc + 1 + target", "if a != b { break 'target }",
            { a: Scalar @ A Read, b: Scalar @ B Read, target: Jump @ OFF Constant };
        JumpLt = 0x62, "jlt", Branch, "if a < b signed: pc = pc + 1 + target", "if (a as i64) < b as i64 { break 'target }",
            { a: Scalar @ A Read, b: Scalar @ B Read, target: Jump @ OFF Constant };
        JumpLe = 0x63, "jle", Branch, "if a ≤ b signed: pc = pc + 1 + target", "if a as i64 <= b as i64 { break 'target }",
            { a: Scalar @ A Read, b: Scalar @ B Read, target: Jump @ OFF Constant };
        JumpLtU = 0x64, "jltu", Branch, "if a < b unsigned: pc = pc + 1 + target", "if a < b { break 'target }",
            { a: Scalar @ A Read, b: Scalar @ B Read, target: Jump @ OFF Constant };
        JumpLeU = 0x65, "jleu", Branch, "if a ≤ b unsigned: pc = pc + 1 + target", "if a <= b { break 'target }",
            { a: Scalar @ A Read, b: Scalar @ B Read, target: Jump @ OFF Constant };
        JumpEqImm = 0x70, "jeqi", Branch, "if a = imm: pc = pc + 1 + target", "if a == imm { break 'target }",
            { a: Scalar @ A Read, imm: i32 @ IMM Constant, target: Jump @ OFF Constant };
        JumpNeImm = 0x71, "jnei", Branch, "if a ≠ imm: pc = pc + 1 + target", "if a != imm { break 'target }",
            { a: Scalar @ A Read, imm: i32 @ IMM Constant, target: Jump @ OFF Constant };
        JumpLtImm = 0x72, "jlti", Branch, "if a < imm signed: pc = pc + 1 + target", "if (a as i64) < imm { break 'target }",
            { a: Scalar @ A Read, imm: i32 @ IMM Constant, target: Jump @ OFF Constant };
        JumpLeImm = 0x73, "jlei", Branch, "if a ≤ imm signed: pc = pc + 1 + target", "if a as i64 <= imm { break 'target }",
            { a: Scalar @ A Read, imm: i32 @ IMM Constant, target: Jump @ OFF Constant };
        JumpLtUImm = 0x74, "jltui", Branch, "if a < imm unsigned: pc = pc + 1 + target", "if a < imm { break 'target }",
            { a: Scalar @ A Read, imm: i32 @ IMM Constant, target: Jump @ OFF Constant };
        JumpLeUImm = 0x75, "jleui", Branch, "if a ≤ imm unsigned: pc = pc + 1 + target", "if a <= imm { break 'target }",
            { a: Scalar @ A Read, imm: i32 @ IMM Constant, target: Jump @ OFF Constant };
        JumpGtImm = 0x76, "jgti", Branch, "if a > imm signed: pc = pc + 1 + target", "if a as i64 > imm { break 'target }",
            { a: Scalar @ A Read, imm: i32 @ IMM Constant, target: Jump @ OFF Constant };
        JumpGeImm = 0x77, "jgei", Branch, "if a ≥ imm signed: pc = pc + 1 + target", "if a as i64 >= imm { break 'target }",
            { a: Scalar @ A Read, imm: i32 @ IMM Constant, target: Jump @ OFF Constant };
        JumpGtUImm = 0x78, "jgtui", Branch, "if a > imm unsigned: pc = pc + 1 + target", "if a > imm { break 'target }",
            { a: Scalar @ A Read, imm: i32 @ IMM Constant, target: Jump @ OFF Constant };
        JumpGeUImm = 0x79, "jgeui", Branch, "if a ≥ imm unsigned: pc = pc + 1 + target", "if a >= imm { break 'target }",
            { a: Scalar @ A Read, imm: i32 @ IMM Constant, target: Jump @ OFF Constant };

        // Event, action data and context: 0x80.
        LoadEvent = 0x80, "ld_event", Event,
            "d = the `type` at byte `offset` of the event, little-endian; offset is a multiple of the width",
            "type::from_le_bytes(event[offset..]) as u64",
            { d: Scalar @ D Write, offset: EventOffset @ OFF Constant, kind: IntType @ IMM_LO Constant };
        LoadParameter = 0x81, "ld_param", Event, "d = parameter[index] of the matched entry", "parameter[index]",
            { d: Scalar @ D Write, index: ParameterIndex @ OFF Constant };
        MatchContext = 0x82, "RMT_MATCH_CTXT", Context,
            "record = the record of key a, created with all fields zero when absent (evicting the least recently matched of its set of 4 when full); d = 1 if it was there, else 0",
            "d = store.contains(a); record = store.entry(a).or_default()",
            { d: Scalar @ D Write, context: ContextId @ OFF Constant, a: Scalar @ A Read };
        FindContext = 0x83, "RMT_FIND_CTXT", Context,
            "record = the record of key a if there, else none; d = 1 if it was there, else 0; a record of none reads as zero and ignores writes; the order of eviction does not change",
            "d = store.contains(a); record = store.get(a)",
            { d: Scalar @ D Write, context: ContextId @ OFF Constant, a: Scalar @ A Read };
        LoadContext = 0x84, "RMT_LD_CTXT", Context, "d = record.field", "record.field as u64",
            { d: Scalar @ D Write, field: FieldRef @ OFF Constant };
        StoreContext = 0x85, "RMT_ST_CTXT", Context, "record.field = a cut to the field's type", "record.field = a as type",
            { field: FieldRef @ OFF Constant, a: Scalar @ A Read };
        PushContext = 0x86, "RMT_PUSH_CTXT", Context,
            "push a, cut to the element type, into the history ring `field`; the oldest value leaves a full ring",
            "ring.truncate(depth - 1); ring.push_front(a as type)",
            { field: FieldRef @ OFF Constant, a: Scalar @ A Read };
        LoadHistory = 0x87, "RMT_LD_HIST", Context,
            "d = value a of the history ring `field`, 0 = newest; 0 where the ring has no such value",
            "ring.get(a).copied().unwrap_or(0)",
            { d: Scalar @ D Write, field: FieldRef @ OFF Constant, a: Scalar @ A Read };
        LoadHistoryImm = 0x88, "RMT_LD_HISTI", Context,
            "d = value imm of the history ring `field`, 0 = newest; 0 where the ring has no such value",
            "ring.get(imm).copied().unwrap_or(0)",
            { d: Scalar @ D Write, field: FieldRef @ OFF Constant, imm: i32 @ IMM Constant };
        HistoryLength = 0x89, "RMT_HIST_LEN", Context, "d = number of values in the history ring `field`", "ring.len() as u64",
            { d: Scalar @ D Write, field: FieldRef @ OFF Constant };

        // Maps: 0x90.
        MapLoad = 0x90, "map_ld", Map,
            "d = value of key a, 0 when absent (ring buffer: a = 0 is the newest; histogram: a is the bucket)",
            "map.get(a).unwrap_or(0)",
            { d: Scalar @ D Write, map: MapId @ OFF Constant, a: Scalar @ A Read };
        MapContains = 0x91, "map_has", Map, "d = 1 if key a is there, else 0", "map.contains(a) as u64",
            { d: Scalar @ D Write, map: MapId @ OFF Constant, a: Scalar @ A Read };
        MapStore = 0x92, "map_st", Map,
            "value of key a = b; d = 1 if stored, 0 if there is no room or no such key",
            "d = map.insert(a, b).is_ok() as u64",
            { d: Scalar @ D Write, map: MapId @ OFF Constant, a: Scalar @ A Read, b: Scalar @ B Read };
        MapAdd = 0x93, "map_add", Map,
            "value of key a += b, from 0 when absent; d = the new value, 0 if there is no room or no such key (histogram: a is the sample, its bucket's count += b)",
            "d = { *map.entry(a).or_default() += b; map[a] }",
            { d: Scalar @ D Write, map: MapId @ OFF Constant, a: Scalar @ A Read, b: Scalar @ B Read };
        MapDelete = 0x94, "map_del", Map, "remove key a; d = 1 if it was there, else 0", "d = map.remove(a).is_some() as u64",
            { d: Scalar @ D Write, map: MapId @ OFF Constant, a: Scalar @ A Read };
        MapPush = 0x95, "map_push", Map,
            "append a to the ring buffer; the oldest value is overwritten when it is full; the count of all values ever pushed + 1",
            "map.push_overwrite(a)",
            { map: MapId @ OFF Constant, a: Scalar @ A Read };

        // Vectors: 0xa0.
        VectorFill = 0xa0, "RMT_VECTOR_FILL", Vector, "d[i] = sat(imm) for i < lanes", "d = [imm; lanes]",
            { d: Vector @ D Write, lanes: Lanes @ LANES Constant, element: Element @ ELEMENT Constant, imm: i32 @ IMM Constant };
        VectorLoadEvent = 0xa1, "RMT_VECTOR_LD_EVENT", Vector,
            "d[i] = the `element` at byte `offset` + i * width of the event; offset is a multiple of the width",
            "d[i] = element::from_le_bytes(event[offset + i * width..])",
            { d: Vector @ D Write, lanes: Lanes @ LANES Constant, element: Element @ ELEMENT Constant, offset: EventOffset @ IMM_LO Constant };
        VectorLoadContext = 0xa2, "RMT_VECTOR_LD_CTXT", Vector,
            "d[i] = sat(value i of the history ring `field`), 0 = newest; 0 where the ring has no such value",
            "d[i] = ring.get(i).unwrap_or(0).clamp(MIN, MAX)",
            { d: Vector @ D Write, lanes: Lanes @ LANES Constant, element: Element @ ELEMENT Constant, field: FieldRef @ IMM_LO Constant };
        VectorStoreContext = 0xa3, "RMT_VECTOR_ST_CTXT", Vector,
            "the history ring `field` = the lanes of a cut to its element type, lane 0 = newest",
            "ring = a.iter().map(|x| x as type).collect()",
            { field: FieldRef @ IMM_LO Constant, a: Vector @ A Read };
        VectorLoadTensor = 0xa4, "RMT_VECTOR_LD", Vector,
            "d[i] = tensor[a][i], the row a of a tensor of two dimensions; zeros when there is no such row",
            "d = tensor.get(a).unwrap_or(zeros)",
            { d: Vector @ D Write, a: Scalar @ A Read, tensor: TensorId @ IMM_LO Constant };
        VectorSet = 0xa5, "RMT_VECTOR_SET", Vector, "d[lane] = sat(a)", "d[lane] = a.clamp(MIN, MAX)",
            { d: Vector @ D Modify, lane: Lane @ IMM_LO Constant, a: Scalar @ A Read };
        ScalarValue = 0xa6, "RMT_SCALAR_VAL", Vector, "d = a[lane]", "a[lane] as i64 as u64",
            { d: Scalar @ D Write, a: Vector @ A Read, lane: Lane @ IMM_LO Constant };
        ScalarValueAt = 0xa7, "RMT_SCALAR_VAL_AT", Vector, "d = a[b]; 0 when a has no such lane",
            "a.get(b).copied().unwrap_or(0)",
            { d: Scalar @ D Write, a: Vector @ A Read, b: Scalar @ B Read };
        VectorAdd = 0xa8, "RMT_VECTOR_ADD", Vector, "d[i] = sat(a[i] + b[i])", "a[i].saturating_add(b[i])",
            { d: Vector @ D Write, a: Vector @ A Read, b: Vector @ B Read };
        VectorSub = 0xa9, "RMT_VECTOR_SUB", Vector, "d[i] = sat(a[i] - b[i])", "a[i].saturating_sub(b[i])",
            { d: Vector @ D Write, a: Vector @ A Read, b: Vector @ B Read };
        VectorMul = 0xaa, "RMT_VECTOR_MUL", Vector, "d[i] = a[i] * b[i] as i32; a and b are i8 or i16",
            "i32::from(a[i]) * i32::from(b[i])",
            { d: Vector @ D Write, a: Vector @ A Read, b: Vector @ B Read };
        VectorMin = 0xab, "RMT_VECTOR_MIN", Vector, "d[i] = the smaller of a[i] and b[i]", "a[i].min(b[i])",
            { d: Vector @ D Write, a: Vector @ A Read, b: Vector @ B Read };
        VectorMax = 0xac, "RMT_VECTOR_MAX", Vector, "d[i] = the larger of a[i] and b[i]", "a[i].max(b[i])",
            { d: Vector @ D Write, a: Vector @ A Read, b: Vector @ B Read };
        VectorRelu = 0xad, "RMT_VECTOR_RELU", Vector, "d[i] = the larger of a[i] and 0", "a[i].max(0)",
            { d: Vector @ D Write, a: Vector @ A Read };
        VectorConvert = 0xae, "RMT_VECTOR_CVT", Vector, "d[i] = a[i] saturated to `element`", "a[i].clamp(MIN, MAX)",
            { d: Vector @ D Write, a: Vector @ A Read, element: Element @ ELEMENT Constant };
        VectorSum = 0xaf, "RMT_VECTOR_SUM", Vector, "d = sum of all a[i], 64 bits", "a.iter().map(|x| i64::from(x)).sum()",
            { d: Scalar @ D Write, a: Vector @ A Read };
        ArgMax = 0xb0, "RMT_ARGMAX", Vector, "d = the smallest i with a[i] = max(a)", "a.iter().position(|x| x == a.max())",
            { d: Scalar @ D Write, a: Vector @ A Read };

        // Models: 0xc0.
        MatMul = 0xc0, "RMT_MAT_MUL", Model,
            "d[m] = bias[m] + Σn weights[m][n] * a[n] as i32; the verifier proves that no i32 overflows",
            "d[m] = bias[m] + weights[m].iter().zip(a).map(|(w, x)| w * x).sum()",
            { d: Vector @ D Write, a: Vector @ A Read, weights: TensorId @ IMM_LO Constant, bias: Bias @ IMM_HI Constant };
        Conv2d = 0xc1, "RMT_CONV_2D", Model,
            "d[y][x][m] = bias[m] + Σ(ky, kx, c) weights[m][ky][kx][c] * a[y * stride + ky - pad][x * stride + kx - pad][c] as i32; outside the input a is 0",
            "see rmt_vm::interpreter::model::conv_2d",
            { d: Vector @ D Write, a: Vector @ A Read, window: WindowId @ WINDOW Constant, weights: TensorId @ IMM_LO Constant, bias: Bias @ IMM_HI Constant };
        PoolMax = 0xc2, "RMT_POOL_MAX", Model,
            "d[y][x][c] = max over the window of a[..][..][c]; places outside the input do not count",
            "see rmt_vm::interpreter::model::pool",
            { d: Vector @ D Write, a: Vector @ A Read, window: WindowId @ WINDOW Constant };
        PoolSum = 0xc3, "RMT_POOL_SUM", Model,
            "d[y][x][c] = sum over the window of a[..][..][c] as i32; places outside the input count as 0",
            "see rmt_vm::interpreter::model::pool",
            { d: Vector @ D Write, a: Vector @ A Read, window: WindowId @ WINDOW Constant };
        Requantise = 0xc4, "RMT_REQUANT", Model,
            "d[i] = sat(((a[i] * multiplier[c] + 2^(shift[c]-1)) >> shift[c]) + zero_point), c = i mod channels; a is i32",
            "rmt_isa::arithmetic::requantise(a[i], multiplier[c], shift[c], zero_point, element)",
            { d: Vector @ D Write, a: Vector @ A Read, element: Element @ ELEMENT Constant, scale: ScaleId @ IMM_LO Constant };
        ForestEval = 0xc5, "RMT_TREE_EVAL", Model,
            "d = Σ leaf values of all trees for the features a (mode sum), or the class with most votes, the smallest of equals (mode vote)",
            "forest.evaluate(a)",
            { d: Scalar @ D Write, a: Vector @ A Read, forest: ForestId @ IMM_LO Constant };
    }};
}

/// Calls `$consumer!` with all helper rows: `Name = number, "name", "equation";`.
#[macro_export]
macro_rules! for_each_helper {
    ($consumer:ident) => { $consumer! {
        Crc32c = 0, "crc32c", "CRC-32C (Castagnoli) of the 8 bytes of a, little-endian, started with the low 32 bits of b";
        MulHigh = 1, "mulhi", "high 64 bits of the unsigned product a * b";
        SquareRoot = 2, "isqrt", "largest x with x * x ≤ a, unsigned; b is not used";
        Log2 = 3, "log2", "position of the highest one bit of a, 0 when a = 0; b is not used";
        Random = 4, "random", "the SplitMix64 output for state a + b";
        Ratio = 5, "ratio", "a * 2^16 / b unsigned, 2^64 - 1 when it does not fit or b = 0";
    }};
}
